package bedrock

import (
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/caddy-llm/gateway/llmprovider"
)

// TestFurtherAPIs holds which requests pass in the APIs of others, where they go, and that
// they are signed for the service that has them.
func TestFurtherAPIs(t *testing.T) {
	staticAccount(t)
	const runtime, mantle = "https://bedrock-runtime.eu-central-1.amazonaws.com", "https://bedrock-mantle.eu-central-1.api.aws"
	const none, openai, at = `{"region":"eu-central-1"}`, `{"region":"eu-central-1","apis":{"chat":{},"responses":{}}}`, `{"region":"eu-central-1","host":"bedrock-mantle.eu-central-1.api.aws"}`
	const gpt, nova, messages = `{"model":"openai.gpt-oss-120b","messages":[{"role":"user","content":"x"}]}`, "amazon.nova-3:0", `{"model":"` + claude + `","max_tokens":9,"messages":[{"role":"user","content":"x"}]}`
	const responses = `{"model":"openai.gpt-oss-120b","input":"x"}`
	for _, test := range []struct{ config, path, body, to, same string }{
		{none, "/v1/chat/completions", gpt, runtime + "/model/openai.gpt-oss-120b/converse", ""},
		{openai, "/v1/chat/completions", gpt, runtime + "/openai/v1/chat/completions", gpt},
		{openai, "/v1/chat/completions", `{"stream":true,"model":"m","messages":[]}`, runtime + "/openai/v1/chat/completions", `{"stream_options":{"include_usage":true},"stream":true,"model":"m","messages":[]}`},
		{strings.Replace(openai, "{", `{"config":{"stream":false},`, 1), "/v1/responses", `{"stream_options":{"include_obfuscation":false},"stream":true,"model":"m","input":"x"}`, runtime + "/openai/v1/responses", `{"stream":false,"model":"m","input":"x"}`},
		{openai, "/v1/responses", responses, runtime + "/openai/v1/responses", responses},
		{openai, "/v1/responses/input_tokens", responses, runtime + "/openai/v1/responses/input_tokens", responses},
		{openai, "/v1/chat/completions", messages, runtime + "/model/eu.anthropic.claude-sonnet-5-v1%3A0/invoke", ""},
		{openai, "/v1/messages", messages, runtime + "/model/eu.anthropic.claude-sonnet-5-v1%3A0/invoke", ""},
		{openai, "/v1/messages", strings.Replace(messages, claude, nova, 1), runtime + "/model/amazon.nova-3%3A0/converse", ""},
		{`{"region":"eu-central-1","apis":{"messages":{}}}`, "/v1/messages", messages, runtime + "/anthropic/v1/messages", messages},
		{`{"region":"eu-central-1","apis":{"chat":{"path":"/v1/chat/completions"}}}`, "/v1/chat/completions", gpt, runtime + "/v1/chat/completions", gpt},
		{`{"region":"eu-central-1","path":"/base","apis":{"chat":{}}}`, "/v1/chat/completions", gpt, runtime + "/base/openai/v1/chat/completions", gpt},
		{at, "/v1/chat/completions", gpt, mantle + "/v1/chat/completions", gpt},
		{`{"region":"eu-central-1","host":"Bedrock-Mantle.eu-central-1.api.aws","apis":{"chat":{"path":"/openai/v1/chat/completions"}}}`, "/v1/chat/completions", gpt, strings.ToLower(mantle) + "/openai/v1/chat/completions", gpt},
		{at, "/v1/responses", responses, mantle + "/v1/responses", responses},
		{at, "/v1/messages", messages, mantle + "/anthropic/v1/messages", messages},
		{at, "/v1/messages/count_tokens", messages, mantle + "/anthropic/v1/messages/count_tokens", messages},
		{at, "/v1/chat/completions", messages, mantle + "/anthropic/v1/messages", ""},
		{at, "/v1/messages", strings.Replace(messages, claude, nova, 1), mantle + "/v1/chat/completions", ""},
		{at, "/v1beta/models/" + nova + ":generateContent", `{"contents":[{"parts":[{"text":"x"}]}]}`, mantle + "/v1/chat/completions", ""},
		{at, "/v1beta/models/" + claude + ":countTokens", `{"contents":[{"parts":[{"text":"x"}]}]}`, mantle + "/anthropic/v1/messages/count_tokens", ""},
		{at, "/v1beta/models/" + nova + ":countTokens", `{"contents":[{"parts":[{"text":"x"}]}]}`, "404", ""},
		{at, "/v1/embeddings", `{"model":"cohere.embed-v4:0","input":"x"}`, "404", ""},
	} {
		p := provisioned(t, test.config)
		r := httptest.NewRequest(http.MethodPost, test.path, strings.NewReader(test.body))
		r.Header = http.Header{"Content-Type": {"application/json"}, "X-Api-Key": {"of-the-client"}}
		in, refused := llmprovider.NewInbound(r)
		if refused == nil {
			refused = in.Read(r, llmprovider.DefaultMaxBody)
		}
		if refused != nil {
			t.Fatal(refused)
		}
		a, refused := p.NewAttempt(t.Context(), in, llmprovider.Settings{})
		if refused != nil {
			if test.to != "404" || refused.Status != http.StatusNotFound {
				t.Errorf("%s %s: %v", test.path, test.body, refused)
			}
			continue
		}
		if got := strings.ToLower(a.Request.URL.Host); a.Request.URL.Scheme+"://"+got+a.Request.URL.EscapedPath() != test.to {
			t.Errorf("%s %s goes to %s, want %s", test.config, test.path, a.Request.URL, test.to)
		}
		body, _ := io.ReadAll(a.Request.Body)
		if !json.Valid(body) || test.same != "" && string(body) != test.same {
			t.Errorf("%s: the body is %s, want %s", test.path, body, test.same)
		}
		a.Request.RequestURI = a.Request.URL.RequestURI()
		if err := verify(a.Request, body, keyID, secretText, "eu-central-1"); err != nil {
			t.Errorf("%s: %v", a.Request.URL, err)
		}
		if native := strings.Contains(test.to, "/anthropic/"); native != (a.Request.Header.Get("Anthropic-Version") == "2023-06-01") || a.Request.Header.Get("X-Api-Key") != "" {
			t.Errorf("%s: %v", test.to, a.Request.Header)
		}
	}
	lists, refused := provisioned(t, at).ModelLists()
	if refused != nil || len(lists) != 1 || lists[0].String() != mantle+"/v1/models" {
		t.Errorf("%v, %v", lists, refused)
	}
	if lists, refused := provisioned(t, strings.Replace(at, "}", `,"apis":{"chat":{"path":"/x"}}}`, 1)).ModelLists(); refused == nil || refused.Status != http.StatusNotFound {
		t.Errorf("%v, %v", lists, refused)
	}
	for host, want := range map[string]bool{"bedrock-mantle.eu-central-1.api.aws": true, "bedrock-mantle.evil.example": false, "x.bedrock-mantle.eu-central-1.api.aws": false, "bedrock-runtime.eu-central-1.amazonaws.com": false} {
		if isMantle(host) != want {
			t.Error(host)
		}
	}
}

// TestKeyOfMantle holds that an API key is sent in the header of the API.
func TestKeyOfMantle(t *testing.T) {
	t.Setenv("LLM_TEST_KEY", "bearer-key")
	p := provisioned(t, `{"region":"eu-central-1","host":"bedrock-mantle.eu-central-1.api.aws","apis":{"messages":{"key_header":"x-api-key"}},"config":{"api_key":"{env.LLM_TEST_KEY}"}}`)
	for body, header := range map[string]string{`{"model":"` + claude + `","messages":[]}`: "X-Api-Key", `{"model":"m","max_tokens":9,"messages":[{"role":"user","content":"x"}]}`: "Authorization"} {
		a, refused := attempt(t, p, "/v1/messages", body)
		if refused != nil {
			t.Fatal(refused)
		}
		if got := a.Request.Header.Get(header); !strings.HasSuffix(got, "bearer-key") || (header == "X-Api-Key") == (a.Request.Header.Get("Authorization") != "") {
			t.Errorf("%s: %v", body, a.Request.Header)
		}
	}
}
