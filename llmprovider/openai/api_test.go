package openai

import (
	"net/http"
	"strings"
	"testing"

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
		`{"host":"a.example","apis":{"gemini":{}}}`:                           "a provider of this kind may have these further APIs: messages, responses",
		`{"host":"a.example","apis":{"messages":{"path":"x"}}}`:               "the path does not begin with a slash",
		`{"host":"a.example","apis":{"messages":{"key_header":"X-Key"}}}`:     "write one of them",
		`{"host":"a.example","path":"/generate","apis":{"messages":{}}}`:      "write its path",
		`{"host":"a.example","path":"/v1/embeddings","apis":{"messages":{}}}`: "write its path",
	} {
		p := parse(t, config)
		if err := p.Provision(newContext(t)); err == nil || !strings.Contains(err.Error(), want) {
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
