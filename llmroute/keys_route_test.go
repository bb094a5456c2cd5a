package llmroute

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
	"github.com/tidwall/gjson"
)

// keysGateway serves llm_keys before llm_route, both loaded from JSON.
func keysGateway(t *testing.T, file, app string) *httptest.Server {
	t.Helper()
	ctx, err := caddy.ProvisionContext(&caddy.Config{
		Admin:   &caddy.AdminConfig{Disabled: true},
		AppsRaw: caddy.ModuleMap{"llm": json.RawMessage(app)},
	})
	if err != nil {
		t.Fatal(err)
	}
	load := func(id, config string) caddyhttp.MiddlewareHandler {
		module, err := ctx.LoadModuleByID(id, json.RawMessage(config))
		if err != nil {
			t.Fatal(err)
		}
		return module.(caddyhttp.MiddlewareHandler)
	}
	keys := load("http.handlers.llm_keys", fmt.Sprintf(`{"file":%q}`, file))
	route := load("http.handlers.llm_route", `{"rules":[{"name":"all","backends":[{"provider":"keys-upstream"}]}]}`)
	end := caddyhttp.HandlerFunc(func(http.ResponseWriter, *http.Request) error { return nil })
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		r = caddyhttp.PrepareRequest(r, caddy.NewReplacer(), w, new(caddyhttp.Server))
		if err := keys.ServeHTTP(w, r, caddyhttp.HandlerFunc(func(w http.ResponseWriter, r *http.Request) error {
			return route.ServeHTTP(w, r, end)
		})); err != nil {
			t.Error(err)
		}
	}))
	t.Cleanup(s.Close)
	return s
}

func TestKeysBeforeRoute(t *testing.T) {
	got := make(chan http.Header, 10)
	up := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		got <- r.Header
		w.Header().Set("Content-Type", "application/json")
		_, _ = io.WriteString(w, `{"object":"chat.completion","choices":[]}`)
	}))
	defer up.Close()
	at, _ := url.Parse(up.URL)
	// The provider opts in to the client's own headers: not even then does it
	// get a virtual key.
	app := fmt.Sprintf(`{"status_listen":"off","providers":{"keys-upstream":{"kind":"openai","host":%q,"scheme":"http","port":%s,`+
		`"forward_headers":["Authorization","X-Api-Key"]}}}`, at.Hostname(), at.Port())
	s := keysGateway(t, writeKeys(t, keyLine("alice", aliceKey, "gpt-4*"), keyLine("bob", bobKey)), app)

	for _, tc := range []struct {
		name, key, model string
		status           int
		code             string
	}{
		{"an allowed model", aliceKey, "gpt-4o", 200, ""},
		{"a model that is not allowed", aliceKey, "qwen-max", 403, "model_not_allowed"},
		{"a key for all models", bobKey, "qwen-max", 200, ""},
		{"an unknown key", "sk-unknown", "gpt-4o", 401, "invalid_api_key"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			req, _ := http.NewRequest(http.MethodPost, s.URL+"/v1/chat/completions", strings.NewReader(`{"model":"`+tc.model+`","messages":[]}`))
			req.Header.Set("Content-Type", "application/json")
			req.Header.Set("Authorization", "Bearer "+tc.key)
			req.Header.Set("X-Api-Key", tc.key)
			res, err := s.Client().Do(req)
			if err != nil {
				t.Fatal(err)
			}
			defer res.Body.Close()
			body, _ := io.ReadAll(res.Body)
			if res.StatusCode != tc.status || gjson.GetBytes(body, "error.code").Str != tc.code || strings.Contains(string(body), tc.key) {
				t.Errorf("status %d, body %s", res.StatusCode, body)
			}
			select {
			case h := <-got:
				if tc.status != 200 {
					t.Error("the provider was called")
				}
				if h.Get("Authorization") != "" || h.Get("X-Api-Key") != "" {
					t.Errorf("the provider got %v", h)
				}
			default:
				if tc.status == 200 {
					t.Error("the provider was not called")
				}
			}
		})
	}
}
