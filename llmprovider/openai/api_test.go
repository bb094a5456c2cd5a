package openai

import (
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/caddy-llm/gateway/internal/moduletest"
	"github.com/caddy-llm/gateway/llmprovider"
)

// TestFurtherAPIs holds where requests in a further API go, with which key, and that
// their bodies stay as they are.
func TestFurtherAPIs(t *testing.T) {
	t.Setenv("LLM_TEST_KEY", keyText)
	const key = `"config":{"api_key":"{env.LLM_TEST_KEY}","model":"m"}`
	const bearer, xAPIKey = "Bearer " + keyText, keyText
	for _, test := range []struct{ name, config, path, url, bearer, xAPIKey string }{
		{"messages", `{"host":"a.example","path":"/chat/completions","apis":{"messages":{"path":"/anthropic/v1/messages"}},` + key + `}`, "/v1/messages", "https://a.example/anthropic/v1/messages", bearer, ""},
		{"a count", `{"host":"a.example","apis":{"messages":{"path":"/anthropic/v1/messages?x=1"}},` + key + `}`, "/v1/messages/count_tokens", "https://a.example/anthropic/v1/messages/count_tokens?x=1", bearer, ""},
		{"another header", `{"host":"a.example","apis":{"messages":{"key_header":"x-api-key"}},` + key + `}`, "/v1/messages", "https://a.example/v1/messages", "", xAPIKey},
		{"chat beside it", `{"host":"a.example","apis":{"messages":{"key_header":"x-api-key"}},` + key + `}`, "/v1/chat/completions", "https://a.example/v1/chat/completions", bearer, ""},
		{"responses", `{"host":"a.example","apis":{"responses":{"path":"/r/v2/responses"}},` + key + `}`, "/v1/responses", "https://a.example/r/v2/responses", bearer, ""},
		{"a count of responses", `{"host":"a.example","apis":{"responses":{"path":"/r/v2/responses","key_header":"X-Api-Key"}},` + key + `}`, "/v1/responses/input_tokens", "https://a.example/r/v2/responses/input_tokens", "", xAPIKey},
	} {
		t.Run(test.name, func(t *testing.T) {
			p := provisioned(t, test.config)
			const body = `{"model":"of-client", "max_tokens":1e2,"stream_options":{"x":1},"input":"x", "messages":[]}`
			r := post(test.path, "application/json", body)
			r.Header.Set("Authorization", "Bearer of-the-client")
			r.Header.Set("X-Api-Key", "of-the-client")
			a := attempt(t, p, read(t, r), "")
			if got, want := sent(t, a), strings.Replace(body, "of-client", "m", 1); got != want {
				t.Errorf("sent is %s, want %s", got, want)
			}
			h := a.Request.Header
			if a.Request.URL.String() != test.url || h.Get("Authorization") != test.bearer || h.Get("X-Api-Key") != test.xAPIKey {
				t.Errorf("%s with %v", a.Request.URL, h)
			}
			if isMessages := strings.Contains(test.path, "messages"); isMessages != (h.Get("Anthropic-Version") == "2023-06-01") {
				t.Errorf("the version is %q", h.Get("Anthropic-Version"))
			}
		})
	}
}

// TestCountsOfFurtherAPIs holds that a count never becomes a message that is paid for.
func TestCountsOfFurtherAPIs(t *testing.T) {
	p := provisioned(t, `{"host":"a.example","apis":{"messages":{"path":"/claude"},"responses":{"path":"/r"}}}`)
	for _, path := range []string{"/v1/messages/count_tokens", "/v1/responses/input_tokens", "/v1/responses/compact"} {
		_, refused := p.NewAttempt(t.Context(), read(t, post(path, "application/json", `{"model":"m","messages":[],"input":"x"}`)), llmprovider.Settings{})
		if refused == nil || refused.Status != http.StatusNotFound || refused.Code != "unsupported_endpoint" {
			t.Errorf("%s: %v", path, refused)
		}
	}
}

func TestFurtherAPIsThatAreRefused(t *testing.T) {
	for config, want := range map[string]string{
		`{"host":"a.example","apis":{"gemini":{}}}`:                           "providers of this kind support these further APIs: messages, responses",
		`{"host":"a.example","apis":{"messages":{"path":"x"}}}`:               "the path does not begin with a slash",
		`{"host":"a.example","apis":{"messages":{"key_header":"X-Key"}}}`:     "write one of them",
		`{"host":"a.example","path":"/generate","apis":{"messages":{}}}`:      "write its path",
		`{"host":"a.example","path":"/v1/embeddings","apis":{"messages":{}}}`: "write its path",
	} {
		p := parse(t, config)
		if err := p.Provision(moduletest.Context(t)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %q", config, err, want)
		}
		_ = p.Cleanup()
	}
}

// TestResponsesAreTranslatedUnlessSpoken holds which providers get the Responses API as
// it is.
func TestResponsesAreTranslatedUnlessSpoken(t *testing.T) {
	const body = `{"model":"m","input":"hi"}`
	for config, want := range map[string]string{
		`{"host":"api.openai.com"}`:                                                 "https://api.openai.com/v1/responses " + body,
		`{"host":"API.openai.com"}`:                                                 "https://api.openai.com/v1/responses " + body,
		`{"host":"a.example","apis":{"responses":{}}}`:                              "https://a.example/v1/responses " + body,
		`{"host":"a.example","path":"/v1/responses"}`:                               "https://a.example/v1/responses " + body,
		`{"host":"a.example"}`:                                                      "https://a.example/v1/chat/completions ",
		`{"host":"a.example","path":"/generate","apis":{"messages":{"path":"/m"}}}`: "https://a.example/generate ",
	} {
		p := provisioned(t, config)
		a := attempt(t, p, read(t, post("/v1/responses", "application/json", body)), "")
		got := a.Request.URL.String() + " " + sent(t, a)
		native := strings.HasSuffix(want, body)
		if native != (got == want) || !strings.HasPrefix(got, want) || native != (a.Translation == nil) {
			t.Errorf("%s: %s, want %s", config, got, want)
		}
	}
	p := provisioned(t, `{"host":"a.example"}`)
	_, refused := p.NewAttempt(t.Context(), read(t, post("/v1/responses/compact", "application/json", body)), llmprovider.Settings{})
	if refused == nil || refused.Status != http.StatusNotFound {
		t.Errorf("compact: %v", refused)
	}
}

// TestWhichAPIKeepsMost holds in which of the APIs that a provider has a request in
// another one is sent, and that it is the Responses API unless chat completions keep more.
func TestWhichAPIKeepsMost(t *testing.T) {
	t.Setenv("LLM_TEST_KEY", keyText)
	const key = `"config":{"api_key":"{env.LLM_TEST_KEY}"}`
	const official, named, alone = `{"host":"api.openai.com",` + key + `}`, `{"host":"a.example","apis":{"responses":{"path":"/r/responses","key_header":"x-api-key"}},` + key + `}`, `{"host":"a.example","path":"/v1/responses",` + key + `}`
	const opted = `{"host":"api.openai.com","apis":{"responses":{}},` + key + `}`
	const message, gemini = `{"model":"m","max_tokens":99,%s"messages":[{"role":"user","content":"x"}]}`, `{%s"contents":[{"parts":[{"text":"x"}]}]}`
	for _, test := range []struct{ config, path, body, more, to string }{
		{official, "/v1/messages", message, "", "https://api.openai.com/v1/chat/completions"}, // which all accounts and models have
		{official, "/v1beta/models/m:generateContent", gemini, "", "https://api.openai.com/v1/chat/completions"},
		{opted, "/v1/messages", message, "", "https://api.openai.com/v1/responses"},
		{opted, "/v1/messages", message, `"thinking":{"type":"adaptive"},`, "https://api.openai.com/v1/responses"},
		{opted, "/v1/messages", message, `"top_k":5,`, "https://api.openai.com/v1/responses"}, // lost in both
		{opted, "/v1/messages", message, `"stop_sequences":["a"],`, "https://api.openai.com/v1/chat/completions"},
		{official, "/v1/messages/count_tokens", message, "", "https://api.openai.com/v1/responses/input_tokens"},
		{opted, "/v1beta/models/m:generateContent", gemini, "", "https://api.openai.com/v1/responses"},
		{opted, "/v1beta/models/m:generateContent", gemini, `"generationConfig":{"seed":5},`, "https://api.openai.com/v1/chat/completions"},
		{opted, "/v1beta/models/m:generateContent", gemini, `"generationConfig":{"candidateCount":2},`, "https://api.openai.com/v1/chat/completions"},
		{official, "/v1beta/models/m:countTokens", gemini, "", "https://api.openai.com/v1/responses/input_tokens"},
		{named, "/v1/messages", message, "", "https://a.example/r/responses"},
		{named, "/v1/messages", message, `"stop_sequences":["a"],`, "https://a.example/v1/chat/completions"},
		{alone, "/v1/messages", message, "", "https://a.example/v1/responses"},
		{alone, "/v1/messages", message, `"stop_sequences":["a"],`, ""},
		{alone, "/v1/chat/completions", message, "", "https://a.example/v1/responses"},
		{alone, "/v1/completions", `{"model":"m",%s"prompt":"x"}`, "", ""},
		{`{"host":"a.example",` + key + `}`, "/v1/messages", message, "", "https://a.example/v1/chat/completions"},
		{`{"host":"a.example",` + key + `}`, "/v1/messages/count_tokens", message, "", ""},
		{`{"host":"a.example","apis":{"responses":{"path":"/r"}},` + key + `}`, "/v1/messages/count_tokens", message, "", ""},
		{official, "/v1beta/models/m:embedContent", `{%s"content":{"parts":[{"text":"x"}]}}`, "", "https://api.openai.com/v1/embeddings"},
	} {
		p := provisioned(t, test.config)
		a, refused := p.NewAttempt(t.Context(), read(t, post(test.path, "application/json", fmt.Sprintf(test.body, test.more))), llmprovider.Settings{})
		if refused != nil {
			if test.to != "" {
				t.Errorf("%s with %s: %v", test.path, test.more, refused)
			}
			continue
		}
		if got := a.Request.URL.String(); got != test.to {
			t.Errorf("%s with %s goes to %s, want %s", test.path, test.more, got, test.to)
		}
		header, value := "Authorization", "Bearer "+keyText
		if test.to == "https://a.example/r/responses" {
			header, value = "X-Api-Key", keyText
		}
		if got := a.Request.Header[header]; len(got) != 1 || got[0] != value {
			t.Errorf("%s: the key is sent as %v", test.path, a.Request.Header)
		}
	}
}
