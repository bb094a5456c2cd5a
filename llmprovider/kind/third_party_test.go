package kind_test

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
	_ "github.com/caddyserver/caddy/v2/modules/standard"

	_ "github.com/caddy-llm/gateway"
	"github.com/caddy-llm/gateway/llmprovider"
	"github.com/caddy-llm/gateway/llmprovider/kind"
)

func init() { caddy.RegisterModule(thirdParty{}) }

// thirdParty is a kind as another Go module could add it: the model stands in the path,
// below a region, and the key in a header of its own.
type thirdParty struct {
	kind.Base

	Region string `json:"region,omitempty"`
}

func (thirdParty) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{ID: "llm.providers.thirdparty", New: func() caddy.Module { return new(thirdParty) }}
}

func (p *thirdParty) Traits() kind.Traits {
	return kind.Traits{
		Endpoint: "generation", DefaultPath: "/generate", KeyHeader: "X-Third-Key", KeyPrefix: "k=",
		Options: []kind.Option{{Name: "region", Parse: func(d *caddyfile.Dispenser) error {
			if !d.Args(&p.Region) {
				return d.ArgErr()
			}
			return nil
		}}},
		ManifestField: "thirdPartyConfig", ManifestOptions: map[string]any{"region": &p.Region},
	}
}

func (p *thirdParty) UnmarshalCaddyfile(d *caddyfile.Dispenser) error {
	return p.UnmarshalBlock(d, p.Traits())
}

func (p *thirdParty) Provision(ctx caddy.Context) error { return p.Base.Provision(ctx, p.Traits()) }

func (p *thirdParty) Has(llmprovider.Endpoint) bool { return false }

func (p *thirdParty) Copy() llmprovider.Provider {
	return &thirdParty{Base: p.Unprovisioned(), Region: p.Region}
}

func (p *thirdParty) NewAttempt(ctx context.Context, in *llmprovider.Inbound, s llmprovider.Settings) (*llmprovider.Attempt, *llmprovider.Error) {
	out := p.Outgoing(in, s)
	out.URL = p.URL(&url.URL{Path: "/regions/" + p.Region + "/models/" + out.Model})
	return p.Connection.NewAttempt(ctx, in, &out)
}

// TestThirdPartyKind has a kind that nothing else knows of work from each source of
// configuration.
func TestThirdPartyKind(t *testing.T) {
	seen := make(chan *http.Request, 1)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		seen <- r.Clone(context.Background())
		w.Header().Set("Content-Type", "application/json")
		_, _ = io.WriteString(w, `{"choices":[{"index":0,"message":{"role":"assistant","content":"hi"}}]}`)
	}))
	t.Cleanup(server.Close)
	at, _ := url.Parse(server.URL)
	port, _ := strconv.Atoi(at.Port())
	t.Setenv("LLM_TEST_THIRD", "secret")
	manifest := filepath.Join(t.TempDir(), "provider.yaml")
	writeFile(t, manifest, fmt.Sprintf(`
apiVersion: istio.alibabacloud.com/v1beta1
kind: LLMProvider
metadata: {name: third}
spec:
  host: %s
  scheme: http
  port: %d
  configs:
    defaultConfig:
      thirdPartyConfig: {model: m-1, apiKey: secret, region: north}
`, at.Hostname(), port))

	configs := map[string]func(listen string) []byte{
		"Caddyfile": func(listen string) []byte {
			return adapt(t, fmt.Sprintf("{\n\tadmin off\n\tllm {\n\t\tstatus_listen off\n\t\tprovider third {\n\t\t\tkind thirdparty\n\t\t\thost %s\n\t\t\tscheme http\n\t\t\tport %d\n\t\t\tregion north\n\t\t\tmodel m-1\n\t\t\tapi_key {env.LLM_TEST_THIRD}\n\t\t}\n\t}\n}\nhttp://%s {\n\tllm_route {\n\t\tto third\n\t}\n}\n",
				at.Hostname(), port, listen))
		},
		"JSON": func(listen string) []byte {
			return fmt.Appendf(nil, `{"admin":{"disabled":true},"apps":{"llm":{"status_listen":"off","providers":{"third":{"kind":"thirdparty","host":%q,"scheme":"http","port":%d,"region":"north",
				"config":{"model":"m-1","api_key":"{env.LLM_TEST_THIRD}"}}}},
				"http":{"servers":{"s":{"listen":[%q],"routes":[{"handle":[{"handler":"llm_route","rules":[{"backends":[{"provider":"third"}]}]}]}]}}}}}`, at.Hostname(), port, listen)
		},
		"manifest": func(listen string) []byte {
			return adapt(t, fmt.Sprintf("{\n\tadmin off\n\tllm {\n\t\tstatus_listen off\n\t\tsource files %s {\n\t\t\tallow_any_host\n\t\t}\n\t}\n}\nhttp://%s {\n\tllm_route {\n\t\ttable mesh\n\t}\n}\n", manifest, listen))
		},
	}
	for name, config := range configs {
		t.Run(name, func(t *testing.T) {
			listen := freeAddress(t)
			if err := caddy.Load(config(listen), true); err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { _ = caddy.Stop() })
			if status, body := ask(t, listen, at.Hostname()); status != http.StatusOK {
				t.Fatalf("%d %s", status, body)
			}
			r := <-seen
			if r.URL.Path != "/regions/north/models/m-1" || r.Header.Get("X-Third-Key") != "k=secret" || r.Header.Get("Authorization") != "" {
				t.Errorf("the provider got %s with %v", r.URL.Path, r.Header)
			}
		})
	}
}

func ask(t *testing.T, listen, host string) (int, string) {
	t.Helper()
	for deadline := time.Now().Add(10 * time.Second); ; time.Sleep(20 * time.Millisecond) {
		r, _ := http.NewRequestWithContext(t.Context(), http.MethodPost, "http://"+listen+"/v1/chat/completions", strings.NewReader(`{"messages":[]}`))
		r.Host = host
		r.Header.Set("Content-Type", "application/json")
		r.Header.Set("Authorization", "Bearer of-the-client")
		res, err := http.DefaultClient.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		body, _ := io.ReadAll(res.Body)
		res.Body.Close()
		if res.StatusCode != http.StatusServiceUnavailable || time.Now().After(deadline) {
			return res.StatusCode, string(body)
		}
	}
}

func adapt(t *testing.T, text string) []byte {
	t.Helper()
	config, _, err := caddyconfig.GetAdapter("caddyfile").Adapt([]byte(text), map[string]any{"filename": "Caddyfile"})
	if err != nil {
		t.Fatal(err)
	}
	if !json.Valid(config) {
		t.Fatal("the adapter's output is not JSON")
	}
	return config
}

func freeAddress(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}

func writeFile(t *testing.T, name, text string) {
	t.Helper()
	if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}
