package operations_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/caddy-llm/gateway/integration/gateway"
)

// A key that stands in a configuration is refused, with what to write instead
// and without the key.
func TestLiteralKeysAreRefused(t *testing.T) {
	const key = "sk-literal-0123456789abcdef"
	site := func(provider string) string {
		return "{\n\tllm {\n\t\tstatus_listen off\n\t\tprovider p {\n\t\t\thost api.example.com\n" + provider + "\n\t\t}\n\t}\n}\nhttp://:" + fmt.Sprint(gateway.FreePort(t)) + " {\n\tllm_route {\n\t\tto p\n\t}\n}\n"
	}
	config := func(provider string) string {
		return `{"apps":{"llm":{"status_listen":"off","providers":{"p":{"kind":"openai","host":"api.example.com",` + provider + `}}}}}`
	}
	for name, text := range map[string]string{
		"key in a Caddyfile":                 site("\t\t\tapi_key " + key),
		"key with a reference":               site("\t\t\tapi_key {http.request.header." + key + "}"),
		"key for a rule in a Caddyfile":      site("\t\t\tfor r {\n\t\t\t\tapi_key " + key + "\n\t\t\t}"),
		"header in a Caddyfile":              site("\t\t\theader X-Api-Key " + key),
		"key from what Caddy replaces first": site("\t\t\tapi_key {$KEY}"),
		"key in JSON":                        config(`"config":{"api_key":"` + key + `"}`),
		"key for a rule in JSON":             config(`"rules":{"r":{"api_key":"` + key + `"}}`),
		"header in JSON":                     config(`"headers":{"Authorization":"Bearer ` + key + `"}`),
	} {
		t.Run(name, func(t *testing.T) {
			g, err := gateway.TryStart(t, text, gateway.Env("KEY", key))
			if err == nil {
				t.Fatal("it started")
			}
			if !strings.Contains(err.Error(), "{env.") || !strings.Contains(err.Error(), "{file.") {
				t.Errorf("the error does not say what to write: %v", err)
			}
			for _, l := range append(g.Logs(), gateway.LogLine{Raw: err.Error()}) {
				if strings.Contains(l.Raw, key) {
					t.Errorf("the key is in %s", l.Raw)
				}
			}
		})
	}

	t.Run("loaded into a running gateway", func(t *testing.T) {
		port := gateway.FreePort(t)
		g := gateway.Start(t, gateway.Render(t, "http://:{{.}} {\n\trespond ok\n}\n", port))
		status, b := g.AdminDo("POST", "/load", "application/json", []byte(config(`"config":{"api_key":"`+key+`"}`)))
		if status == 200 || strings.Contains(string(b), key) || !strings.Contains(string(b), "{env.") {
			t.Errorf("got %d %s", status, b)
		}
		if _, b := g.AdminGet("/config/"); strings.Contains(string(b), key) {
			t.Errorf("the key is in the running configuration: %s", b)
		}
		for _, l := range g.Logs() {
			if strings.Contains(l.Raw, key) {
				t.Errorf("the key is in %s", l.Raw)
			}
		}
		if a := get(t, port, "/"); a.body != "ok" {
			t.Errorf("the running gateway answers %q", a.body)
		}
	})
}
