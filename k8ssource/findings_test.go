package k8ssource

import (
	"fmt"
	"strings"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/caddy-llm/gateway/integration/kubernetes/badobjects"
	"github.com/caddy-llm/gateway/k8ssource/api/v1beta1"
	"github.com/caddy-llm/gateway/k8ssource/object"
	"github.com/caddy-llm/gateway/k8ssource/redact"
	"github.com/caddy-llm/gateway/llmprovider/openai"
	"github.com/caddy-llm/gateway/llmroute/spec"
)

// TestBadObjects checks that each bad object is found out, that its host is
// then not served from elsewhere, and that the good objects beside it work.
func TestBadObjects(t *testing.T) {
	beside := badobjects.Beside + "---\n"
	line := strings.Count(beside, "\n") + 1
	for _, bad := range badobjects.All(t) {
		t.Run(bad.Name, func(t *testing.T) {
			state := Translate(mustDecode(t, beside+bad.Manifest(t)), spec.Identity{Namespace: "default"}, Options{})
			provision(t, state)
			var got []string
			for _, f := range state.Findings {
				if f.Object != bad.Kind+" default/bad" || f.Origin != fmt.Sprintf("x.yaml:%d", line) {
					t.Errorf("finding for %s at %s: %s", f.Object, f.Origin, f.Message)
				}
				used := ""
				if f.Used {
					used = " (used)"
				}
				got = append(got, f.Reason+used+": "+f.Message)
			}
			if strings.Join(got, "\n") != bad.Text("default") {
				t.Errorf("got  %s\nwant %s", strings.Join(got, "\n"), bad.Text("default"))
			}
			good := false
			for _, route := range state.Tables[MeshTable] {
				switch {
				case strings.HasPrefix(route.Origin, bad.Kind+" default/bad "):
					if bad.Used != (route.Unusable == "") {
						t.Errorf("unusable is %q", route.Unusable)
					}
				case route.Hosts[0] == "good-service":
					good = route.Unusable == "" && route.Rules[0].Backends[0].Provider == "default/good"
				}
			}
			if !good {
				t.Error("the good route does not work")
			}
		})
	}
}

// TestObjectsOverTheLimits holds that what a cluster would not take is refused
// in files as well.
func TestObjectsOverTheLimits(t *testing.T) {
	const backends = "backendRefs: [{providerHost: good.example.com}]"
	many := func(n int, entry string) string { return strings.Repeat(entry+", ", n) }
	var configs strings.Builder
	for i := range object.MaxRuleConfigs + 1 {
		fmt.Fprintf(&configs, "r%d: {}, ", i)
	}
	var headers strings.Builder
	for i := range object.MaxAdded + 1 {
		fmt.Fprintf(&headers, "x%d: a, ", i)
	}
	for _, test := range []struct{ kind, spec, want string }{
		{object.KindLLMProvider, "host: a, path: /" + strings.Repeat("a", object.MaxPath), "InvalidField: spec.path: may not be more than 4096 bytes"},
		{object.KindLLMProvider, "host: a, configs: {routeSpecificConfigs: {" + configs.String() + "}}", "InvalidField: spec.configs.routeSpecificConfigs: must have at most 128 items"},
		{object.KindLLMProvider, "host: a, headers: {" + headers.String() + "}", "InvalidField: spec.headers: must have at most 64 items"},
		{object.KindLLMRoute, "host: " + strings.Repeat("a", object.MaxRouteHost+1) + ", rules: [{" + backends + "}]", "InvalidField: spec.host: may not be more than 255 bytes"},
		{object.KindLLMRoute, "host: a, gateways: [" + many(object.MaxGateways+1, "mesh") + "], rules: [{" + backends + "}]", "InvalidField: spec.gateways: must have at most 64 items"},
		{object.KindLLMRoute, "host: a, rules: [" + many(object.MaxRules+1, "{"+backends+"}") + "]", "InvalidField: spec.rules: must have at most 1024 items"},
		{object.KindLLMRoute, "host: a, rules: [{matches: [" + many(object.MaxMatches+1, "{}") + "], " + backends + "}]", "InvalidMatch: spec.rules[0].matches: must have at most 64 items"},
		{object.KindLLMRoute, "host: a, rules: [{retryOn: [" + many(object.MaxRetryOn+1, "500") + "], " + backends + "}]", "InvalidField: spec.rules[0].retryOn: must have at most 200 items"},
		{object.KindLLMRoute, "host: a, rules: [{matches: [{headers: {x: {regex: " + strings.Repeat("a", object.MaxRegex+1) + "}}}], " + backends + "}]",
			"InvalidMatch: spec.rules[0].matches[0].headers[x].regex: may not be more than 4096 bytes"},
	} {
		objects := mustDecode(t, fmt.Sprintf("%s---\napiVersion: %s/v1\nkind: %s\nmetadata: {name: a}\nspec: {%s}\n", badobjects.Beside, object.Group, test.kind, test.spec))
		state := Translate(objects, spec.Identity{Namespace: "default"}, Options{})
		if len(state.Findings) != 1 || state.Findings[0].Reason+": "+state.Findings[0].Message != test.want {
			t.Errorf("got  %+v\nwant %s", state.Findings, test.want)
		}
	}
}

func TestProviderWithABadSecret(t *testing.T) {
	state := Translate(mustDecode(t, `apiVersion: v1
kind: Secret
metadata: {name: bad}
data: {k: "!"}
---
apiVersion: istio.alibabacloud.com/v1
kind: LLMProvider
metadata: {name: a}
spec: {host: a.example.com, configs: {defaultConfig: {openAIConfig: {apiKeySecretRef: {name: bad, key: k}}}}}
`), spec.Identity{Namespace: "default"}, Options{})
	const want = "spec.configs.defaultConfig.openAIConfig.apiKeySecretRef: Secret default/bad cannot be used: a value has the wrong form; values under data are in base64, and plain ones stand under stringData"
	if len(state.Findings) != 1 || state.Findings[0].Reason != object.ReasonInvalidSecret || state.Findings[0].Message != want {
		t.Errorf("got %+v", state.Findings)
	}
}

func TestBadObjectsHoldNoKeyInFindings(t *testing.T) {
	for _, key := range []string{"sk-1 2", "sk-1\n", "${sk-1}", "<sk-1>", "{{sk-1}}", "{env.sk-1}", "sk-1\u0001"} {
		objects := &object.Set{Providers: []*object.Item[v1beta1.LLMProvider]{{Object: v1beta1.LLMProvider{
			ObjectMeta: metav1.ObjectMeta{Name: "a", Namespace: "default"},
			Spec: v1beta1.LLMProviderSpec{
				Host: "a.example.com", Headers: map[string]string{"x-api-key": key},
				Configs: &v1beta1.ProviderConfigs{DefaultConfig: &v1beta1.ProviderConfig{OpenAIConfig: &v1beta1.OpenAIConfig{APIKey: &key}}},
			},
		}}}}
		state := Translate(objects, spec.Identity{}, Options{})
		if text, err := redact.State(state); err != nil || strings.Contains(string(text), "sk-1") {
			t.Errorf("%q: %v\n%s", key, err, text)
		}
	}
}

func TestHostsThatOptionsAllow(t *testing.T) {
	objects := mustDecode(t, "apiVersion: istio.alibabacloud.com/v1\nkind: LLMProvider\nmetadata: {name: a}\nspec: {host: 169.254.169.254}\n")
	state := Translate(objects, spec.Identity{}, Options{AllowAnyHost: true})
	if len(state.Findings) > 0 || len(state.Providers) != 1 || state.Providers[0].Provider.(*openai.Provider).Guarded {
		t.Errorf("got %+v", state.Findings)
	}
}

// TestNamesOfInternalAddresses holds that what a host's name stands for is checked
// when it is connected to.
func TestNamesOfInternalAddresses(t *testing.T) {
	objects := mustDecode(t, "apiVersion: istio.alibabacloud.com/v1\nkind: LLMProvider\nmetadata: {name: a}\nspec: {host: a.example.com}\n")
	state := Translate(objects, spec.Identity{}, Options{})
	if !state.Providers[0].Provider.(*openai.Provider).Guarded {
		t.Error("a name may stand for any address")
	}
}
