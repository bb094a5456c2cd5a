package azure

import (
	"context"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/caddyserver/caddy/v2"

	"github.com/caddy-llm/gateway/internal/moduletest"
	"github.com/caddy-llm/gateway/llmprovider"
)

const keyText = "key-never-shown"

func parse(t *testing.T, config string) *Provider {
	t.Helper()
	p := new(Provider)
	if err := json.Unmarshal([]byte(config), p); err != nil {
		t.Fatal(err)
	}
	return p
}

func provisioned(t *testing.T, config string) *Provider {
	t.Helper()
	p := parse(t, config)
	moduletest.Provision(t, p)
	return p
}

func attempt(t *testing.T, p *Provider, path, body string) (*llmprovider.Attempt, *llmprovider.Error) {
	t.Helper()
	r := httptest.NewRequest(http.MethodPost, path, strings.NewReader(body))
	r.Header.Set("Content-Type", "application/json")
	for _, name := range []string{"Api-Key", "Authorization", "X-Api-Key"} {
		r.Header.Set(name, "of-the-client")
	}
	in, refused := llmprovider.NewInbound(r)
	if refused == nil {
		refused = in.Read(r, llmprovider.DefaultMaxBody)
	}
	if refused != nil {
		t.Fatal(refused)
	}
	return p.NewAttempt(t.Context(), in, llmprovider.Settings{})
}

func TestWhereRequestsGo(t *testing.T) {
	t.Setenv("LLM_TEST_KEY", keyText)
	const key = `"config":{"api_key":"{env.LLM_TEST_KEY}"}`
	const v1, classic = `{"host":"r.openai.azure.com",` + key + `}`, `{"host":"r.openai.azure.com","api_version":"2024-10-21",` + key + `}`
	const foundry = `{"host":"r.services.ai.azure.com",` + key + `}`
	const chat, input = `{"model":"d-1","messages":[{"role":"user","content":"x"}]}`, `{"model":"d-1","input":"x"}`
	const message = `{"model":"d-1","max_tokens":9,"messages":[{"role":"user","content":"x"}]}`
	for _, test := range []struct{ config, path, body, to, same string }{
		{v1, "/v1/chat/completions", chat, "https://r.openai.azure.com/openai/v1/chat/completions", chat},
		{v1, "/openai/v1/chat/completions?api-version=preview", chat, "https://r.openai.azure.com/openai/v1/chat/completions", chat},
		{v1, "/openai/deployments/d%2D2/chat/completions?api-version=2024-10-21", `{"messages":[]}`, "https://r.openai.azure.com/openai/v1/chat/completions", `{"model":"d-2","messages":[]}`},
		{v1, "/openai/deployments/d-2/embeddings", `{"input":"x"}`, "https://r.openai.azure.com/openai/v1/embeddings", `{"model":"d-2","input":"x"}`},
		{v1, "/v1/responses", input, "https://r.openai.azure.com/openai/v1/responses", input},
		{v1, "/openai/responses?api-version=2025-03-01-preview", input, "https://r.openai.azure.com/openai/v1/responses", input},
		{v1, "/v1/messages", message, "https://r.openai.azure.com/openai/v1/chat/completions", ""},
		{v1, "/v1beta/models/d-1:generateContent", `{"contents":[{"parts":[{"text":"x"}]}]}`, "https://r.openai.azure.com/openai/v1/chat/completions", ""},
		{classic, "/v1/chat/completions", chat, "https://r.openai.azure.com/openai/deployments/d-1/chat/completions?api-version=2024-10-21", chat},
		{classic, "/openai/deployments/d-2/chat/completions?api-version=other", `{"messages":[]}`, "https://r.openai.azure.com/openai/deployments/d-2/chat/completions?api-version=2024-10-21", `{"model":"d-2","messages":[]}`},
		{classic, "/v1/embeddings", `{"model":"a b/c?d","input":"x"}`, "https://r.openai.azure.com/openai/deployments/a%20b%2Fc%3Fd/embeddings?api-version=2024-10-21", `{"model":"a b/c?d","input":"x"}`},
		{classic, "/v1/images/generations", `{"model":"i","prompt":"x"}`, "https://r.openai.azure.com/openai/deployments/i/images/generations?api-version=2024-10-21", `{"model":"i","prompt":"x"}`},
		{classic, "/v1/responses", input, "https://r.openai.azure.com/openai/responses?api-version=2024-10-21", input},
		{classic, "/v1/messages", message, "https://r.openai.azure.com/openai/deployments/d-1/chat/completions?api-version=2024-10-21", ""},
		{foundry, "/v1/messages", message, "https://r.services.ai.azure.com/anthropic/v1/messages", message},
		{foundry, "/anthropic/v1/messages/count_tokens", message, "https://r.services.ai.azure.com/anthropic/v1/messages/count_tokens", message},
		{`{"host":"r.services.ai.azure.com","apis":{"messages":{}},` + key + `}`, "/v1/messages", message, "https://r.services.ai.azure.com/anthropic/v1/messages", message},
		{foundry, "/v1/chat/completions", chat, "https://r.services.ai.azure.com/openai/v1/chat/completions", chat},
		{`{"host":"gw.example","scheme":"http","port":81,"path":"/base/openai/v1/chat/completions",` + key + `}`, "/v1/embeddings", input, "http://gw.example:81/base/openai/v1/embeddings", input},
	} {
		p := provisioned(t, test.config)
		a, refused := attempt(t, p, test.path, test.body)
		if refused != nil {
			t.Errorf("%s: %v", test.path, refused)
			continue
		}
		if got := a.Request.URL.String(); got != test.to {
			t.Errorf("%s goes to %s, want %s", test.path, got, test.to)
		}
		data, _ := io.ReadAll(a.Request.Body)
		if test.same != "" && string(data) != test.same {
			t.Errorf("%s: the body is %s, want %s", test.path, data, test.same)
		}
		header, others := "Api-Key", []string{"Authorization", "X-Api-Key"}
		if strings.Contains(test.to, "/anthropic/") {
			header, others = "X-Api-Key", []string{"Authorization", "Api-Key"}
		}
		if got := a.Request.Header[header]; len(got) != 1 || got[0] != keyText {
			t.Errorf("%s: the key is sent as %q", test.path, got)
		}
		for _, name := range others {
			if a.Request.Header[name] != nil {
				t.Errorf("%s: %s is sent", test.path, name)
			}
		}
	}
}

func TestModels(t *testing.T) {
	for config, want := range map[string]string{
		`{"host":"r.openai.azure.com"}`:                            "https://r.openai.azure.com/openai/v1/models",
		`{"host":"r.openai.azure.com","api_version":"2024-10-21"}`: "https://r.openai.azure.com/openai/models?api-version=2024-10-21",
	} {
		r, refused := modelsRequest(t, provisioned(t, config))
		if refused != nil || r.URL.String() != want {
			t.Errorf("%s: %v, %v", config, r.URL, refused)
		}
	}
}

func TestNoDeployment(t *testing.T) {
	p := provisioned(t, `{"host":"r.openai.azure.com","api_version":"2024-10-21"}`)
	if _, refused := attempt(t, p, "/v1/chat/completions", `{"messages":[]}`); refused == nil || refused.Status != http.StatusBadRequest || refused.Param != "model" {
		t.Errorf("%v", refused)
	}
	for _, model := range []string{"../../x", "..", ".", "a/../b", "a%2e"} {
		a, refused := attempt(t, p, "/v1/chat/completions", `{"model":"`+model+`","messages":[]}`)
		if refused == nil && strings.Count(a.Request.URL.EscapedPath(), "/") != 5 {
			t.Errorf("%s: %s", model, a.Request.URL)
		}
	}
}

func TestRefused(t *testing.T) {
	for config, want := range map[string]string{
		`{}`: "a host is required",
		`{"host":"a.example","api_version":"2024?x=1"}`:                                                         "api_version: this is not an API version",
		`{"host":"a.example","api_version":"2024-10-21","path":"/x"}`:                                           "; remove ",
		`{"host":"a.example","entra":{"method":"magic"}}`:                                                       `unknown method "magic"`,
		`{"host":"a.example","entra":{"tenant_id":"t"}}`:                                                        "a method is required",
		`{"host":"a.example","entra":{"method":"client_secret"}}`:                                               "client_secret is required",
		`{"host":"a.example","entra":{"method":"auto","client_secret":"written-out"}}`:                          "{env.NAME}",
		`{"host":"a.example","entra":{"method":"managed_identity","client_secret":"{env.X}"}}`:                  "; remove ",
		`{"host":"a.example","entra":{"method":"managed_identity","token_file":"/x"}}`:                          "; remove ",
		`{"host":"a.example","entra":{"method":"auto","client_secret":"{env.X}","token_file":"/x"}}`:            "keep one of them",
		`{"host":"a.example","entra":{"method":"auto","client_secret":"{env.X}","tenant_id":"../../evil?x=1"}}`: "characters that are not allowed in a tenant ID",
		`{"host":"a.example","apis":{"responses":{}}}`:                                                          "further APIs: messages",
	} {
		p := parse(t, config)
		ctx, cancel := caddy.NewContext(caddy.Context{Context: context.Background()})
		err := p.Provision(ctx)
		if err == nil || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "written-out") {
			t.Errorf("%s: %v, want %q", config, err, want)
		}
		_ = p.Cleanup()
		cancel()
	}
}

func TestCopy(t *testing.T) {
	const config = `{"host":"r.services.ai.azure.com","keep_stream_options":true,"api_version":"2024-10-21","entra":{"method":"auto","client_secret":"{env.X}"}}`
	p := provisioned(t, config)
	q, ok := p.Copy().(*Provider)
	if !ok || q.Account != nil || !q.KeepStreamOptions || q.APIVersion != p.APIVersion || q.Entra != p.Entra {
		t.Errorf("%+v", q)
	}
}

func modelsRequest(t *testing.T, p *Provider) (*http.Request, *llmprovider.Error) {
	t.Helper()
	lists, refused := p.ModelLists()
	if refused != nil {
		return nil, refused
	}
	return p.ModelsRequest(t.Context(), lists[0], nil)
}
