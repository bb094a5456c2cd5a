package k8ssource

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"reflect"
	"strings"
	"testing"

	"github.com/caddy-llm/gateway/k8ssource/object"
	"github.com/caddy-llm/gateway/k8ssource/policy"
	"github.com/caddy-llm/gateway/k8ssource/redact"
	"github.com/caddy-llm/gateway/llmroute/spec"
)

// pool is a set of objects of which each state of a test has some.
type pool struct {
	t     *testing.T
	texts map[string][]string    // versions of each object
	items map[string]*object.Set // by text
}

func (p *pool) object(text string) *object.Set {
	if p.items[text] == nil {
		objects, err := object.DecodeObject([]byte(text))
		if err != nil {
			p.t.Fatal(err)
		}
		p.items[text] = objects
	}
	return p.items[text]
}

func newPool(t *testing.T) *pool {
	p := &pool{t: t, texts: make(map[string][]string), items: make(map[string]*object.Set)}
	add := func(name, format string, versions ...any) {
		for _, v := range versions {
			p.texts[name] = append(p.texts[name], fmt.Sprintf(format, v))
		}
	}
	const ours = `{"apiVersion":"istio.alibabacloud.com/v1","kind":`
	add("secret", `{"apiVersion":"v1","kind":"Secret","metadata":{"name":"s"},"stringData":{"k":"sk-%d"}}`, 1, 2)
	add("service", `{"apiVersion":"v1","kind":"Service","metadata":{"name":"svc","namespace":"default"%s}}`, "")
	add("keyed", ours+`"LLMProvider","metadata":{"name":"keyed"},"spec":{"host":"keyed.com","configs":{"defaultConfig":{"openAIConfig":{"model":"%s","apiKeySecretRef":{"name":"s","key":"k"}}}}}}`, "a", "b")
	add("plain", ours+`"LLMProvider","metadata":{"name":"plain"},"spec":{"host":"%s"}}`, "plain.com", "keyed.com", "other.com", "not a host")
	add("elsewhere", ours+`"LLMProvider","metadata":{"name":"elsewhere"},"spec":{"host":"other.com","workloadSelector":{"labels":{"app":"%s"}}}}`, "x", "gw")
	add("gateway", `{"apiVersion":"networking.istio.io/v1","kind":"Gateway","metadata":{"name":"gw"},"spec":{"selector":{"app":"gw"},"servers":[{"port":{"number":80,"protocol":"HTTP","name":"http"},"hosts":["%s"]}]}}`, "*", "*.com")
	for i := range 4 {
		add(fmt.Sprint("route", i), ours+`"LLMRoute","metadata":{"name":"r`+fmt.Sprint(i)+`"},"spec":{"host":"%s","gateways":["mesh","gw"],"rules":[{"matches":[{"headers":{"x_`+fmt.Sprint(i)+`":{"exact":"1"}}}],"backendRefs":[{"providerHost":"keyed.com"},{"providerHost":"plain.com"},{"providerHost":"other.com"}]}]}}`,
			"a.com", "b.com", "svc.default", "keyed.com", "*")
	}
	const security = `{"apiVersion":"security.istio.io/v1","kind":`
	add("deny", security+`"AuthorizationPolicy","metadata":{"name":"deny"},"spec":{"selector":{"matchLabels":{"app":"gw"}},"action":"DENY","rules":[{"from":[{"source":{%s}}],"when":[{"key":"request.headers[x_0]","values":["1"]}]}]}}`,
		`"ipBlocks":["10.0.0.0/8"]`, `"remoteIpBlocks":["10.0.0.0/8"]`, `"ipBlock":["10.0.0.0/8"]`)
	add("custom", security+`"AuthorizationPolicy","metadata":{"name":"custom"},"spec":{"action":"CUSTOM","provider":{"name":"%s"},"rules":[{"when":[{"key":"request.headers[x-1]","values":["1"]}]}]}}`, "a", "b")
	add("tokens", security+`"RequestAuthentication","metadata":{"name":"tokens"},"spec":{"jwtRules":[{"issuer":"%s","jwks":"{\"keys\":[]}"}]}}`, "a", "b")
	add("mesh", `{"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"istio","namespace":"istio-system"},"data":{"mesh":"%s"}}`,
		"extensionProviders: [{name: a, envoyExtAuthzHttp: {service: a, port: 80}}]", "defaultConfig: {gatewayTopology: {numTrustedProxies: 1}}", "{")
	for i := range 3 {
		add(fmt.Sprint("policy", i), `{"apiVersion":"caddy-llm.github.io/v1alpha1","kind":"LLMPolicy","metadata":{"name":"p`+fmt.Sprint(i)+`"},"spec":{%s}}`,
			`"targetRefs":[{"kind":"LLMRoute","name":"r0"}],"guards":[{"name":"a","deny":[{"builtin":"email"}]}]`,
			`"targetRefs":[{"kind":"LLMRoute","name":"r0"}],"guards":[{"name":"b","deny":[{"builtin":"email"}]}],"prompt":{"append":[{"role":"user","content":"x"}]}`,
			`"targetRefs":[{"kind":"LLMRoute","name":"r0"},{"kind":"Gateway","name":"gw"}],"guards":[{"name":"a","mask":[{"builtin":"odd"}]}]`,
			`"targetRefs":[{"kind":"Gateway","name":"gw"}],"guards":[{"name":"a","webhook":{"url":"http://w.example","format":"litellm","secretHeaders":[{"name":"X-A","secretRef":{"name":"s","key":"k"}}]}}]`,
			`"targetRefs":[{"kind":"LLMProvider","name":"keyed"},{"kind":"Gateway","name":"api"}],"guards":[{"name":"a","judge":{"provider":"keyed","prompt":"x"}}]`,
			`"targetRefs":[{"kind":"LLMRoute","name":"r1"}],"guards":[{"name":"a","judge":{"provider":"elsewhere","model":"m","prompt":"x"}}]`)
	}
	const api = `{"apiVersion":"gateway.networking.k8s.io/v1","kind":`
	add("class", api+`"GatewayClass","metadata":{"name":"c"},"spec":{"controllerName":"%s"}}`, ControllerName)
	add("api", api+`"Gateway","metadata":{"name":"api"},"spec":{"gatewayClassName":"c","listeners":[{"name":"a","port":81,"protocol":"%s"}]}}`, "HTTP", "HTTP", "TCP")
	add("http", api+`"HTTPRoute","metadata":{"name":"http"},"spec":{"parentRefs":[{"name":"api"}],"hostnames":["h.com"],"rules":[{"backendRefs":[%s]}]}}`,
		`{"name":"web","port":80}`, `{"group":"istio.alibabacloud.com","kind":"LLMProvider","name":"keyed"}`, `{"group":"inference.networking.k8s.io","kind":"InferencePool","name":"pool"}`)
	add("web", `{"apiVersion":"v1","kind":"Service","metadata":{"name":"web"},"spec":{"ports":[{"name":"http","port":80,"appProtocol":"%s"}]}}`, "", "kubernetes.io/h2c")
	add("slice", `{"apiVersion":"discovery.k8s.io/v1","kind":"EndpointSlice","metadata":{"name":"web-1","labels":{"kubernetes.io/service-name":"web"}},"ports":[{"name":"http","port":8080}],"endpoints":[{"addresses":["%s"]}]}`, "10.0.0.1", "10.0.0.2")
	add("pool", `{"apiVersion":"inference.networking.k8s.io/v1","kind":"InferencePool","metadata":{"name":"pool"},"spec":{"targetPorts":[{"number":8000}],"selector":{"matchLabels":{"app":"%s"}}}}`, "a", "b")
	return p
}

// TestTranslatorIsTranslate changes objects at random, and compares what a
// translator that has seen all states before makes of each with what Translate
// does.
func TestTranslatorIsTranslate(t *testing.T) {
	p := newPool(t)
	random := rand.New(rand.NewPCG(1, 2))
	chosen := make(map[string]int) // versions; the one past the last is none
	names := []string{"secret", "service", "keyed", "plain", "elsewhere", "gateway", "route0", "route1", "route2", "route3", "deny", "custom", "tokens", "mesh",
		"policy0", "policy1", "policy2", "class", "api", "http", "web", "slice", "pool"}
	translator := new(Translator)
	identity := spec.Identity{Namespace: "default", Labels: map[string]string{"app": "gw"}}
	authorized, guarded, services := 0, 0, 0
	for step := range 3000 {
		name := names[random.IntN(len(names))]
		chosen[name] = random.IntN(len(p.texts[name]) + 1)
		objects := new(object.Set)
		for _, name := range names {
			if v := chosen[name]; v < len(p.texts[name]) {
				objects.Add(p.object(p.texts[name][v]))
			}
		}
		if step%500 == 499 {
			identity.Labels = map[string]string{"app": []string{"gw", "x"}[step/500%2]}
		}
		got, want := translator.Translate(objects, identity, Options{}), Translate(objects, identity, Options{})
		if !reflect.DeepEqual(got, want) {
			a, _ := redact.State(got)
			b, _ := redact.State(want)
			t.Fatalf("step %d, %s: got\n%s\nwant\n%s", step, name, a, b)
		}
		if got.Authorization != nil {
			authorized++
		}
		if len(policy.InState(got)) > 0 {
			guarded++
		}
		for _, route := range got.Tables[":81"] {
			if strings.Contains(string(route.Rules[0].HandlerRaw), "endpoints") {
				services++
			}
		}
	}
	if authorized < 1000 || guarded < 1000 || services < 50 {
		t.Errorf("only %d states have policies, %d LLMPolicies and %d Services", authorized, guarded, services)
	}
}

// TestTranslatorTakesOver checks that what did not change is the same object.
func TestTranslatorTakesOver(t *testing.T) {
	p := newPool(t)
	state := func(versions map[string]int) *object.Set {
		objects := new(object.Set)
		for _, name := range []string{"secret", "keyed", "plain", "gateway", "route0", "route1", "deny", "mesh"} {
			objects.Add(p.object(p.texts[name][versions[name]]))
		}
		return objects
	}
	translator := new(Translator)
	identity := spec.Identity{Namespace: "default", Labels: map[string]string{"app": "gw"}}
	first := translator.Translate(state(map[string]int{"route1": 1}), identity, Options{})
	for name, change := range map[string]map[string]int{"a route": {"route1": 2}, "a provider": {"route1": 1, "keyed": 1}, "a secret": {"route1": 1, "secret": 1}} {
		second := translator.Translate(state(change), identity, Options{})
		if first.Providers[1] != second.Providers[1] {
			t.Errorf("%s: another provider was set up again", name)
		}
		if first.Tables["mesh"][0] != second.Tables["mesh"][0] || first.Tables[":80"][0] != second.Tables[":80"][0] {
			t.Errorf("%s: another route was set up again", name)
		}
		if first.Authorization != second.Authorization {
			t.Errorf("%s: the policies were set up again", name)
		}
		if reflect.DeepEqual(first, second) {
			t.Errorf("%s: the change shows nowhere", name)
		}
	}
}

func TestTryOutlivesAPanic(t *testing.T) {
	decode := func() *object.Set {
		return mustDecode(t, "apiVersion: istio.alibabacloud.com/v1\nkind: LLMProvider\nmetadata: {name: a}\nspec: {host: a.example.com}\n")
	}
	translator, objects, broken := new(Translator), decode(), decode()
	broken.Providers = append(broken.Providers, nil)
	for range 2 {
		state, err := translator.Try(broken, spec.Identity{}, Options{})
		if state != nil || err == nil || !strings.Contains(err.Error(), "translator.go") {
			t.Errorf("got %v, %v; want an error with the stack", state, err)
		}
		state, err = translator.Try(objects, spec.Identity{}, Options{})
		if want := Translate(objects, spec.Identity{}, Options{}); err != nil || !reflect.DeepEqual(state, want) {
			t.Errorf("after a panic: %v, %v; want %v", state, err, want)
		}
	}
}

// BenchmarkTranslator measures what one changed route costs among 1,000 providers
// and 5,000 routes.
func BenchmarkTranslator(b *testing.B) {
	decoded, err := object.Decode("x.yaml", manyObjects(1000, 5000))
	if err != nil {
		b.Fatal(err)
	}
	changed := *decoded.Routes[0]
	b.ReportAllocs()
	translator := new(Translator)
	for i := 0; b.Loop(); i++ {
		item := changed
		item.Object.Spec.Host = fmt.Sprint("host-", i)
		decoded.Routes[0] = &item
		translator.Translate(decoded, spec.Identity{}, Options{})
	}
}

// manyObjects is a file with so many providers and routes.
func manyObjects(providers, routes int) []byte {
	var text bytes.Buffer
	for i := range providers {
		fmt.Fprintf(&text, "---\napiVersion: istio.alibabacloud.com/v1\nkind: LLMProvider\nmetadata: {name: p-%d}\nspec:\n  host: p-%d.example.com\n"+
			"  configs: {defaultConfig: {openAIConfig: {model: m, apiKey: sk-%d}}}\n", i, i, i)
	}
	for i := range routes {
		fmt.Fprintf(&text, "---\napiVersion: istio.alibabacloud.com/v1\nkind: LLMRoute\nmetadata: {name: r-%d}\nspec:\n  host: r-%d\n  rules:\n"+
			"  - matches: [{headers: {user-type: {exact: subscriber}}}]\n    backendRefs: [{providerHost: p-%d.example.com}]\n  - backendRefs: [{providerHost: p-0.example.com}]\n", i, i, i%providers)
	}
	return text.Bytes()
}
