package llmroute

import (
	"context"
	"encoding/base64"
	"encoding/json"
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

func mockNew(t testing.TB, m *Mock) *Mock {
	t.Helper()
	if err := m.Provision(caddy.Context{Context: context.Background()}); err != nil {
		t.Fatal(err)
	}
	return m
}

func mockPtr(n int) *int { return &n }

// mockDo sends one request to the handler and returns what it recorded.
func mockDo(t testing.TB, m *Mock, method, path, body string, header ...string) *httptest.ResponseRecorder {
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
	mockTools         = `"tools":[{"type":"custom","custom":{"name":"c"}},{"type":"function","function":{"name":"get_\"w\""}},{"type":"function","function":{"name":"other"}}]`
	mockResponseTools = `"tools":[{"type":"web_search"},{"type":"function","name":"get_w"},{"type":"function","name":"other"}]`
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
			"chat calls the first function", "/v1/chat/completions", `{"messages":[{"role":"system"},{"role":"user","content":"x"}],` + mockTools + `}`,
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
			`{"messages":[{"role":"user"}],"tool_choice":{"type":"function","function":{"name":"other"}},` + mockTools + `}`,
			map[string]string{"choices.0.message.tool_calls.0.function.name": `"other"`},
		},
		{
			"chat answers a tool's result with text", "/v1/chat/completions", `{"messages":[{"role":"user"},{"role":"tool"}],` + mockTools + `}`,
			map[string]string{"choices.0.message.content": `"Answer é"`, "choices.0.message.tool_calls": ""},
		},
		{
			"chat calls nothing with tool_choice none", "/v1/chat/completions", `{"messages":[{"role":"user"}],"tool_choice":"none",` + mockTools + `}`,
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
			"responses call the first function", "/v1/responses", `{"input":"x",` + mockResponseTools + `}`,
			map[string]string{
				"output.#": "1", "output.0.type": `"function_call"`, "output.0.name": `"get_w"`, "output.0.arguments": `"{}"`, "output.0.status": `"completed"`,
			},
		},
		{
			"responses answer a function's output with text", "/v1/responses",
			`{"input":[{"role":"user"},{"type":"function_call_output"}],` + mockResponseTools + `}`,
			map[string]string{"output.0.type": `"message"`},
		},
	} {
		t.Run(tc.name, func(t *testing.T) {
			m := mockNew(t, &Mock{Reply: "Answer é"})
			w := mockDo(t, m, "POST", tc.path, tc.body)
			body := w.Body.String()
			if w.Code != 200 || w.Header().Get("Content-Type") != "application/json" || !gjson.Valid(body) {
				t.Fatalf("status %d, header %v, body %s", w.Code, w.Header(), body)
			}
			if got := w.Result().ContentLength; got != int64(len(body)) {
				t.Errorf("content length is %d, the body has %d bytes", got, len(body))
			}
			if strings.Contains(body, "secret") {
				t.Errorf("the prompt is in the answer: %s", body)
			}
			for path, want := range tc.want {
				if got := gjson.Get(body, path).Raw; got != want {
					t.Errorf("%s is %s, want %s", path, got, want)
				}
			}
			// What has an id has one of its own in each answer, and a time.
			again := mockDo(t, m, "POST", tc.path, tc.body).Body.String()
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
	m := mockNew(t, &Mock{})
	body := mockDo(t, m, "POST", "/v1/embeddings", `{"input":"x","encoding_format":"base64"}`).Body.String()
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
	m := mockNew(t, &Mock{Model: "my \"model\""})
	body := mockDo(t, m, "GET", "/v1/models", "").Body.String()
	if !gjson.Valid(body) || gjson.Get(body, "object").Str != "list" || gjson.Get(body, "data.#").Int() != 1 ||
		gjson.Get(body, "data.0.id").Str != `my "model"` || gjson.Get(body, "data.0.object").Str != "model" ||
		gjson.Get(body, "data.0.owned_by").Str == "" || gjson.Get(body, "data.0.created").Int() == 0 {
		t.Error(body)
	}
}

func TestMockErrors(t *testing.T) {
	const chat = "/v1/chat/completions"
	key := []string{"Authorization", "Bearer sk-test"}
	for _, tc := range []struct {
		name, method, path, body string
		header                   []string
		status                   int
		param, code, says        string
	}{
		{"no body", "POST", chat, ``, key, 400, "", "", "not valid JSON"},
		{"half a body", "POST", chat, `{"model":"m"`, key, 400, "", "", "not valid JSON"},
		{"something after the object", "POST", chat, `{}{}`, key, 400, "", "", "not valid JSON"},
		{"wrong JSON deep inside", "POST", chat, `{"messages":[{"role":user}]}`, key, 400, "", "", "not valid JSON"},
		{"an array", "POST", chat, `[]`, key, 400, "", "", "one JSON object"},
		{"a string", "POST", chat, `"x"`, key, 400, "", "", "one JSON object"},
		{"invalid UTF-8", "POST", chat, "{\"model\":\"\xff\"}", key, 400, "", "", "not valid JSON"},
		{"nested beyond all measure", "POST", chat, `{"a":` + strings.Repeat("[", 16<<20), key, 400, "", "", "not valid JSON"},
		{"model is a number", "POST", chat, `{"model":1}`, key, 400, "model", "", "string"},
		{"model is endless", "POST", chat, `{"model":"` + strings.Repeat("m", 300) + `"}`, key, 400, "model", "", "at most"},
		{"stream is a string", "POST", chat, `{"stream":"true"}`, key, 400, "stream", "", "true or false"},
		{"messages is a string", "POST", chat, `{"messages":"x"}`, key, 400, "messages", "", "array"},
		{"stream_options without stream", "POST", chat, `{"stream_options":{}}`, key, 400, "stream_options", "", "only allowed"},
		{"embeddings without input", "POST", "/v1/embeddings", `{}`, key, 400, "input", "", "must be"},
		{"embeddings of nothing", "POST", "/v1/embeddings", `{"input":[]}`, key, 400, "input", "", "must be"},
		{"too many embeddings", "POST", "/v1/embeddings", `{"input":["a"` + strings.Repeat(`,"a"`, 2048) + `]}`, key, 400, "input", "", "2048"},
		{"unknown encoding_format", "POST", "/v1/embeddings", `{"input":"x","encoding_format":"hex"}`, key, 400, "encoding_format", "", "base64"},
		{"unknown path", "POST", `/v1/"files"`, `{}`, key, 404, "", "unknown_url", "/chat/completions"},
		{"chat by GET", "GET", chat, ``, key, 405, "", "method_not_supported", "use POST"},
		{"models by POST", "POST", "/v1/models", `{}`, key, 405, "", "method_not_supported", "use GET"},
		{"no key", "POST", chat, `{}`, nil, 401, "", "invalid_api_key", "Incorrect API key"},
		{"another key", "POST", chat, `{}`, []string{"Authorization", "Bearer sk-tess"}, 401, "", "invalid_api_key", "Incorrect API key"},
		{"another scheme", "POST", chat, `{}`, []string{"Authorization", "Basic sk-test"}, 401, "", "invalid_api_key", "Incorrect API key"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			m := mockNew(t, &Mock{APIKey: "sk-test"})
			w := mockDo(t, m, tc.method, tc.path, tc.body, tc.header...)
			body := w.Body.String()
			e := gjson.Get(body, "error")
			if w.Code != tc.status || !gjson.Valid(body) || e.Get("type").Str != "invalid_request_error" {
				t.Fatalf("status %d, want %d: %s", w.Code, tc.status, body)
			}
			if e.Get("param").Str != tc.param || e.Get("code").Str != tc.code || !e.Get("param").Exists() || !e.Get("code").Exists() {
				t.Errorf("want param %q and code %q: %s", tc.param, tc.code, body)
			}
			if !strings.Contains(e.Get("message").Str, tc.says) || strings.Contains(body, "sk-tes") {
				t.Errorf("want a message with %q and no key: %s", tc.says, body)
			}
			if (tc.status == 405) != (w.Header().Get("Allow") != "") || (tc.status == 401) != (w.Header().Get("Www-Authenticate") != "") {
				t.Errorf("header %v", w.Header())
			}
		})
	}
}

func TestMockAcceptsTheRightKey(t *testing.T) {
	t.Setenv("MOCK_TEST_KEY", "sk-env")
	for _, tc := range []struct{ name, configured, header string }{
		{"literal", "sk-lit", "Bearer sk-lit"},
		{"from the environment", "{env.MOCK_TEST_KEY}", "Bearer sk-env"},
		{"scheme in another case", "sk-lit", "bearer sk-lit"},
		{"none configured", "", "Bearer whatever"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			m := mockNew(t, &Mock{APIKey: tc.configured})
			if w := mockDo(t, m, "POST", "/chat/completions", `{}`, "Authorization", tc.header); w.Code != 200 {
				t.Error(w.Code, w.Body)
			}
		})
	}
}

func TestMockFaultsAreSpreadEvenly(t *testing.T) {
	for _, tc := range []struct {
		ratio float64
		of    int
		want  int
	}{{0, 10, 10}, {1, 10, 10}, {0.5, 10, 5}, {0.25, 100, 25}, {0.1, 1000, 100}, {1.0 / 3, 999, 332}, {0.99, 100, 99}, {0.001, 1000, 1}} {
		m := mockNew(t, &Mock{Status: 429, StatusRatio: tc.ratio, RetryAfter: 7})
		faults, run, longest := 0, 0, 0
		for range tc.of {
			w := mockDo(t, m, "POST", "/v1/chat/completions", `{}`)
			run++
			if w.Code != 200 {
				faults++
				longest = max(longest, run)
				run = 0
				if w.Code != 429 || w.Header().Get("Retry-After") != "7" || gjson.Get(w.Body.String(), "error.code").Str != "rate_limit_exceeded" {
					t.Fatal(w.Code, w.Header(), w.Body)
				}
			} else if w.Header().Get("Retry-After") != "" {
				t.Fatal("Retry-After on a good answer")
			}
		}
		if faults != tc.want {
			t.Errorf("ratio %v: %d faults in %d, want %d", tc.ratio, faults, tc.of, tc.want)
		}
		if tc.ratio > 0 && longest > int(math.Ceil(1/tc.ratio))+1 {
			t.Errorf("ratio %v: one fault only after %d requests", tc.ratio, longest)
		}
	}
}

func TestMockFaultBodies(t *testing.T) {
	for status, kind := range map[int]string{400: "invalid_request_error", 401: "invalid_request_error", 429: "requests", 500: "server_error", 529: "server_error"} {
		w := mockDo(t, mockNew(t, &Mock{Status: status}), "POST", "/v1/chat/completions", `{`)
		if w.Code != status || gjson.Get(w.Body.String(), "error.type").Str != kind || w.Header().Get("Retry-After") != "" {
			t.Error(w.Code, w.Header(), w.Body)
		}
	}
}

func TestMockConfiguredSizes(t *testing.T) {
	m := mockNew(t, &Mock{ReplySize: 5000, PromptTokens: mockPtr(11), CompletionTokens: mockPtr(85)})
	for path, text := range map[string]string{
		"/v1/chat/completions": "choices.0.message.content",
		"/v1/completions":      "choices.0.text",
		"/v1/responses":        "output.0.content.0.text",
	} {
		body := mockDo(t, m, "POST", path, `{}`).Body.String()
		if got := len(gjson.Get(body, text).Str); got != 5000 {
			t.Errorf("%s: the text has %d bytes, want 5000", path, got)
		}
		if total := gjson.Get(body, "usage.total_tokens").Int(); total != 96 {
			t.Errorf("%s: %d tokens in total, want 96", path, total)
		}
	}
	m = mockNew(t, &Mock{PromptTokens: mockPtr(0), CompletionTokens: mockPtr(0)})
	if body := mockDo(t, m, "POST", "/v1/chat/completions", `{}`).Body.String(); gjson.Get(body, "usage.total_tokens").Raw != "0" {
		t.Error("0 tokens, set on purpose, are not reported as 0:", body)
	}
}

func TestMockLatencyEndsWithTheRequest(t *testing.T) {
	m := mockNew(t, &Mock{Latency: caddy.Duration(time.Hour)})
	ctx, cancel := context.WithCancelCause(context.Background())
	left := errors.New("left")
	time.AfterFunc(20*time.Millisecond, func() { cancel(left) })
	w := httptest.NewRecorder()
	err := m.ServeHTTP(w, httptest.NewRequest("POST", "/v1/chat/completions", strings.NewReader(`{}`)).WithContext(ctx), nil)
	var handled caddyhttp.HandlerError
	if !errors.Is(err, left) || !errors.As(err, &handled) || handled.StatusCode != 499 || w.Body.Len() > 0 {
		t.Error(err, w.Body)
	}

	m = mockNew(t, &Mock{Latency: caddy.Duration(30 * time.Millisecond)})
	start := time.Now()
	mockDo(t, m, "POST", "/v1/unknown", `{}`)
	if took := time.Since(start); took < 30*time.Millisecond {
		t.Errorf("an error was sent after %s, before the latency", took)
	}
}

func TestMockRefusesBadOptions(t *testing.T) {
	for _, tc := range []struct{ config, says string }{
		{`{"reply":"x","reply_size":1}`, "not both"},
		{`{"reply_size":-1}`, "reply_size is -1"},
		{`{"reply_size":1000000000}`, "reply_size"},
		{`{"model":"` + strings.Repeat("m", 300) + `"}`, "model has 300 bytes"},
		{`{"chunks":-1}`, "chunks is -1"},
		{`{"chunks":1000000}`, "chunks"},
		{`{"latency":-1}`, "latency"},
		{`{"chunk_interval":-1}`, "chunk_interval"},
		{`{"status":200}`, "400 to 599"},
		{`{"status":500,"status_ratio":1.5}`, "at most 1"},
		{`{"status":500,"status_ratio":1e-9}`, "one in a million"},
		{`{"status_ratio":0.5}`, "needs status"},
		{`{"retry_after":5}`, "needs status"},
		{`{"status":429,"retry_after":-5}`, "retry_after is -5"},
		{`{"abort_after":-1}`, "abort_after is -1"},
		{`{"prompt_tokens":-1}`, "prompt_tokens is -1"},
		{`{"completion_tokens":-1}`, "completion_tokens is -1"},
		{`{"api_key":"{env.MOCK_TEST_UNSET_KEY}"}`, "api_key"},
		{`{"api_key":"{unknown.key}"}`, "api_key"},
		{`{"api_key":" "}`, "api_key is empty"},
	} {
		m := new(Mock)
		if err := json.Unmarshal([]byte(tc.config), m); err != nil {
			t.Fatal(err)
		}
		err := m.Provision(caddy.Context{Context: context.Background()})
		if err == nil || !strings.Contains(err.Error(), tc.says) || !strings.HasPrefix(err.Error(), "llm_mock: ") {
			t.Errorf("%.60s: got error %v, want one with %q", tc.config, err, tc.says)
		}
	}
}

// mockDiscard is the cheapest of response writers, which measures the mock and
// nothing else.
type mockDiscard struct{ header http.Header }

func (w *mockDiscard) Header() http.Header         { return w.header }
func (w *mockDiscard) Write(b []byte) (int, error) { return len(b), nil }
func (w *mockDiscard) WriteHeader(int)             {}
func (w *mockDiscard) Flush()                      {}

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
			m := mockNew(b, &Mock{Chunks: bc.chunks})
			body := strings.NewReader(bc.body)
			r := httptest.NewRequest("POST", "/v1/chat/completions", body)
			w := &mockDiscard{header: make(http.Header)}
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
