package k8ssource

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"reflect"
	"strings"
	"testing"

	"github.com/caddy-llm/gateway/llmroute"
)

// pool is a set of objects of which each state of a test has some.
type pool struct {
	t     *testing.T
	texts map[string][]string // versions of each object
	items map[string]*Objects // by text
}

func (p *pool) object(text string) *Objects {
	if p.items[text] == nil {
		objects, err := DecodeObject([]byte(text))
		if err != nil {
			p.t.Fatal(err)
		}
		p.items[text] = objects
	}
	return p.items[text]
}

func newPool(t *testing.T) *pool {
	p := &pool{t: t, texts: make(map[string][]string), items: make(map[string]*Objects)}
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
	return p
}

// TestTranslatorIsTranslate changes objects at random, and compares what a
// translator that has seen all states before makes of each with what Translate
// does.
func TestTranslatorIsTranslate(t *testing.T) {
	p := newPool(t)
	random := rand.New(rand.NewPCG(1, 2))
	chosen := make(map[string]int) // versions; the one past the last is none
	names := []string{"secret", "service", "keyed", "plain", "elsewhere", "gateway", "route0", "route1", "route2", "route3", "deny", "custom", "tokens", "mesh"}
	translator := new(Translator)
	identity := llmroute.Identity{Namespace: "default", Labels: map[string]string{"app": "gw"}}
	authorized := 0
	for step := range 3000 {
		name := names[random.IntN(len(names))]
		chosen[name] = random.IntN(len(p.texts[name]) + 1)
		objects := new(Objects)
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
			a, _ := Redacted(got)
			b, _ := Redacted(want)
			t.Fatalf("step %d, %s: got\n%s\nwant\n%s", step, name, a, b)
		}
		if got.Authorization != nil {
			authorized++
		}
	}
	if authorized < 1000 {
		t.Errorf("only %d states have policies", authorized)
	}
}

// TestTranslatorTakesOver checks that what did not change is the same object.
func TestTranslatorTakesOver(t *testing.T) {
	p := newPool(t)
	state := func(versions map[string]int) *Objects {
		objects := new(Objects)
		for _, name := range []string{"secret", "keyed", "plain", "gateway", "route0", "route1", "deny", "mesh"} {
			objects.Add(p.object(p.texts[name][versions[name]]))
		}
		return objects
	}
	translator := new(Translator)
	identity := llmroute.Identity{Namespace: "default", Labels: map[string]string{"app": "gw"}}
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
	decode := func() *Objects {
		return mustDecode(t, "apiVersion: istio.alibabacloud.com/v1\nkind: LLMProvider\nmetadata: {name: a}\nspec: {host: a.example.com}\n")
	}
	translator, objects, broken := new(Translator), decode(), decode()
	broken.Providers = append(broken.Providers, nil)
	for range 2 {
		state, err := translator.Try(broken, llmroute.Identity{}, Options{})
		if state != nil || err == nil || !strings.Contains(err.Error(), "translator.go") {
			t.Errorf("got %v, %v; want an error with the stack", state, err)
		}
		state, err = translator.Try(objects, llmroute.Identity{}, Options{})
		if want := Translate(objects, llmroute.Identity{}, Options{}); err != nil || !reflect.DeepEqual(state, want) {
			t.Errorf("after a panic: %v, %v; want %v", state, err, want)
		}
	}
}

// BenchmarkTranslator measures what one changed route costs among 1,000 providers
// and 5,000 routes.
func BenchmarkTranslator(b *testing.B) {
	decoded, err := Decode("x.yaml", manyObjects(1000, 5000))
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
		translator.Translate(decoded, llmroute.Identity{}, Options{})
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
