package mock

import (
	"bufio"
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/tidwall/gjson"
)

// serveMock starts the mock behind a real HTTP server.
func serveMock(t *testing.T, m *Handler) *httptest.Server {
	t.Helper()
	newMock(t, m)
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_ = m.ServeHTTP(w, r, nil) // the error is the client's leaving
	}))
	t.Cleanup(srv.Close)
	return srv
}

// eventsOf returns the data of each event, and fails where an event of the
// responses API is named differently from its type.
func eventsOf(t *testing.T, body string) []string {
	t.Helper()
	if !strings.HasSuffix(body, "\n\n") {
		t.Fatalf("the last event is not closed: %q", body)
	}
	var data []string
	for event := range strings.SplitSeq(strings.TrimSuffix(body, "\n\n"), "\n\n") {
		name := ""
		if rest, ok := strings.CutPrefix(event, "event: "); ok {
			name, event, _ = strings.Cut(rest, "\n")
		}
		d, ok := strings.CutPrefix(event, "data: ")
		if !ok || strings.Contains(d, "\n") || name != gjson.Get(d, "type").Str || d != "[DONE]" && !gjson.Valid(d) {
			t.Fatalf("bad event %q named %q", event, name)
		}
		data = append(data, d)
	}
	return data
}

func TestMockStreamsCompletions(t *testing.T) {
	const withUsage = `"stream":true,"stream_options":{"include_usage":true}`
	for _, tc := range []struct {
		name, path, body string
		object           string
		texts            []string // the content of each chunk that has a choice
		usage            bool
	}{
		{"chat", "/v1/chat/completions", `{"model":"m","stream":true}`, "chat.completion.chunk", []string{"", "ab", "cé", ""}, false},
		{"chat with usage", "/v1/chat/completions", `{"model":"m",` + withUsage + `}`, "chat.completion.chunk", []string{"", "ab", "cé", ""}, true},
		{"completions", "/v1/completions", `{"model":"m","stream":true}`, "text_completion", []string{"ab", "cé", ""}, false},
		{"completions with usage", "/v1/completions", `{"model":"m",` + withUsage + `}`, "text_completion", []string{"ab", "cé", ""}, true},
	} {
		t.Run(tc.name, func(t *testing.T) {
			w := call(t, newMock(t, &Handler{Reply: "abcé", Chunks: 2}), "POST", tc.path, tc.body)
			if w.Header().Get("Content-Type") != "text/event-stream" || !w.Flushed {
				t.Error(w.Header())
			}
			data := eventsOf(t, w.Body.String())
			want := len(tc.texts) + 1
			if tc.usage {
				want++
			}
			if len(data) != want || data[len(data)-1] != "[DONE]" {
				t.Fatalf("%d events, want %d: %s", len(data), want, w.Body)
			}
			id, created := gjson.Get(data[0], "id").Str, gjson.Get(data[0], "created").Raw
			for i, text := range tc.texts {
				chunk := gjson.Parse(data[i])
				if chunk.Get("object").Str != tc.object || chunk.Get("id").Str != id || id == "" || chunk.Get("created").Raw != created ||
					chunk.Get("model").Str != "m" || chunk.Get("choices.#").Int() != 1 || chunk.Get("choices.0.index").Raw != "0" {
					t.Errorf("chunk %d: %s", i, data[i])
				}
				got := chunk.Get("choices.0.delta.content").Str + chunk.Get("choices.0.text").Str
				finish := chunk.Get("choices.0.finish_reason")
				if last := i == len(tc.texts)-1; got != text || !finish.Exists() || (finish.Str == "stop") != last {
					t.Errorf("chunk %d has %q, finish %s, want %q", i, got, finish.Raw, text)
				}
				if usage := chunk.Get("usage"); usage.Exists() != tc.usage || usage.Type != gjson.Null {
					t.Errorf("chunk %d: usage is %q", i, usage.Raw)
				}
			}
			if tc.object == "chat.completion.chunk" && gjson.Get(data[0], "choices.0.delta.role").Str != "assistant" {
				t.Errorf("the first chunk has no role: %s", data[0])
			}
			if tc.usage {
				chunk := gjson.Parse(data[len(data)-2])
				if chunk.Get("choices").Raw != "[]" || chunk.Get("id").Str != id || chunk.Get("usage.completion_tokens").Int() != 2 ||
					chunk.Get("usage.total_tokens").Int() != chunk.Get("usage.prompt_tokens").Int()+2 {
					t.Errorf("usage chunk %s", chunk.Raw)
				}
			}
		})
	}
}

func TestMockStreamsToolCall(t *testing.T) {
	w := call(t, newMock(t, &Handler{}), "POST", "/v1/chat/completions", `{"stream":true,"messages":[{"role":"user"}],`+toolsDoc+`}`)
	data := eventsOf(t, w.Body.String())
	if len(data) != 4 {
		t.Fatal(w.Body)
	}
	name, arguments := "", ""
	for _, chunk := range data[:2] {
		call := gjson.Get(chunk, "choices.0.delta.tool_calls.0")
		name += call.Get("function.name").Str
		arguments += call.Get("function.arguments").Str
		if call.Get("index").Raw != "0" {
			t.Error(chunk)
		}
	}
	first := gjson.Get(data[0], "choices.0.delta")
	if name != `get_"w"` || arguments != "{}" || first.Get("role").Str != "assistant" || first.Get("content").Raw != "null" ||
		first.Get("tool_calls.0.id").Str == "" || first.Get("tool_calls.0.type").Str != "function" {
		t.Errorf("%q(%s): %s", name, arguments, data[0])
	}
	if gjson.Get(data[2], "choices.0.finish_reason").Str != "tool_calls" {
		t.Error(data[2])
	}
}

func TestMockStreamsResponses(t *testing.T) {
	for _, tc := range []struct {
		name, body string
		kinds      []string
		delta      string
		output     string // the type of the only output item
	}{
		{
			"text", `{"model":"m","stream":true,"input":"x"}`,
			[]string{
				"response.created", "response.in_progress", "response.output_item.added", "response.content_part.added",
				"response.output_text.delta", "response.output_text.delta", "response.output_text.done",
				"response.content_part.done", "response.output_item.done", "response.completed",
			},
			"abcd", "message",
		},
		{
			"function call", `{"model":"m","stream":true,"input":[{"role":"user","content":"x"}],` + responseTools + `}`,
			[]string{
				"response.created", "response.in_progress", "response.output_item.added",
				"response.function_call_arguments.delta", "response.function_call_arguments.done",
				"response.output_item.done", "response.completed",
			},
			"{}", "function_call",
		},
	} {
		t.Run(tc.name, func(t *testing.T) {
			m := newMock(t, &Handler{Reply: "abcd", Chunks: 2, PromptTokens: pointer(11), CompletionTokens: pointer(85)})
			data := eventsOf(t, call(t, m, "POST", "/v1/responses", tc.body).Body.String())
			if len(data) != len(tc.kinds) {
				t.Fatalf("%d events, want %d", len(data), len(tc.kinds))
			}
			delta, item := "", gjson.Get(data[2], "item.id").Str
			for i, d := range data {
				e := gjson.Parse(d)
				if e.Get("type").Str != tc.kinds[i] || e.Get("sequence_number").Int() != int64(i) {
					t.Errorf("event %d is %s, want %s", i, d, tc.kinds[i])
				}
				if id := e.Get("item_id"); id.Exists() && id.Str != item {
					t.Errorf("event %d is about item %s, want %s", i, id.Str, item)
				}
				delta += e.Get("delta").Str
			}
			if delta != tc.delta {
				t.Errorf("the deltas make %q, want %q", delta, tc.delta)
			}
			done := gjson.Get(data[len(data)-2], "item").Raw
			last := gjson.Get(data[len(data)-1], "response")
			if last.Get("output.0").Raw != done || last.Get("output.0.id").Str != item || last.Get("output.0.type").Str != tc.output ||
				last.Get("status").Str != "completed" || last.Get("id").Str != gjson.Get(data[0], "response.id").Str {
				t.Errorf("%s does not hold %s", last.Raw, done)
			}
			if last.Get("usage.input_tokens").Int() != 11 || last.Get("usage.output_tokens").Int() != 85 || last.Get("usage.total_tokens").Int() != 96 {
				t.Errorf("usage is %s", last.Get("usage").Raw)
			}
			if first := gjson.Get(data[0], "response"); first.Get("status").Str != "in_progress" || first.Get("usage").Raw != "null" || first.Get("output").Raw != "[]" {
				t.Errorf("created with %s", first.Raw)
			}
		})
	}
}

func TestMockFlushesEachEvent(t *testing.T) {
	const interval = 40 * time.Millisecond
	for _, path := range []string{"/v1/chat/completions", "/v1/completions", "/v1/responses"} {
		t.Run(path, func(t *testing.T) {
			srv := serveMock(t, &Handler{Reply: "abc", Chunks: 3, ChunkInterval: caddy.Duration(interval)})
			start := time.Now()
			res, err := http.Post(srv.URL+path, "application/json", strings.NewReader(`{"stream":true}`))
			if err != nil {
				t.Fatal(err)
			}
			defer res.Body.Close()
			var at []time.Duration
			for lines := bufio.NewScanner(res.Body); lines.Scan(); {
				d := strings.TrimPrefix(lines.Text(), "data: ")
				e := gjson.Parse(d)
				if e.Get("choices.0.delta.content").Str+e.Get("choices.0.text").Str+e.Get("delta").Str != "" {
					at = append(at, time.Since(start))
				}
			}
			if len(at) != 3 {
				t.Fatalf("%d content chunks, want 3", len(at))
			}
			// The last one may be late on a busy machine, the first one may not
			// have waited for the others.
			if at[2]-at[0] < interval {
				t.Errorf("the chunks came at %v, all at once", at)
			}
		})
	}
}

func TestMockAbortsStreams(t *testing.T) {
	for _, tc := range []struct {
		name, path string
		after      int
		events     int
		whole      bool
	}{
		{"before the first event", "/v1/chat/completions", 0, 0, false},
		{"after some events", "/v1/chat/completions", 3, 3, false},
		{"just before the end", "/v1/chat/completions", 5, 5, false},
		{"not at all when it ends sooner", "/v1/chat/completions", 100, 6, true},
		{"completions", "/v1/completions", 1, 1, false},
		{"responses", "/v1/responses", 5, 5, false},
		{"function calls of responses", "/v1/responses?tools", 3, 3, false},
	} {
		t.Run(tc.name, func(t *testing.T) {
			srv := serveMock(t, &Handler{Chunks: 3, AbortAfter: &tc.after})
			body := `{"stream":true}`
			if strings.HasSuffix(tc.path, "?tools") {
				body = `{"stream":true,"input":"x",` + responseTools + `}`
			}
			res, err := http.Post(srv.URL+tc.path, "application/json", strings.NewReader(body))
			if err != nil {
				t.Fatal(err)
			}
			defer res.Body.Close()
			got, err := io.ReadAll(res.Body)
			if res.StatusCode != 200 || (err == nil) != tc.whole || strings.Contains(string(got), "[DONE]") != tc.whole {
				t.Errorf("status %d, error %v: %s", res.StatusCode, err, got)
			}
			if n := strings.Count(string(got), "\n\n"); n != tc.events {
				t.Errorf("%d events, want %d: %s", n, tc.events, got)
			}
			// Without streaming there is nothing to abort.
			res, err = http.Post(srv.URL+tc.path, "application/json", strings.NewReader(`{}`))
			if err != nil {
				t.Fatal(err)
			}
			defer res.Body.Close()
			if got, err := io.ReadAll(res.Body); err != nil || !gjson.ValidBytes(got) {
				t.Errorf("%v: %s", err, got)
			}
		})
	}
}

func TestMockStreamEndsWithTheRequest(t *testing.T) {
	m := &Handler{Reply: "ab", Chunks: 2, ChunkInterval: caddy.Duration(time.Hour)}
	ended := make(chan any, 1)
	newMock(t, m)
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		defer func() { ended <- recover() }()
		_ = m.ServeHTTP(w, r, nil)
	}))
	defer srv.Close()
	ctx, cancel := context.WithCancel(context.Background())
	r, err := http.NewRequestWithContext(ctx, "POST", srv.URL+"/v1/chat/completions", strings.NewReader(`{"stream":true}`))
	if err != nil {
		t.Fatal(err)
	}
	res, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	cancel()
	select {
	case cause := <-ended:
		if err, _ := cause.(error); !errors.Is(err, http.ErrAbortHandler) {
			t.Errorf("the stream ended with %v", cause)
		}
	case <-time.After(10 * time.Second):
		t.Fatal("the stream goes on without a client")
	}
}

func TestMockSplit(t *testing.T) {
	for _, tc := range []struct {
		text string
		n    int
		want string
	}{
		{"abcdef", 3, "ab|cd|ef"},
		{"abcdefg", 3, "ab|cd|efg"},
		{"äöü", 3, "ä|ö|ü"},
		{"ab", 4, "a|b||"},
		{"", 2, "|"},
		{"ab", 1, "ab"},
		{"a\xffb", 3, "a|\xff|b"},
	} {
		if got := strings.Join(splitText(tc.text, tc.n), "|"); got != tc.want {
			t.Errorf("%q in %d is %q, want %q", tc.text, tc.n, got, tc.want)
		}
	}
}
