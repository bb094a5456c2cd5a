package mock

import (
	"context"
	"encoding/base64"
	"errors"
	"math"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
	"github.com/tidwall/gjson"
)

func newMock(t testing.TB, m *Handler) *Handler {
	t.Helper()
	if err := m.Provision(caddy.Context{Context: context.Background()}); err != nil {
		t.Fatal(err)
	}
	return m
}

func pointer(n int) *int { return &n }

// call sends one request to the handler and returns what it recorded.
func call(t testing.TB, m *Handler, method, path, body string, header ...string) *httptest.ResponseRecorder {
	t.Helper()
	r := httptest.NewRequest(method, path, strings.NewReader(body))
	for i := 0; i+1 < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	w := httptest.NewRecorder()
	if err := m.ServeHTTP(w, r, nil); err != nil {
		t.Fatal(err)
	}
	return w
}

const (
	toolsDoc      = `"tools":[{"type":"custom","custom":{"name":"c"}},{"type":"function","function":{"name":"get_\"w\""}},{"type":"function","function":{"name":"other"}}]`
	responseTools = `"tools":[{"type":"web_search"},{"type":"function","name":"get_w"},{"type":"function","name":"other"}]`
)

func TestMockAnswers(t *testing.T) {
	for _, tc := range []struct {
		name, path, body string
		want             map[string]string // gjson path to the raw value
	}{
		{
			"chat", "/v1/chat/completions", `{"model":"m<\u0041","messages":[{"role":"user","content":"secret"}]}`,
			map[string]string{
				"object": `"chat.completion"`, "model": `"m<\u0041"`, "choices.#": "1",
				"choices.0.index": "0", "choices.0.message.role": `"assistant"`, "choices.0.message.content": `"Answer é"`,
				"choices.0.message.refusal": "null", "choices.0.logprobs": "null", "choices.0.finish_reason": `"stop"`,
				"usage.prompt_tokens": "9", "usage.completion_tokens": "3", "usage.total_tokens": "12",
			},
		},
		{
			"chat below another prefix without a model", "/compatible-mode/v1/chat/completions", `{"messages":[]}`,
			map[string]string{"object": `"chat.completion"`, "model": `"mock-model"`, "usage.prompt_tokens": "1"},
		},
		{
			"a null model is none", "/chat/completions", `{"model":null,"stream":null,"stream_options":null}`,
			map[string]string{"model": `"mock-model"`},
		},
		{
			"of a repeated member the last counts", "/chat/completions", `{"model":"a","mod\u0065l":"b"}`,
			map[string]string{"model": `"b"`},
		},
		{
			"chat calls the first function", "/v1/chat/completions", `{"messages":[{"role":"system"},{"role":"user","content":"x"}],` + toolsDoc + `}`,
			map[string]string{
				"choices.0.message.content": "null", "choices.0.message.tool_calls.#": "1",
				"choices.0.message.tool_calls.0.type":               `"function"`,
				"choices.0.message.tool_calls.0.function.name":      `"get_\"w\""`,
				"choices.0.message.tool_calls.0.function.arguments": `"{}"`,
				"choices.0.finish_reason":                           `"tool_calls"`,
			},
		},
		{
			"chat calls the function asked for", "/v1/chat/completions",
			`{"messages":[{"role":"user"}],"tool_choice":{"type":"function","function":{"name":"other"}},` + toolsDoc + `}`,
			map[string]string{"choices.0.message.tool_calls.0.function.name": `"other"`},
		},
		{
			"chat answers a tool's result with text", "/v1/chat/completions", `{"messages":[{"role":"user"},{"role":"tool"}],` + toolsDoc + `}`,
			map[string]string{"choices.0.message.content": `"Answer é"`, "choices.0.message.tool_calls": ""},
		},
		{
			"chat calls nothing with tool_choice none", "/v1/chat/completions", `{"messages":[{"role":"user"}],"tool_choice":"none",` + toolsDoc + `}`,
			map[string]string{"choices.0.message.content": `"Answer é"`},
		},
		{
			"completions", "/v1/completions", `{"model":"m","prompt":"12345678"}`,
			map[string]string{
				"object": `"text_completion"`, "model": `"m"`, "choices.0.text": `"Answer é"`, "choices.0.index": "0",
				"choices.0.logprobs": "null", "choices.0.finish_reason": `"stop"`, "choices.0.message": "",
				"usage.prompt_tokens": "3", "usage.total_tokens": "6",
			},
		},
		{
			"embeddings of one string", "/v1/embeddings", `{"model":"m","input":"x"}`,
			map[string]string{
				"object": `"list"`, "model": `"m"`, "data.#": "1", "data.0.object": `"embedding"`, "data.0.index": "0",
				"data.0.embedding": "[0.5,-0.5,0.5,0.25,-0.25,0.25,-0.25,0]", "usage.prompt_tokens": "1", "usage.total_tokens": "1",
			},
		},
		{"embeddings of three strings", "/v1/embeddings", `{"input":["x","y","z"],"encoding_format":"float"}`, map[string]string{"data.#": "3", "data.2.index": "2"}},
		{"embeddings of one array of tokens", "/v1/embeddings", `{"input":[1,2,3]}`, map[string]string{"data.#": "1"}},
		{"embeddings of two arrays of tokens", "/v1/embeddings", `{"input":[[1,2],[3]]}`, map[string]string{"data.#": "2"}},
		{
			"moderations", "/v1/moderations", `{"input":["x","y"]}`,
			map[string]string{"results.#": "2", "results.0.flagged": "false", "results.1.categories.violence/graphic": "false", "results.0.category_scores.hate": "0.0"},
		},
		{"moderation of content parts is one", "/v1/moderations", `{"input":[{"type":"text"},{"type":"image_url"}]}`, map[string]string{"results.#": "1"}},
		{"count of tokens", "/v1/responses/input_tokens", `{"input":"12345678"}`, map[string]string{"object": `"response.input_tokens"`, "input_tokens": "3"}},
		{
			"compaction", "/v1/responses/compact", `{"model":"m","input":"12345678"}`,
			map[string]string{"object": `"response.compaction"`, "model": `"m"`, "output.#": "1", "output.0.type": `"compaction"`, "usage.input_tokens": "3"},
		},
		{
			"responses", "/v1/responses", `{"model":"m","input":"12345678"}`,
			map[string]string{
				"object": `"response"`, "model": `"m"`, "status": `"completed"`, "error": "null", "output.#": "1",
				"output.0.type": `"message"`, "output.0.role": `"assistant"`, "output.0.status": `"completed"`,
				"output.0.content.0.type": `"output_text"`, "output.0.content.0.text": `"Answer é"`, "output.0.content.0.annotations": "[]",
				"usage.input_tokens": "3", "usage.output_tokens": "3", "usage.total_tokens": "6",
				"usage.input_tokens_details.cached_tokens": "0", "usage.output_tokens_details.reasoning_tokens": "0",
			},
		},
		{
			"responses call the first function", "/v1/responses", `{"input":"x",` + responseTools + `}`,
			map[string]string{
				"output.#": "1", "output.0.type": `"function_call"`, "output.0.name": `"get_w"`, "output.0.arguments": `"{}"`, "output.0.status": `"completed"`,
			},
		},
		{
			"responses answer a function's output with text", "/v1/responses",
			`{"input":[{"role":"user"},{"type":"function_call_output"}],` + responseTools + `}`,
			map[string]string{"output.0.type": `"message"`},
		},
	} {
		t.Run(tc.name, func(t *testing.T) {
			m := newMock(t, &Handler{Reply: "Answer é"})
			w := call(t, m, "POST", tc.path, tc.body)
			body := w.Body.String()
			if w.Code != 200 || w.Header().Get("Content-Type") != "application/json" || !gjson.Valid(body) {
				t.Fatalf("status %d, header %v, body %s", w.Code, w.Header(), body)
			}
			if got := w.Result().ContentLength; got != int64(len(body)) {
				t.Errorf("content length is %d, the body has %d bytes", got, len(body))
			}
			if strings.Contains(body, "secret") {
				t.Errorf("the prompt is in the response: %s", body)
			}
			for path, want := range tc.want {
				if got := gjson.Get(body, path).Raw; got != want {
					t.Errorf("%s is %s, want %s", path, got, want)
				}
			}
			// What has an id has one of its own in each response, and a time.
			again := call(t, m, "POST", tc.path, tc.body).Body.String()
			if id := gjson.Get(body, "id"); id.Exists() && id.Str == gjson.Get(again, "id").Str {
				t.Errorf("id %s is used twice", id.Str)
			}
			for _, member := range []string{"created", "created_at"} {
				if at := gjson.Get(body, member); at.Exists() && math.Abs(float64(at.Int()-time.Now().Unix())) > 5 {
					t.Errorf("%s is %s", member, at.Raw)
				}
			}
		})
	}
}

func TestMockEmbeddingsAsBase64(t *testing.T) {
	m := newMock(t, &Handler{})
	body := call(t, m, "POST", "/v1/embeddings", `{"input":"x","encoding_format":"base64"}`).Body.String()
	raw, err := base64.StdEncoding.DecodeString(gjson.Get(body, "data.0.embedding").Str)
	if err != nil || len(raw) != 8*4 {
		t.Fatalf("%d bytes, %v: %s", len(raw), err, body)
	}
	var norm float64
	for i := 0; i < len(raw); i += 4 {
		bits := uint32(raw[i]) | uint32(raw[i+1])<<8 | uint32(raw[i+2])<<16 | uint32(raw[i+3])<<24
		norm += math.Pow(float64(math.Float32frombits(bits)), 2)
	}
	if norm != 1 {
		t.Errorf("the vector's length is %v, want 1", norm)
	}
}

func TestMockModels(t *testing.T) {
	m := newMock(t, &Handler{Model: "my \"model\""})
	body := call(t, m, "GET", "/v1/models", "").Body.String()
	if !gjson.Valid(body) || gjson.Get(body, "object").Str != "list" || gjson.Get(body, "data.#").Int() != 1 ||
		gjson.Get(body, "data.0.id").Str != `my "model"` || gjson.Get(body, "data.0.object").Str != "model" ||
		gjson.Get(body, "data.0.owned_by").Str == "" || gjson.Get(body, "data.0.created").Int() == 0 {
		t.Error(body)
	}
}

func TestMockConfiguredSizes(t *testing.T) {
	m := newMock(t, &Handler{ReplySize: 5000, PromptTokens: pointer(11), CompletionTokens: pointer(85)})
	for path, text := range map[string]string{
		"/v1/chat/completions": "choices.0.message.content",
		"/v1/completions":      "choices.0.text",
		"/v1/responses":        "output.0.content.0.text",
	} {
		body := call(t, m, "POST", path, `{}`).Body.String()
		if got := len(gjson.Get(body, text).Str); got != 5000 {
			t.Errorf("%s: the text has %d bytes, want 5000", path, got)
		}
		if total := gjson.Get(body, "usage.total_tokens").Int(); total != 96 {
			t.Errorf("%s: %d tokens in total, want 96", path, total)
		}
	}
	m = newMock(t, &Handler{PromptTokens: pointer(0), CompletionTokens: pointer(0)})
	if body := call(t, m, "POST", "/v1/chat/completions", `{}`).Body.String(); gjson.Get(body, "usage.total_tokens").Raw != "0" {
		t.Error("0 tokens, set on purpose, are not reported as 0:", body)
	}
}

func TestMockLatencyEndsWithTheRequest(t *testing.T) {
	m := newMock(t, &Handler{Latency: caddy.Duration(time.Hour)})
	ctx, cancel := context.WithCancelCause(context.Background())
	left := errors.New("left")
	time.AfterFunc(20*time.Millisecond, func() { cancel(left) })
	w := httptest.NewRecorder()
	err := m.ServeHTTP(w, httptest.NewRequest("POST", "/v1/chat/completions", strings.NewReader(`{}`)).WithContext(ctx), nil)
	var handled caddyhttp.HandlerError
	if !errors.Is(err, left) || !errors.As(err, &handled) || handled.StatusCode != 499 || w.Body.Len() > 0 {
		t.Error(err, w.Body)
	}

	m = newMock(t, &Handler{Latency: caddy.Duration(30 * time.Millisecond)})
	start := time.Now()
	call(t, m, "POST", "/v1/unknown", `{}`)
	if took := time.Since(start); took < 30*time.Millisecond {
		t.Errorf("an error was sent after %s, before the latency", took)
	}
}

// discardWriter is the cheapest of response writers, which measures the mock and
// nothing else.
type discardWriter struct{ header http.Header }

func (w *discardWriter) Header() http.Header         { return w.header }
func (w *discardWriter) Write(b []byte) (int, error) { return len(b), nil }
func (w *discardWriter) WriteHeader(int)             {}
func (w *discardWriter) Flush()                      {}

func BenchmarkMock(b *testing.B) {
	for _, bc := range []struct {
		name   string
		chunks int
		body   string
	}{
		{"300B", 0, `{"model":"m","messages":[{"role":"user","content":"` + strings.Repeat("x", 240) + `"}]}`},
		{"20KB", 0, `{"model":"m","messages":[{"role":"user","content":"` + strings.Repeat("x", 20_000) + `"}]}`},
		{"1MB", 0, `{"model":"m","messages":[{"role":"user","content":"` + strings.Repeat("x", 1_000_000) + `"}]}`},
		{"stream of 100", 100, `{"model":"m","stream":true,"messages":[{"role":"user","content":"x"}]}`},
	} {
		b.Run(bc.name, func(b *testing.B) {
			m := newMock(b, &Handler{Chunks: bc.chunks})
			body := strings.NewReader(bc.body)
			r := httptest.NewRequest("POST", "/v1/chat/completions", body)
			w := &discardWriter{header: make(http.Header)}
			b.ReportAllocs()
			for b.Loop() {
				body.Reset(bc.body)
				if err := m.ServeHTTP(w, r, nil); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
