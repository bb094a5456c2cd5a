package google

import (
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/caddy-llm/gateway/internal/moduletest"
	"github.com/caddy-llm/gateway/llmprovider"
)

func provisioned(t *testing.T, config string) *Gemini {
	t.Helper()
	g := new(Gemini)
	if err := json.Unmarshal([]byte(config), g); err != nil {
		t.Fatal(err)
	}
	moduletest.Provision(t, g)
	return g
}

func TestWhereRequestsGo(t *testing.T) {
	t.Setenv("LLM_TEST_KEY", "sk-google")
	const contents = `{"contents":[{"parts":[{"text":"x"}]}], "model":"models/other"}`
	for _, test := range []struct{ config, path, body, to, sent string }{
		{`{"config":{"api_key":"{env.LLM_TEST_KEY}"}}`, "/v1beta/models/m:generateContent?key=client", contents, "https://generativelanguage.googleapis.com/v1beta/models/m:generateContent", contents},
		{`{"config":{"api_key":"{env.LLM_TEST_KEY}"}}`, "/v1beta/models/m:streamGenerateContent?alt=sse", contents, "https://generativelanguage.googleapis.com/v1beta/models/m:streamGenerateContent?alt=sse", contents},
		{`{"config":{"api_key":"{env.LLM_TEST_KEY}"}}`, "/models/m:streamGenerateContent", contents, "https://generativelanguage.googleapis.com/v1beta/models/m:streamGenerateContent", contents},
		{`{"config":{"api_key":"{env.LLM_TEST_KEY}","model":"fixed"}}`, "/v1beta/models/m:generateContent", contents, "https://generativelanguage.googleapis.com/v1beta/models/fixed:generateContent", contents},
		{`{"config":{"api_key":"{env.LLM_TEST_KEY}","model":"tunedModels/a b"}}`, "/v1beta/models/m:countTokens", contents, "https://generativelanguage.googleapis.com/v1beta/tunedModels/a%20b:countTokens", contents},
		{`{"config":{"api_key":"{env.LLM_TEST_KEY}","model":"fixed"}}`, "/v1beta/models/e:embedContent", contents, "https://generativelanguage.googleapis.com/v1beta/models/e:embedContent", contents},
		{`{"config":{"api_key":"{env.LLM_TEST_KEY}","stream":false}}`, "/v1beta/models/m:streamGenerateContent?alt=sse", contents, "https://generativelanguage.googleapis.com/v1beta/models/m:generateContent", contents},
		{`{"host":"g.example","scheme":"http","port":81,"path":"/base/v1?x=1","config":{"api_key":"{env.LLM_TEST_KEY}"}}`, "/v1beta/models/m:streamGenerateContent?alt=sse", contents, "http://g.example:81/base/v1/models/m:streamGenerateContent?x=1&alt=sse", contents},
		{`{"config":{"api_key":"{env.LLM_TEST_KEY}","model":"g"}}`, "/v1/chat/completions", `{"messages":[{"role":"user","content":"x"}],"stream":true}`, "https://generativelanguage.googleapis.com/v1beta/models/g:streamGenerateContent?alt=sse", ""},
		{`{"config":{"api_key":"{env.LLM_TEST_KEY}","model":"g"}}`, "/v1/messages", `{"max_tokens":5,"messages":[{"role":"user","content":"x"}]}`, "https://generativelanguage.googleapis.com/v1beta/models/g:generateContent", ""},
		{`{"config":{"api_key":"{env.LLM_TEST_KEY}"}}`, "/v1/embeddings", `{"model":"e","input":"x"}`, "https://generativelanguage.googleapis.com/v1beta/models/e:batchEmbedContents", ""},
	} {
		g := provisioned(t, test.config)
		r := httptest.NewRequest(http.MethodPost, test.path, strings.NewReader(test.body))
		r.Header.Set("Content-Type", "application/json")
		in, refused := llmprovider.NewInbound(r)
		if refused == nil {
			refused = in.Read(r, llmprovider.DefaultMaxBody)
		}
		if refused != nil {
			t.Fatal(refused)
		}
		a, refused := g.NewAttempt(t.Context(), in, llmprovider.Settings{})
		if refused != nil {
			t.Errorf("%s: %v", test.path, refused)
			continue
		}
		sent, _ := io.ReadAll(a.Request.Body)
		if got := a.Request.URL.String(); got != test.to || test.sent != "" && string(sent) != test.sent {
			t.Errorf("%s with %s goes to %s, want %s: %s", test.path, test.config, got, test.to, sent)
		}
		if got := a.Request.Header.Get("X-Goog-Api-Key"); got != "sk-google" || strings.Contains(a.Request.URL.RawQuery, "key") {
			t.Errorf("%s: the key is %q", test.path, got)
		}
	}
}

func TestModelsStayInTheirPath(t *testing.T) {
	t.Setenv("LLM_TEST_KEY", "sk-google")
	for _, model := range []string{"../x", "..", "./x", "/x", "x/..", "x/"} {
		g := provisioned(t, `{"config":{"api_key":"{env.LLM_TEST_KEY}","model":"`+model+`"}}`)
		for path, body := range map[string]string{
			"/v1/chat/completions":             `{"messages":[{"role":"user","content":"x"}]}`,
			"/v1beta/models/m:generateContent": `{"contents":[{"parts":[{"text":"x"}]}]}`,
			"/v1/embeddings":                   `{"input":"x"}`,
		} {
			r := httptest.NewRequest(http.MethodPost, path, strings.NewReader(body))
			r.Header.Set("Content-Type", "application/json")
			in, refused := llmprovider.NewInbound(r)
			if refused == nil {
				refused = in.Read(r, llmprovider.DefaultMaxBody)
			}
			if refused != nil {
				t.Fatal(refused)
			}
			if a, refused := g.NewAttempt(t.Context(), in, llmprovider.Settings{}); refused == nil {
				t.Errorf("%s at %s goes to %s", model, path, a.Request.URL)
			}
		}
	}
}
