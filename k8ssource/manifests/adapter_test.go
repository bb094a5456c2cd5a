package manifests

import (
	"encoding/json"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig"
	_ "github.com/caddyserver/caddy/v2/modules/standard"
)

// adapt adapts manifests; name is empty for those from standard input.
func adapt(t *testing.T, name, manifests string) (string, []caddyconfig.Warning, error) {
	t.Helper()
	out, warnings, err := caddyconfig.GetAdapter("llm-manifests").Adapt([]byte(manifests), map[string]any{"filename": name})
	if err == nil {
		var config caddy.Config
		if err := json.Unmarshal(out, &config); err != nil {
			t.Fatal(err)
		}
		if err := caddy.Validate(&config); err != nil {
			t.Errorf("the configuration is not valid: %v\n%s", err, out)
		}
	}
	return string(out), warnings, err
}

// plainProvider is an LLMProvider without a key.
const plainProvider = "apiVersion: istio.alibabacloud.com/v1\nkind: LLMProvider\nmetadata: {name: a}\nspec:\n  host: a.example.com\n"

const adapterGateway = "---\napiVersion: networking.istio.io/v1\nkind: Gateway\nmetadata: {name: gw}\nspec: {selector: {app: gw}, servers: [{hosts: ['*'], port: {number: 80, name: http, protocol: HTTP}}]}\n"

func TestAdapterRefersToFiles(t *testing.T) {
	path := filepath.Join(t.TempDir(), "llm.yaml")
	source := func(more string) string {
		return `{"apps":{"llm":{"source":{` + more + `"paths":["` + path + `"],"source":"files"}}}}`
	}
	for name, test := range map[string]struct {
		env       map[string]string
		manifests string
		want      string
	}{
		"unknown workload": {nil, plainProvider, source(`"mesh_listen":":15001",`)},
		"sidecar": {map[string]string{"LLM_NAMESPACE": "default", "LLM_WORKLOAD": "sleep"}, plainProvider + adapterGateway,
			`{"apps":{"llm":{"source":{"mesh_listen":":15001","namespace":"default","paths":["` + path + `"],"source":"files","workload":"sleep"}}}}`},
		"gateway": {map[string]string{"LLM_LABELS": "app=gw", "LLM_PORT_MAP": "80:8080,443:8443", "LLM_SELECTORS_FROM": "a,b"}, plainProvider + adapterGateway,
			`{"apps":{"llm":{"source":{"labels":{"app":"gw"},"paths":["` + path + `"],"port_map":{"443":8443,"80":8080},"selectors_from":["a","b"],"source":"files"}}}}`},
		"a key in the file": {nil, strings.Replace(plainProvider, "spec:", "spec:\n  configs: {defaultConfig: {openAIConfig: {apiKey: sk-1}}}", 1), source(`"mesh_listen":":15001",`)},
	} {
		t.Run(name, func(t *testing.T) {
			for name, value := range test.env {
				t.Setenv(name, value)
			}
			got, warnings, err := adapt(t, path, test.manifests)
			if err != nil || len(warnings) > 0 || got != test.want {
				t.Errorf("got  %s %v %v\nwant %s", got, warnings, err, test.want)
			}
		})
	}
}

func TestAdapterInline(t *testing.T) {
	manifests := strings.Replace(plainProvider, "spec:", "spec:\n  headers: {x-region: eu}", 1) + `---
apiVersion: istio.alibabacloud.com/v1
kind: LLMRoute
metadata: {name: r}
spec:
  host: "*"
  gateways: [mesh, gw]
  rules: [{backendRefs: [{providerHost: a.example.com}]}]
` + adapterGateway
	got, _, err := adapt(t, "", manifests)
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{`"default.a":{"headers":{"X-Region":"eu"},"host":"a.example.com","kind":"openai"}`, `"provider":"default.a"`,
		`{"address":":80","port":80,`, `{"address":":15001",`, `"table":"mesh"`} {
		if !strings.Contains(got, want) {
			t.Errorf("%s is missing in\n%s", want, got)
		}
	}
	if strings.Contains(got, `"default/a"`) || strings.Contains(got, "files") {
		t.Errorf("it refers to what is not there:\n%s", got)
	}
	if again, _, _ := adapt(t, "-", manifests); again != got {
		t.Errorf("standard input gives another configuration:\n%s", again)
	}
}

func TestAdapterErrors(t *testing.T) {
	with := func(spec string) string {
		return strings.Replace(plainProvider, "spec:", "spec:\n  "+spec, 1)
	}
	secret := "---\napiVersion: v1\nkind: Secret\nmetadata: {name: s}\nstringData: {key: sk-1}\n"
	pair, err := os.ReadFile("../testdata/gateway-servers/input.yaml")
	if err != nil {
		t.Fatal(err)
	}
	for name, test := range map[string]struct{ file, manifests, env, want string }{
		"not YAML":                     {"x.yaml", plainProvider + "---\nkind: x\n  y: z\n", "", "x.yaml:"},
		"inline key":                   {"", with("configs: {defaultConfig: {openAIConfig: {apiKey: sk-1}}}"), "", "LLMProvider default/a in manifests: it has a key, and the configuration would show it; give the adapter the name of a file"},
		"inline key of a rule":         {"", with("configs: {routeSpecificConfigs: {vip: {openAIConfig: {apiKey: sk-1}}}}"), "", "it has a key"},
		"inline key of a Secret":       {"", with("configs: {defaultConfig: {openAIConfig: {apiKeySecretRef: {name: s, key: key}}}}") + secret, "", "it has a key"},
		"inline credential header":     {"", with("headers: {x-api-key: sk-1}"), "", "it has a credential as header X-Api-Key"},
		"inline header with a brace":   {"", with(`headers: {x-a: "{env.HOME}"}`), "", "its header X-A has a brace"},
		"inline certificate":           {"", string(pair), "", "it has a certificate with its key, and the configuration would show it"},
		"labels of the environment":    {"", plainProvider, "LLM_LABELS=app", `LLM_LABELS: "app" is not a label`},
		"selectors of the environment": {"", plainProvider, "LLM_SELECTORS_FROM=a,*", `LLM_SELECTORS_FROM: selectors_from: "*" is not the name of a namespace`},
		"port map of the environment":  {"", plainProvider, "LLM_PORT_MAP=80", `LLM_PORT_MAP: "80" is not a pair of ports`},
	} {
		t.Run(name, func(t *testing.T) {
			if name, value, ok := strings.Cut(test.env, "="); ok {
				t.Setenv(name, value)
			}
			out, _, err := adapt(t, test.file, test.manifests)
			if err == nil || !strings.Contains(err.Error(), test.want) || strings.Contains(err.Error(), "sk-1") {
				t.Errorf("got %v\n%s\nwant %s", err, out, test.want)
			}
		})
	}
}

func TestAdapterWarnings(t *testing.T) {
	_, warnings, err := adapt(t, "dir:1/x.yaml", "\n\n"+strings.Replace(plainProvider, "spec:", "spec:\n  prot: 1", 1))
	want := []caddyconfig.Warning{{File: "dir:1/x.yaml", Line: 3, Directive: "LLMProvider default/a", Message: "UnknownField: spec.prot: unknown field; write port (the object is not used)"}}
	if err != nil || !reflect.DeepEqual(warnings, want) {
		t.Errorf("got %+v %v", warnings, err)
	}
}

// TestLimitsNeedASource holds that no configuration is made that lacks the limits.
func TestLimitsNeedASource(t *testing.T) {
	if _, _, err := (adapter{}).Adapt([]byte("apiVersion: caddy-llm.github.io/v1alpha1\nkind: LLMLimit\nmetadata: {name: a, namespace: team}\nspec: {amounts: [{unit: requests, amount: 1, window: day}]}\n"), nil); err == nil || !strings.Contains(err.Error(), "only a source can") {
		t.Errorf("the error is %v", err)
	}
}
