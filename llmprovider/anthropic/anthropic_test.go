package anthropic

import (
	"context"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"

	"github.com/caddyserver/caddy/v2"

	"github.com/caddy-llm/gateway/internal/moduletest"
	"github.com/caddy-llm/gateway/llmprovider"
)

func provisioned(t *testing.T, config string) *Provider {
	t.Helper()
	p := new(Provider)
	if err := json.Unmarshal([]byte(config), p); err != nil {
		t.Fatal(err)
	}
	moduletest.Provision(t, p)
	return p
}

// attempt is the one for a POST with these headers, each a name and a value.
func attempt(t *testing.T, p *Provider, path, body string, s llmprovider.Settings, header ...string) (*llmprovider.Attempt, string, *llmprovider.Error) {
	t.Helper()
	r := httptest.NewRequest(http.MethodPost, path, strings.NewReader(body))
	r.Header.Set("Content-Type", "application/json")
	for i := 0; i+1 < len(header); i += 2 {
		r.Header.Add(header[i], header[i+1])
	}
	in, refused := llmprovider.NewInbound(r)
	if refused == nil {
		refused = in.Read(r, llmprovider.DefaultMaxBody)
	}
	if refused != nil {
		t.Fatal(refused)
	}
	a, refused := p.NewAttempt(t.Context(), in, s)
	if refused != nil {
		return nil, "", refused
	}
	sent, err := io.ReadAll(a.Request.Body)
	if err != nil {
		t.Fatal(err)
	}
	return a, string(sent), nil
}

// TestMessagesPassThrough holds that nothing of a request changes but what the
// configuration says.
func TestMessagesPassThrough(t *testing.T) {
	t.Setenv("LLM_TEST_KEY", "sk-ant-test")
	p := provisioned(t, `{"config":{"api_key":"{env.LLM_TEST_KEY}"},"rules":{"vip":{"model":"claude-opus-5","stream":true}}}`)
	const body = `{ "model":"claude-sonnet-5","max_tokens":1e3, "messages":[{"role":"user","content":"\u0068i"}],"x":12345678901234567890,"stream_options":{"a":1}}`
	for name, test := range map[string]struct {
		path, rule, url, sent string
	}{
		"messages":           {"/v1/messages?beta=true", "", "https://api.anthropic.com/v1/messages", body},
		"without a version":  {"/messages", "", "https://api.anthropic.com/v1/messages", body},
		"below a base":       {"/anthropic/v1/messages", "", "https://api.anthropic.com/v1/messages", body},
		"count_tokens":       {"/v1/messages/count_tokens", "", "https://api.anthropic.com/v1/messages/count_tokens", body},
		"a rule":             {"/v1/messages", "vip", "https://api.anthropic.com/v1/messages", strings.Replace(strings.Replace(body, "claude-sonnet-5", "claude-opus-5", 1), "{", `{"stream":true,`, 1)},
		"a rule for a count": {"/v1/messages/count_tokens", "vip", "https://api.anthropic.com/v1/messages/count_tokens", strings.Replace(body, "claude-sonnet-5", "claude-opus-5", 1)},
	} {
		t.Run(name, func(t *testing.T) {
			a, sent, refused := attempt(t, p, test.path, body, llmprovider.Settings{Rule: test.rule}, "Authorization", "Bearer of-the-client", "Anthropic-Beta", "a,b", "X-Api-Key", "of-the-client")
			if refused != nil {
				t.Fatal(refused)
			}
			if sent != test.sent {
				t.Errorf("sent is\n%s\nwant\n%s", sent, test.sent)
			}
			h := a.Request.Header
			if a.Request.URL.String() != test.url || h.Get("X-Api-Key") != "sk-ant-test" || h.Get("Authorization") != "" || h.Get("Anthropic-Version") != "2023-06-01" || h.Get("Anthropic-Beta") != "a,b" {
				t.Errorf("%s with %v", a.Request.URL, h)
			}
		})
	}
}

func TestVersionOfTheAPI(t *testing.T) {
	for config, want := range map[string]string{
		`{}`: "2024-01-01", `{"headers":{"anthropic-version":"2025-05-05"}}`: "2025-05-05",
	} {
		a, _, refused := attempt(t, provisioned(t, config), "/v1/messages", `{}`, llmprovider.Settings{}, "Anthropic-Version", "2024-01-01")
		if refused != nil || !slices.Equal(a.Request.Header["Anthropic-Version"], []string{want}) {
			t.Errorf("%s: %v, want %s", config, a.Request.Header["Anthropic-Version"], want)
		}
	}
}

// TestOtherAPIsAreTranslated holds where a request in another API goes.
func TestOtherAPIsAreTranslated(t *testing.T) {
	p := provisioned(t, `{"config":{"max_tokens":77},"rules":{"long":{"max_tokens":9000}}}`)
	for _, test := range []struct{ path, rule, body, url, max string }{
		{"/v1/chat/completions", "", `{"model":"m","messages":[{"role":"user","content":"hi"}]}`, "https://api.anthropic.com/v1/messages", `"max_tokens":77`},
		{"/v1/chat/completions", "long", `{"model":"m","messages":[{"role":"user","content":"hi"}]}`, "https://api.anthropic.com/v1/messages", `"max_tokens":9000`},
		{"/v1/chat/completions", "long", `{"model":"m","max_tokens":5,"messages":[{"role":"user","content":"hi"}]}`, "https://api.anthropic.com/v1/messages", `"max_tokens":5`},
		{"/v1/responses/input_tokens", "", `{"model":"m","input":"hi"}`, "https://api.anthropic.com/v1/messages/count_tokens", `"messages"`},
	} {
		a, sent, refused := attempt(t, p, test.path, test.body, llmprovider.Settings{Rule: test.rule}, "Anthropic-Beta", "x")
		if refused != nil {
			t.Errorf("%s: %v", test.path, refused)
			continue
		}
		h := a.Request.Header
		if a.Request.URL.String() != test.url || !strings.Contains(sent, test.max) || h.Get("Anthropic-Version") != "2023-06-01" {
			t.Errorf("%s: %s to %s with %v", test.path, sent, a.Request.URL, h)
		}
	}
	if _, _, refused := attempt(t, p, "/v1/embeddings", `{"input":"x"}`, llmprovider.Settings{}); refused == nil || refused.Status != http.StatusNotFound || refused.Code != "unsupported_endpoint" {
		t.Errorf("embeddings: %v", refused)
	}
	// A count must never become a message that is paid for.
	odd := provisioned(t, `{"host":"a.example","path":"/generate"}`)
	for _, path := range []string{"/v1/messages/count_tokens", "/v1/responses/input_tokens"} {
		if _, _, refused := attempt(t, odd, path, `{"model":"m","input":"hi","messages":[{"role":"user","content":"hi"}]}`, llmprovider.Settings{}); refused == nil || refused.Code != "unsupported_endpoint" {
			t.Errorf("%s: %v", path, refused)
		}
	}
}

func TestListOfModels(t *testing.T) {
	p := provisioned(t, `{"host":"a.example","path":"/b/v1/messages?x=1"}`)
	r, refused := modelsRequest(t, p)
	if refused != nil || r.URL.String() != "https://a.example/b/v1/models?limit=1000&x=1" || r.Header.Get("Anthropic-Version") != "2023-06-01" {
		t.Errorf("%v %v", r, refused)
	}
}

func TestMaxTokensOfAConfiguration(t *testing.T) {
	p := new(Provider)
	_ = json.Unmarshal([]byte(`{"config":{"max_tokens":0}}`), p)
	ctx, cancel := caddy.NewContext(caddy.Context{Context: context.Background()})
	defer cancel()
	if err := p.Provision(ctx); err == nil || !strings.Contains(err.Error(), "max_tokens is not positive") {
		t.Error(err)
	}
	_ = p.Cleanup()
}

func modelsRequest(t *testing.T, p *Provider) (*http.Request, *llmprovider.Error) {
	t.Helper()
	lists, refused := p.ModelLists()
	if refused != nil {
		return nil, refused
	}
	return p.ModelsRequest(t.Context(), lists[0], nil)
}
