package sdk

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/openai/openai-go/v3/option"

	"github.com/caddy-llm/gateway/integration/fakeprovider"
	"github.com/caddy-llm/gateway/integration/fixtures"
)

// tokenSite lets tokens of the example's issuer pass if they are of its group.
const tokenSite = `{
	llm {
		status_listen off
		provider main {{.Main}}/v1/chat/completions {
			api_key {env.MAIN_KEY}
			tls_trust_pool file {{.CA}}
		}
	}
}

http://:{{.Port}} {
	llm_authz {
		jwt https://issuer.example.com {
			audiences llm-gateway
			jwks {file.{{.Example}}/jwks.json}
			{{.JWT}}
		}
		{{.Policy}}
	}
	{{.Keys}}
	llm_route {
		to main
	}
}
`

const virtualKey = "sk-llm-example-key-for-alice-only" // in examples/virtual-keys/keys.txt

// A token given as the SDK's api_key does what a key does, and the SDK raises
// its own errors for one that is no good.
func TestTokens(t *testing.T) {
	examples, err := filepath.Abs("../../examples")
	if err != nil {
		t.Fatal(err)
	}
	token := func(name string) string {
		data, err := os.ReadFile(filepath.Join(examples, "authorization", name+".jwt"))
		if err != nil {
			t.Fatal(err)
		}
		return strings.TrimSpace(string(data))
	}
	alice, bob := token("alice"), token("bob")
	forged := alice[:strings.LastIndexByte(alice, '.')] + bob[strings.LastIndexByte(bob, '.'):]

	const researchers = "allow researchers {\n\t\t\twhen request.auth.claims[groups] research\n\t\t}"
	onlyTokens := map[string]any{"JWT": "", "Policy": researchers, "Keys": ""}
	both := map[string]any{"JWT": "ignore_other_tokens", "Policy": "", "Keys": "llm_keys " + examples + "/virtual-keys/keys.txt {\n\t\tor_token\n\t}"}
	header := map[string]any{"JWT": "from_headers X-Token", "Policy": researchers, "Keys": "llm_keys " + examples + "/virtual-keys/keys.txt"}
	for _, site := range []struct {
		name   string
		params map[string]any
		calls  []tokenCall
	}{
		{"tokens alone", onlyTokens, []tokenCall{
			{name: "a token", key: alice, status: 200},
			{name: "of another group", key: bob, status: 403, text: "RBAC: access denied"},
			{name: "forged", key: forged, status: 401, text: "Jwt verification fails"},
			{name: "an SDK's made-up key", key: sdkKey, status: 401, text: "Jwt is not in the form of Header.Payload.Signature with two dots and 3 sections"},
		}},
		{"tokens or virtual keys", both, []tokenCall{
			{name: "a token", key: alice, status: 200},
			{name: "a virtual key", key: virtualKey, status: 200},
			{name: "forged", key: forged, status: 401, text: "Jwt verification fails"},
			{name: "an SDK's made-up key", key: sdkKey, status: 401, code: "invalid_api_key"},
		}},
		{"a virtual key and a token", header, []tokenCall{
			{name: "both", key: virtualKey, token: alice, status: 200},
			{name: "the key alone", key: virtualKey, status: 403, text: "RBAC: access denied"},
			{name: "the token alone", key: sdkKey, token: alice, status: 401, code: "invalid_api_key"},
		}},
	} {
		t.Run(site.name, func(t *testing.T) {
			s := fakeprovider.New(t)
			s.Script(fakeprovider.Always(fixtures.Get(t, "openai/chat.json").Reply()))
			params := map[string]any{"Main": s.URL(), "CA": s.CAFile(), "Example": examples + "/authorization"}
			for name, value := range site.params {
				params[name] = value
			}
			g := serve(t, tokenSite, params)
			for _, call := range site.calls {
				t.Run(call.name, func(t *testing.T) { call.check(t, s, g) })
			}
			for _, secret := range []string{alice, bob, forged, virtualKey} {
				if len(g.FindLogs(secret)) > 0 {
					t.Errorf("the log shows %s", secret)
				}
			}
		})
	}
}

type tokenCall struct {
	name, key, token string
	status           int
	text, code       string // of the refusal: plain text, or an error of the API
}

func (c *tokenCall) check(t *testing.T, s *fakeprovider.Server, g *site) {
	t.Helper()
	before := len(s.Requests())
	options := []option.RequestOption{option.WithAPIKey(c.key)}
	if c.token != "" {
		options = append(options, option.WithHeader("X-Token", c.token))
	}
	answer, err := g.client(options...).Chat.Completions.New(t.Context(), question("mock-small"))
	got := s.Requests()[before:]
	if c.status == 200 {
		if err != nil || len(answer.Choices) == 0 {
			t.Fatalf("%v, %+v", err, answer)
		}
		checkKeys(t, got[0], providerKey)
		for _, secret := range []string{c.key, c.token} {
			if all := strings.Join(append(got[0].Header["X-Token"], got[0].Target, string(got[0].Body)), " "); secret != "" && strings.Contains(all, secret) {
				t.Errorf("the provider got the client's credential: %s", all)
			}
		}
		return
	}
	e := apiError(t, err)
	if e.StatusCode != c.status || e.Code != c.code {
		t.Errorf("got %d %s, want %d %s", e.StatusCode, e.Code, c.status, c.code)
	}
	if body := string(e.DumpResponse(true)); c.text != "" && !strings.HasSuffix(strings.TrimSpace(body), c.text) {
		t.Errorf("got %q, want %q", body, c.text)
	}
	if len(got) != 0 {
		t.Errorf("the provider got %d requests", len(got))
	}
}
