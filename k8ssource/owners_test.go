package k8ssource

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/caddy-llm/gateway/k8ssource/object"
	"github.com/caddy-llm/gateway/llmroute/spec"
)

const providerText = `apiVersion: istio.alibabacloud.com/v1
kind: LLMProvider
metadata: {name: %s, namespace: %s, creationTimestamp: "%s"}
spec: {host: "%s", workloadSelector: {labels: {%s}}}
---
`

const anyTime = "2026-01-01T00:00:00Z"

// ownerOf is the provider that a state sends requests for a host to, or why to none.
func ownerOf(state *spec.State, host string) string {
	for _, route := range state.Tables[MeshTable] {
		switch {
		case !slices.Contains(route.Hosts, host):
		case route.Unusable != "":
			return route.Unusable
		default:
			return route.Rules[0].Backends[0].Provider
		}
	}
	return ""
}

// TestSelectorsSelectTheirOwnNamespace holds what Istio has: a selector is for the
// workloads of its namespace, from the root namespace for all.
func TestSelectorsSelectTheirOwnNamespace(t *testing.T) {
	gateway := spec.Identity{Namespace: "edge", Labels: map[string]string{"istio": "ingressgateway"}}
	tests := map[string]struct {
		namespaces []string // of providers, the oldest first
		identity   spec.Identity
		from       []string
		want       string
	}{
		"own":                      {[]string{"edge"}, gateway, nil, "edge/p"},
		"root":                     {[]string{DefaultRootNamespace}, gateway, nil, "istio-system/p"},
		"another":                  {[]string{"tenant"}, gateway, nil, ""},
		"another, older":           {[]string{"tenant", "edge"}, gateway, nil, "edge/p"},
		"named":                    {[]string{"tenant"}, gateway, []string{"tenant"}, "tenant/p"},
		"own before named":         {[]string{"tenant", "edge"}, gateway, []string{"tenant"}, "edge/p"},
		"root before named":        {[]string{"tenant", DefaultRootNamespace}, gateway, []string{"tenant"}, "istio-system/p"},
		"older of own and root":    {[]string{DefaultRootNamespace, "edge"}, gateway, nil, "istio-system/p"},
		"older of two named":       {[]string{"b", "a"}, gateway, []string{"a", "b"}, "b/p"},
		"unknown workload":         {[]string{"tenant"}, spec.Identity{}, nil, "tenant/p"},
		"labels alone are default": {[]string{"edge", "default"}, spec.Identity{Labels: gateway.Labels}, nil, "default/p"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			var text strings.Builder
			for i, ns := range test.namespaces {
				fmt.Fprintf(&text, providerText, "p", ns, fmt.Sprintf("2026-01-%02dT00:00:00Z", i+1), "a.example.com", "istio: ingressgateway")
			}
			state := Translate(mustDecode(t, text.String()), test.identity, Options{SelectorsFrom: test.from})
			if got := ownerOf(state, "a.example.com"); got != test.want {
				t.Errorf("got %q, want %q; findings %+v", got, test.want, state.Findings)
			}
			conflicts := 0
			for _, f := range state.Findings {
				if f.Reason == object.ReasonConflict {
					conflicts++
				}
			}
			if applying := strings.Contains(name, "before") || strings.Contains(name, "older of"); applying != (conflicts == 1) {
				t.Errorf("%d conflicts", conflicts)
			}
		})
	}
}

// TestNoTenantTakesAHost draws providers at random: none of a namespace that is
// neither the workload's nor trusted ever owns a host, and none of a trusted one owns
// a host of the workload's own.
func TestNoTenantTakesAHost(t *testing.T) {
	random := rand.New(rand.NewPCG(3, 4))
	namespaces := []string{"edge", DefaultRootNamespace, "trusted", "tenant", "other"}
	identity := spec.Identity{Namespace: "edge", Labels: map[string]string{"app": "gw", "x": "z"}}
	for range 2000 {
		var text strings.Builder
		home := make(map[string]bool)
		for i := range 1 + random.IntN(6) {
			ns := namespaces[random.IntN(len(namespaces))]
			host := []string{"a.example.com", "b.example.com", "A.example.com."}[random.IntN(3)]
			labels := []string{"", "app: gw", "x: z", "app: other"}[random.IntN(4)]
			fmt.Fprintf(&text, providerText, fmt.Sprint("p", i), ns, fmt.Sprintf("2026-01-%02dT00:00:00Z", 1+random.IntN(3)), host, labels)
			if (ns == "edge" || ns == DefaultRootNamespace) && labels != "app: other" {
				home[object.CanonicalHost(host)] = true
			}
		}
		state := Translate(mustDecode(t, text.String()), identity, Options{SelectorsFrom: []string{"trusted"}})
		for _, host := range []string{"a.example.com", "b.example.com"} {
			ns, _, _ := strings.Cut(ownerOf(state, host), "/")
			if home[host] && ns != "edge" && ns != DefaultRootNamespace || ns == "tenant" || ns == "other" {
				t.Fatalf("%s belongs to %s:\n%s", host, ns, text.String())
			}
		}
	}
}

// TestARefusedProviderOwnsWhatItMeans holds that requests for a host get 503, and do
// not leave unencrypted, while its provider is refused for its own fault.
func TestARefusedProviderOwnsWhatItMeans(t *testing.T) {
	for _, host := range []string{
		"https://a.example.com", "https://a.example.com/v1/chat/completions", "a.example.com:443", "a.example.com/v1", "user@a.example.com", " a.example.com ", "HTTPS://A.example.com.:443/?x",
	} {
		state := Translate(mustDecode(t, fmt.Sprintf(providerText, "p", "default", anyTime, host, "")), spec.Identity{Namespace: "default"}, Options{})
		if got := ownerOf(state, "a.example.com"); got != object.ReasonInvalidField {
			t.Errorf("%q: got %q; findings %+v", host, got, state.Findings)
		}
		// It takes the host from nobody.
		both := fmt.Sprintf(providerText, "p", "default", anyTime, host, "app: x") + fmt.Sprintf(providerText, "q", "default", "2026-02-01T00:00:00Z", "a.example.com", "")
		state = Translate(mustDecode(t, both), spec.Identity{Namespace: "default", Labels: map[string]string{"app": "x"}}, Options{})
		if got := ownerOf(state, "a.example.com"); got != "default/q" || len(state.Findings) != 1 {
			t.Errorf("%q beside a good one: got %q, %+v", host, got, state.Findings)
		}
	}
}

// A selector that cannot be read may be one for the workload: the provider keeps its
// host, refused, so that no request for it leaves unencrypted.
func TestAnUnreadableSelectorKeepsTheHost(t *testing.T) {
	for namespace, want := range map[string]string{"default": object.ReasonInvalidField, "other": ""} {
		for _, labels := range []string{"app: x, version: 1", "app: [x]", "app: {a: b}"} {
			text := fmt.Sprintf(providerText, "p", namespace, anyTime, "a.example.com", labels)
			state := Translate(mustDecode(t, text), spec.Identity{Namespace: "default", Labels: map[string]string{"app": "x", "version": "1"}}, Options{})
			if got := ownerOf(state, "a.example.com"); got != want {
				t.Errorf("namespace %s, labels %s: got %q, want %q; findings %+v", namespace, labels, got, want, state.Findings)
			}
		}
	}
}

// TestSettingsOfHTTPRules is TestSettingsOfRules for HTTPRoutes.
func TestSettingsOfHTTPRules(t *testing.T) {
	const text = `apiVersion: gateway.networking.k8s.io/v1
kind: GatewayClass
metadata: {name: llm}
spec: {controllerName: istio.alibabacloud.com/llm-gateway}
---
apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata: {name: edge, namespace: a}
spec: {gatewayClassName: llm, listeners: [{name: http, port: 80, protocol: HTTP, allowedRoutes: {namespaces: {from: All}}}]}
---
apiVersion: gateway.networking.k8s.io/v1
kind: ReferenceGrant
metadata: {name: g, namespace: a}
spec: {from: [{group: gateway.networking.k8s.io, kind: HTTPRoute, namespace: %[1]s}], to: [{group: istio.alibabacloud.com, kind: LLMProvider}]}
---
apiVersion: istio.alibabacloud.com/v1
kind: LLMProvider
metadata: {name: p, namespace: a}
spec:
  host: a.example.com
  configs:
    defaultConfig: {openAIConfig: {model: cheap}}
    routeSpecificConfigs: {%[2]s: {openAIConfig: {model: dear}}}
---
apiVersion: istio.alibabacloud.com/v1
kind: LLMRoute
metadata: {name: other, namespace: a}
spec: {host: other, rules: [{backendRefs: [{providerHost: a.example.com}]}]}
---
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {name: r, namespace: %[1]s}
spec:
  parentRefs: [{name: edge, namespace: a}]
  rules: [{name: vip, backendRefs: [{group: istio.alibabacloud.com, kind: LLMProvider, name: p, namespace: a}]}]
`
	for _, test := range []struct {
		route, rule string
		others      bool
	}{{"a", "vip", false}, {DefaultRootNamespace, "vip", false}, {"b", "vip", true}, {"b", "basic", false}} {
		state := Translate(mustDecode(t, fmt.Sprintf(text, test.route, test.rule)), spec.Identity{}, Options{})
		backend := state.Tables[state.Listeners[0].Servers[0].Table][0].Rules[0].Backends[0]
		if backend.Provider != "a/p" || backend.DefaultSettings != test.others {
			t.Errorf("%+v: got %+v", test, backend)
		}
		for reason, want := range map[string]bool{object.ReasonForeignSettings: test.others, object.ReasonUnusedSettings: test.rule != "vip"} {
			if found := slices.ContainsFunc(state.Findings, func(f spec.Finding) bool { return f.Reason == reason && f.Used }); found != want {
				t.Errorf("%+v: %s is found: %v; findings %+v", test, reason, found, state.Findings)
			}
		}
	}
}

// TestSettingsOfRules holds whose rules get the settings that a provider has for
// rules of a name.
func TestSettingsOfRules(t *testing.T) {
	const text = `apiVersion: istio.alibabacloud.com/v1
kind: LLMProvider
metadata: {name: p, namespace: %s}
spec:
  host: a.example.com
  configs:
    defaultConfig: {openAIConfig: {model: cheap}}
    routeSpecificConfigs: {%s: {openAIConfig: {model: dear}}}
---
apiVersion: istio.alibabacloud.com/v1
kind: LLMRoute
metadata: {name: r, namespace: %s}
spec:
  host: svc.example.com
  rules: [{name: vip, backendRefs: [{providerHost: a.example.com}]}]
`
	for _, test := range []struct {
		provider, rule, route string
		others                bool
	}{
		{"a", "vip", "a", false},
		{"a", "vip", DefaultRootNamespace, false},
		{"a", "vip", "b", true},
		{DefaultRootNamespace, "vip", "b", true},
		{"a", "basic", "b", false}, // there is nothing to leave out
	} {
		for _, identity := range []spec.Identity{{}, {Namespace: "a"}} {
			translator := new(Translator)
			// A provider that gets the settings later is seen.
			translator.Translate(mustDecode(t, fmt.Sprintf(text, test.provider, "none", test.route)), identity, Options{})
			state := translator.Translate(mustDecode(t, fmt.Sprintf(text, test.provider, test.rule, test.route)), identity, Options{})
			for _, route := range state.Tables[MeshTable] {
				if route.Hosts[0] == "svc.example.com" && route.Rules[0].Backends[0].DefaultSettings != test.others {
					t.Errorf("%+v: got %+v", test, route.Rules[0].Backends[0])
				}
			}
			if found := slices.ContainsFunc(state.Findings, func(f spec.Finding) bool { return f.Reason == object.ReasonForeignSettings && f.Used }); found != test.others {
				t.Errorf("%+v: findings %+v", test, state.Findings)
			}
		}
	}
}
