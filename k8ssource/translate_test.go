package k8ssource

import (
	"bytes"
	"encoding/json"
	"errors"
	"flag"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"reflect"
	"testing"

	"github.com/caddyserver/caddy/v2"
	"go.uber.org/zap"

	"github.com/caddy-llm/gateway/integration/kubernetes/badobjects"
	"github.com/caddy-llm/gateway/k8ssource/object"
	"github.com/caddy-llm/gateway/k8ssource/redact"
	_ "github.com/caddy-llm/gateway/llmprovider/anthropic"
	_ "github.com/caddy-llm/gateway/llmprovider/azure"
	_ "github.com/caddy-llm/gateway/llmprovider/bedrock"
	_ "github.com/caddy-llm/gateway/llmprovider/google"
	"github.com/caddy-llm/gateway/llmprovider/openai"
	_ "github.com/caddy-llm/gateway/llmprovider/vertex"
	"github.com/caddy-llm/gateway/llmroute/authz"
	"github.com/caddy-llm/gateway/llmroute/spec"
)

var update = flag.Bool("update", false, "write what Translate returns into testdata")

// TestTranslate compares the translation of each scenario in testdata with its
// expected.json. The identity is in identity.json, if there is one.
func TestTranslate(t *testing.T) {
	inputs, err := filepath.Glob("testdata/*/input.yaml")
	if err != nil || len(inputs) < 10 {
		t.Fatalf("found %d scenarios: %v", len(inputs), err)
	}
	for _, input := range inputs {
		dir := filepath.Dir(input)
		t.Run(filepath.Base(dir), func(t *testing.T) {
			data, err := os.ReadFile(input)
			if err != nil {
				t.Fatal(err)
			}
			objects, err := object.Decode("input.yaml", data)
			if err != nil {
				t.Fatal(err)
			}
			options := Options{AmbientCredentials: []string{"trusted"}}
			state := Translate(objects, identityOf(t, dir), options)
			provision(t, state)
			got, err := redact.State(state)
			if err != nil {
				t.Fatal(err)
			}
			if bytes.Contains(got, []byte("sk-")) {
				t.Error("the view holds a key")
			}
			again, _ := redact.State(Translate(objects, identityOf(t, dir), options))
			if !bytes.Equal(got, again) {
				t.Error("a second translation differs")
			}
			golden := filepath.Join(dir, "expected.json")
			if *update {
				if err := os.WriteFile(golden, got, 0o600); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(golden)
			if err != nil {
				t.Fatal(err)
			}
			if !bytes.Equal(got, want) {
				t.Errorf("differs from %s; run the test with -update and look at the difference\n%s", golden, got)
			}
		})
	}
}

func identityOf(t *testing.T, dir string) spec.Identity {
	t.Helper()
	var identity spec.Identity
	data, err := os.ReadFile(filepath.Join(dir, "identity.json"))
	if errors.Is(err, os.ErrNotExist) {
		return identity
	}
	if err == nil {
		err = json.Unmarshal(data, &identity)
	}
	if err != nil {
		t.Fatal(err)
	}
	return identity
}

// provision sets up all that a state holds: whatever could go wrong there must
// have been a finding before.
func provision(t *testing.T, state *spec.State) {
	t.Helper()
	ctx, err := caddy.ProvisionContext(&caddy.Config{Admin: &caddy.AdminConfig{Disabled: true}})
	if err != nil {
		t.Fatal(err)
	}
	for _, spec := range state.Providers {
		p := spec.Provider.Copy()
		if err := p.(caddy.Provisioner).Provision(ctx); err != nil {
			t.Errorf("%s: %v", spec.Name, err)
			continue
		}
		_ = p.(caddy.CleanerUpper).Cleanup()
	}
	if state.Authorization != nil {
		_, problems := authz.New(state.Authorization, zap.NewNop())
		if len(problems) > 0 && len(state.Findings) == 0 {
			t.Errorf("of what is wrong with policies nothing is found: %+v", problems)
		}
		alone := *state.Authorization
		alone.ExtAuthz = nil // nobody is asked
		set, _ := authz.New(&alone, zap.NewNop())
		for _, host := range []string{"test.com", ""} {
			set.Authorize(make(http.Header), &http.Request{Method: http.MethodPost, Host: host, URL: &url.URL{Path: "/"}, RemoteAddr: "127.0.0.1:1"}, nil, 80)
		}
	}
	for table, routes := range state.Tables {
		origins := make(map[string]bool)
		for _, route := range routes {
			if origins[route.Origin] || len(route.Hosts) == 0 || route.Unusable != "" && route.Rules != nil {
				t.Errorf("%s: %s is there twice, or has no hosts, or rules that cannot be used", table, route.Origin)
			}
			origins[route.Origin] = true
			for _, rule := range route.Rules {
				copied := *rule
				if err := copied.Provision(ctx); err != nil {
					t.Errorf("%s: %s: %v", table, route.Origin, err)
				}
			}
		}
	}
}

func TestTranslateGivesEqualProvidersForEqualObjects(t *testing.T) {
	objects := mustDecode(t, "apiVersion: istio.alibabacloud.com/v1\nkind: LLMProvider\nmetadata: {name: a}\n"+
		"spec: {host: a.example.com, configs: {defaultConfig: {openAIConfig: {apiKey: sk-1}}}}\n")
	first, second := Translate(objects, spec.Identity{}, Options{}), Translate(objects, spec.Identity{}, Options{})
	if !reflect.DeepEqual(first, second) {
		t.Error("two translations of the same objects differ, so every change would set up every provider anew")
	}
	value, err := first.Providers[0].Provider.(*openai.Provider).Config.Key.Value()
	if value != "sk-1" || err != nil {
		t.Errorf("key %q, %v", value, err)
	}
}

// BenchmarkFiles measures what one change costs with 1,000 providers and 5,000
// routes.
func BenchmarkFiles(b *testing.B) {
	text := manyObjects(1000, 5000)
	objects, err := object.Decode("x.yaml", text)
	if err != nil {
		b.Fatal(err)
	}
	b.Run("decode", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			_, _ = object.Decode("x.yaml", text)
		}
	})
	b.Run("translate", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			Translate(objects, spec.Identity{}, Options{})
		}
	})
}

// FuzzTranslate checks that whatever is in a file, what Translate makes of it
// can be set up, and that no key shows in what people see of it.
func FuzzTranslate(f *testing.F) {
	inputs, _ := filepath.Glob("testdata/*/input.yaml")
	for _, input := range inputs {
		data, err := os.ReadFile(input)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(data)
	}
	for _, bad := range badobjects.All(f) {
		f.Add([]byte(bad.Manifest(f)))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		objects, err := object.Decode("x.yaml", data)
		if err != nil {
			return
		}
		for _, identity := range []spec.Identity{{}, {Namespace: "default", Labels: map[string]string{"app": "sleep"}}} {
			state := Translate(objects, identity, Options{})
			provision(t, state)
			if _, err := redact.State(state); err != nil {
				t.Fatal(err)
			}
		}
	})
}
