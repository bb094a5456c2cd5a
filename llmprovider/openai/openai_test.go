package openai

import (
	"encoding/json"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/caddy-llm/gateway/internal/moduletest"
	"github.com/caddy-llm/gateway/llmprovider"
	"github.com/caddy-llm/gateway/llmprovider/kind"
	"github.com/caddy-llm/gateway/llmprovider/upstream"
)

// parse reads a provider as a configuration has it.
func parse(t testing.TB, config string) *Provider {
	t.Helper()
	p := new(Provider)
	if err := json.Unmarshal([]byte(config), p); err != nil {
		t.Fatalf("%s: %v", config, err)
	}
	return p
}

// provisioned is a provider of a configuration, ready for use.
func provisioned(t testing.TB, config string) *Provider {
	t.Helper()
	p := parse(t, config)
	moduletest.Provision(t, p)
	return p
}

func TestProvidersThatCannotBeProvisioned(t *testing.T) {
	for _, test := range []struct{ name, config, want string }{
		{"no host", `{}`, "a host is required; write the provider's DNS name"},
		{"host with a scheme", `{"host":"https://a.example"}`, `the host has a scheme; write the DNS name alone`},
		{"host with a path", `{"host":"a.example/v1"}`, `the host has a path; write the DNS name alone, and the path as path`},
		{"host with a port", `{"host":"a.example:8080"}`, `the host has a port; write the DNS name alone, and the port as port`},
		{"host with a space", `{"host":"a example"}`, `the host is not a DNS name: ' ' is not allowed in one`},
		{"host with a placeholder", `{"host":"{env.X}"}`, `is not a DNS name: '{' is not allowed`},
		{"host with a line break", `{"host":"a\r\nb"}`, `is not a DNS name`},
		{"host with a user", `{"host":"user@a.example"}`, `is not a DNS name`},
		{"host that begins with a dot", `{"host":".example"}`, `the host is not a DNS name`},
		{"wildcard host", `{"host":"*.example"}`, `is not a DNS name`},
		{"host too long", `{"host":"` + strings.Repeat("a", 254) + `"}`, "is not a DNS name"},
		{"scheme", `{"host":"a.example","scheme":"ftp"}`, `the scheme is not supported; write https or http`},
		{"port", `{"host":"a.example","port":65536}`, "port 65536 is out of range; write 1 to 65535"},
		{"negative port", `{"host":"a.example","port":-1}`, "port -1 is out of range"},
		{"path without a slash", `{"host":"a.example","path":"v1/chat/completions"}`, `the path does not begin with a slash`},
		{"path with a fragment", `{"host":"a.example","path":"/v1#x"}`, `the path has a fragment`},
		{"path with a space", `{"host":"a.example","path":"/v1 x"}`, `the path is not a URL path`},
		{"path with a broken escape", `{"host":"a.example","path":"/v1%zz"}`, `the path is not a URL path`},
		{"path with a line break", `{"host":"a.example","path":"/v1\r\nX: y"}`, `is not a URL path`},
		{"literal key", `{"host":"a.example","config":{"api_key":"` + keyText + `"}}`, "api_key: secrets must not be in the configuration"},
		{"literal key of a rule", `{"host":"a.example","rules":{"vip":{"api_key":"` + keyText + `"}}}`, "for vip: api_key: secrets must not be in the configuration"},
		{"settings for rules without a name", `{"host":"a.example","rules":{"":{"model":"m"}}}`, "rules: a rule's name is empty; write its name, or move the settings into config"},
		{"unfilled key", `{"host":"a.example","config":{"api_key":"${API_KEY}"}}`, "{env.NAME}"},
		{"literal credential header", `{"host":"a.example","headers":{"api-key":"` + keyText + `"}}`, "header api-key: secrets must not be"},
		{"header name", `{"host":"a.example","headers":{"a b":"x"}}`, `this is not a header name`},
		{"negative time limit", `{"host":"a.example","first_byte_timeout":-1000000000}`, "the timeout -1s is negative; leave it out for the default"},
		{"negative dial time limit", `{"host":"a.example","dial_timeout":"-3s"}`, "the timeout -3s is negative"},
		{"HTTP/3", `{"host":"a.example","transport":{"versions":["3"]}}`, "HTTP/3 to a provider is not supported"},
		{"PROXY protocol", `{"host":"a.example","transport":{"proxy_protocol":"v1"}}`, "proxy_protocol is not supported"},
		{"TLS settings without TLS", `{"host":"a.example","scheme":"http","transport":{"tls":{}}}`, "the scheme is http; write https"},
	} {
		t.Run(test.name, func(t *testing.T) {
			p := parse(t, test.config)
			err := p.Provision(moduletest.Context(t))
			if err == nil {
				t.Fatal("accepted")
			}
			if !strings.Contains(err.Error(), test.want) {
				t.Errorf("the error is %q, want %q", err, test.want)
			}
			if strings.Contains(err.Error(), keyText) {
				t.Errorf("the error holds the key: %v", err)
			}
			if err := p.Cleanup(); err != nil { // as Caddy does after a failure
				t.Error(err)
			}
		})
	}
}

func TestWhereAProviderIs(t *testing.T) {
	for _, test := range []struct{ name, config, address, host, chat, embeddings, models string }{
		{"host alone", `{"host":"Api.Example.com"}`, "api.example.com", "api.example.com",
			"https://api.example.com/v1/chat/completions", "https://api.example.com/v1/embeddings", "https://api.example.com/v1/models"},
		{"a base path", `{"host":"d.example","path":"/compatible-mode/v1/chat/completions"}`, "d.example", "d.example",
			"https://d.example/compatible-mode/v1/chat/completions", "https://d.example/compatible-mode/v1/embeddings", "https://d.example/compatible-mode/v1/models"},
		{"a query in the path", `{"host":"a.example","path":"/o/d/chat/completions?api-version=2024-06-01&x=%20"}`, "a.example", "a.example",
			"https://a.example/o/d/chat/completions?api-version=2024-06-01&x=%20", "https://a.example/o/d/embeddings?api-version=2024-06-01&x=%20", "https://a.example/o/d/models?api-version=2024-06-01&x=%20"},
		{"escapes in the path", `{"host":"a.example","path":"/a%2Fb/%E9/chat/completions"}`, "a.example", "a.example",
			"https://a.example/a%2Fb/%E9/chat/completions", "https://a.example/a%2Fb/%E9/embeddings", "https://a.example/a%2Fb/%E9/models"},
		{"two slashes", `{"host":"a.example","path":"//b.example/chat/completions"}`, "a.example", "a.example",
			"https://a.example//b.example/chat/completions", "https://a.example//b.example/embeddings", "https://a.example//b.example/models"},
		{"no chat completions", `{"host":"a.example","path":"/api/generate"}`, "a.example", "a.example", "https://a.example/api/generate", "", ""},
		{"the root", `{"host":"a.example","path":"/"}`, "a.example", "a.example", "https://a.example/", "", ""},
		{"http and a port", `{"host":"127.0.0.1","scheme":"http","port":11434}`, "127.0.0.1", "127.0.0.1:11434",
			"http://127.0.0.1:11434/v1/chat/completions", "http://127.0.0.1:11434/v1/embeddings", "http://127.0.0.1:11434/v1/models"},
		{"the usual port", `{"host":"a.example","port":443}`, "a.example", "a.example", "https://a.example/v1/chat/completions", "https://a.example/v1/embeddings", "https://a.example/v1/models"},
		{"the usual port of the other scheme", `{"host":"a.example","port":80}`, "a.example", "a.example:80", "https://a.example:80/v1/chat/completions", "https://a.example:80/v1/embeddings", "https://a.example:80/v1/models"},
		{"http", `{"host":"a.example","scheme":"http"}`, "a.example", "a.example", "http://a.example/v1/chat/completions", "http://a.example/v1/embeddings", "http://a.example/v1/models"},
		{"IPv6", `{"host":"::1","scheme":"http"}`, "::1", "[::1]", "http://[::1]/v1/chat/completions", "http://[::1]/v1/embeddings", "http://[::1]/v1/models"},
		{"IPv6 and a port", `{"host":"FE80::1","port":8443}`, "fe80::1", "[fe80::1]:8443", "https://[fe80::1]:8443/v1/chat/completions", "https://[fe80::1]:8443/v1/embeddings", "https://[fe80::1]:8443/v1/models"},
	} {
		t.Run(test.name, func(t *testing.T) {
			p := provisioned(t, test.config)
			if got := p.ServerAddress(); got != test.address {
				t.Errorf("the address is %s, want %s", got, test.address)
			}
			if got := p.urls[""].Host; got != test.host {
				t.Errorf("the Host header is %s, want %s", got, test.host)
			}
			for suffix, want := range map[string]string{"": test.chat, "/embeddings": test.embeddings, "/models": test.models} {
				got := ""
				if u := p.urls[suffix]; u != nil {
					got = u.String()
				}
				if got != want {
					t.Errorf("%q is at %q, want %q", suffix, got, want)
				}
			}
		})
	}
}

func TestTimeoutsOfAProvider(t *testing.T) {
	if got, want := provisioned(t, `{"host":"a.example"}`).Timeouts(), (llmprovider.Timeouts{FirstByte: 10 * time.Minute, Idle: 5 * time.Minute}); got != want {
		t.Errorf("the defaults are %+v, want %+v", got, want)
	}
	p := provisioned(t, `{"host":"a.example","dial_timeout":"1s","first_byte_timeout":"2s","idle_timeout":"3s"}`)
	if got, want := p.Timeouts(), (llmprovider.Timeouts{FirstByte: 2 * time.Second, Idle: 3 * time.Second}); got != want {
		t.Errorf("%+v, want %+v", got, want)
	}
}

// TestRulesOverlayFieldByField gives each field of a rule each of its forms over
// each of the default's.
func TestRulesOverlayFieldByField(t *testing.T) {
	t.Setenv("LLM_TEST_BASE", "base-key")
	t.Setenv("LLM_TEST_RULE", "rule-key")
	fields := func(model, stream, key string) string {
		var out []string
		for name, value := range map[string]string{"model": model, "stream": stream, "api_key": key} {
			if value != "" {
				out = append(out, fmt.Sprintf("%q:%s", name, value))
			}
		}
		return "{" + strings.Join(out, ",") + "}"
	}
	over := func(base, rule string) string { // what is unset shows what is below it
		if rule != "" {
			return rule
		}
		return base
	}
	for _, baseModel := range []string{"", `"base"`} {
		for _, ruleModel := range []string{"", `""`, `"rule"`} {
			for _, baseStream := range []string{"", "true", "false"} {
				for _, ruleStream := range []string{"", "true", "false"} {
					for _, baseKey := range []string{"", `"{env.LLM_TEST_BASE}"`} {
						for _, ruleKey := range []string{"", `""`, `"{env.LLM_TEST_RULE}"`} {
							config := fmt.Sprintf(`{"host":"a.example","config":%s,"rules":{"vip":%s}}`, fields(baseModel, baseStream, baseKey), fields(ruleModel, ruleStream, ruleKey))
							p := parse(t, config)
							if err := p.Provision(moduletest.Context(t)); err != nil {
								t.Fatalf("%s: %v", config, err)
							}
							for rule, want := range map[string][3]string{
								"":      {baseModel, baseStream, baseKey},
								"other": {baseModel, baseStream, baseKey},
								"vip":   {over(baseModel, ruleModel), over(baseStream, ruleStream), over(baseKey, ruleKey)},
							} {
								checkFilled(t, config, p, rule, want)
							}
							_ = p.Cleanup()
						}
					}
				}
			}
		}
	}
}

func checkFilled(t *testing.T, config string, p *Provider, rule string, want [3]string) {
	t.Helper()
	in := read(t, post("/", "", `{"model":"client","stream":true}`))
	defer in.Release()
	model, stream, key := strings.Trim(want[0], `"`), want[1], strings.Trim(want[2], `"`)
	fixed := model != ""
	if !fixed {
		model = "client"
	}
	if stream == "" {
		stream = "true"
	}
	a, refused := p.NewAttempt(t.Context(), in, llmprovider.Settings{Rule: rule})
	if refused != nil {
		t.Fatal(refused)
	}
	defer a.Request.Body.Close()
	if a.Model != model || a.FixedModel != fixed || fmt.Sprint(a.Stream) != stream {
		t.Errorf("%s, rule %q: model %q (%v), stream %v; want %q (%v), %s", config, rule, a.Model, a.FixedModel, a.Stream, model, fixed, stream)
	}
	wantKey := map[string]string{"": "", "{env.LLM_TEST_BASE}": "Bearer base-key", "{env.LLM_TEST_RULE}": "Bearer rule-key"}[key]
	if got := a.Request.Header.Get("Authorization"); got != wantKey {
		t.Errorf("%s, rule %q: authorization %q, want %q", config, rule, got, wantKey)
	}
	if got := p.CredentialRef(rule); got != key {
		t.Errorf("%s, rule %q: the key is named %q, want %q", config, rule, got, key)
	}
}

func TestKeysOfSources(t *testing.T) {
	base, rule := upstream.Literal("base-key"), upstream.Literal("rule-key")
	p := &Provider{Base: kind.Base{
		Connection: upstream.Connection{Host: "a.example"}, Config: kind.Config{Key: base}, Rules: map[string]kind.Config{"vip": {Key: rule}, "none": {Key: upstream.Literal("")}, "same": {}},
	}}
	moduletest.Provision(t, p)
	for rule, want := range map[string]string{"": "Bearer base-key", "vip": "Bearer rule-key", "none": "", "same": "Bearer base-key"} {
		in := read(t, post("/", "", `{}`))
		a, refused := p.NewAttempt(t.Context(), in, llmprovider.Settings{Rule: rule})
		if refused != nil {
			t.Fatal(refused)
		}
		if got := a.Request.Header.Get("Authorization"); got != want {
			t.Errorf("rule %q: %q, want %q", rule, got, want)
		}
		if strings.Contains(p.CredentialRef(rule), "key") {
			t.Errorf("rule %q: the key is named %s", rule, p.CredentialRef(rule))
		}
	}
	if data, err := json.Marshal(p); err != nil || strings.Contains(string(data), "-key") {
		t.Errorf("the key is in the JSON: %s (%v)", data, err)
	}
}

func TestConfiguredModels(t *testing.T) {
	p := provisioned(t, `{"host":"a.example","config":{"model":"b"},"rules":{"x":{"model":"a"},"y":{"model":"b"},"z":{"stream":true},"w":{"model":""}}}`)
	if got := p.ConfiguredModels(); !slices.Equal(got, []string{"a", "b"}) {
		t.Errorf("%q", got)
	}
	if got := provisioned(t, `{"host":"a.example"}`).ConfiguredModels(); len(got) != 0 {
		t.Errorf("%q", got)
	}
}

func TestACopyIsProvisionedByItself(t *testing.T) {
	p := provisioned(t, `{"host":"a.example","config":{"model":"m"}}`)
	other := p.Copy().(*Provider)
	if other.urls != nil {
		t.Fatal("the copy shares what was provisioned")
	}
	moduletest.Provision(t, other)
}

func TestCredentialsAreChecked(t *testing.T) {
	file := filepath.Join(t.TempDir(), "key")
	t.Setenv("LLM_TEST_KEY", keyText)
	p := provisioned(t, `{"host":"a.example","config":{"api_key":"{env.LLM_TEST_KEY}"},"headers":{"X-Org":"{env.LLM_TEST_NONE}"},
		"rules":{"vip":{"api_key":"{file.`+file+`}"},"same":{"model":"m"},"none":{"api_key":""}}}`)
	err := p.CheckCredentials()
	if err == nil || !strings.Contains(err.Error(), "LLM_TEST_NONE") || !strings.Contains(err.Error(), file) || strings.Contains(err.Error(), keyText) {
		t.Errorf("the error is %v", err)
	}
	writeSecret(t, file, "k")
	t.Setenv("LLM_TEST_NONE", "o")
	if err := p.CheckCredentials(); err != nil {
		t.Errorf("with all there, the error is %v", err)
	}
	if err := provisioned(t, `{"host":"a.example"}`).CheckCredentials(); err != nil {
		t.Errorf("with none configured, the error is %v", err)
	}
}
