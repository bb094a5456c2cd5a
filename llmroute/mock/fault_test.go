package mock

import (
	"context"
	"encoding/json"
	"math"
	"strings"
	"testing"

	"github.com/caddyserver/caddy/v2"
	"github.com/tidwall/gjson"
)

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
			m := newMock(t, &Handler{APIKey: "sk-test"})
			w := call(t, m, tc.method, tc.path, tc.body, tc.header...)
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
			m := newMock(t, &Handler{APIKey: tc.configured})
			if w := call(t, m, "POST", "/chat/completions", `{}`, "Authorization", tc.header); w.Code != 200 {
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
		m := newMock(t, &Handler{Status: 429, StatusRatio: tc.ratio, RetryAfter: 7})
		faults, run, longest := 0, 0, 0
		for range tc.of {
			w := call(t, m, "POST", "/v1/chat/completions", `{}`)
			run++
			if w.Code != 200 {
				faults++
				longest = max(longest, run)
				run = 0
				if w.Code != 429 || w.Header().Get("Retry-After") != "7" || gjson.Get(w.Body.String(), "error.code").Str != "rate_limit_exceeded" {
					t.Fatal(w.Code, w.Header(), w.Body)
				}
			} else if w.Header().Get("Retry-After") != "" {
				t.Fatal("Retry-After on a good response")
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
		w := call(t, newMock(t, &Handler{Status: status}), "POST", "/v1/chat/completions", `{`)
		if w.Code != status || gjson.Get(w.Body.String(), "error.type").Str != kind || w.Header().Get("Retry-After") != "" {
			t.Error(w.Code, w.Header(), w.Body)
		}
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
		m := new(Handler)
		if err := json.Unmarshal([]byte(tc.config), m); err != nil {
			t.Fatal(err)
		}
		err := m.Provision(caddy.Context{Context: context.Background()})
		if err == nil || !strings.Contains(err.Error(), tc.says) || !strings.HasPrefix(err.Error(), "llm_mock: ") {
			t.Errorf("%.60s: got error %v, want one with %q", tc.config, err, tc.says)
		}
	}
}
