package k8ssource

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"

	"go.uber.org/zap"

	"github.com/caddy-llm/gateway/k8ssource/object"
	"github.com/caddy-llm/gateway/llmroute/authz"
	"github.com/caddy-llm/gateway/llmroute/spec"
)

// TestPoliciesDoNotVanish holds that a policy that may be meant for the workload is in
// force or reported, however its apiVersion, kind or namespace is misspelt.
func TestPoliciesDoNotVanish(t *testing.T) {
	identity := spec.Identity{Namespace: "edge", Labels: map[string]string{"app": "gw"}}
	const good = "apiVersion: security.istio.io/v1"
	for name, test := range map[string]struct {
		head, metadata string
		inForce        bool
		finding        string // empty for none
	}{
		"good":                       {good, "{name: a, namespace: edge}", true, ""},
		"of the root namespace":      {good, "{name: a, namespace: istio-system}", true, ""},
		"of another workload's":      {good, "{name: a, namespace: prod}", false, ""},
		"group with a typo":          {"apiVersion: security.istio.com/v1", "{name: a, namespace: edge}", true, "apiVersion: there is no such one"},
		"another group of Istio":     {"apiVersion: networking.istio.io/v1", "{name: a, namespace: edge}", true, "apiVersion: there is no such one"},
		"group in capitals":          {"apiVersion: Security.Istio.IO/v1", "{name: a, namespace: edge}", true, "apiVersion: there is no such one"},
		"typo, another workload's":   {"apiVersion: security.istio.com/v1", "{name: a, namespace: prod}", false, ""},
		"no group":                   {"apiVersion: v1", "{name: a, namespace: edge}", false, "apiVersion: "},
		"another group":              {"apiVersion: security.itsio.io/v1", "{name: a, namespace: edge}", false, "apiVersion: "},
		"another product's":          {"apiVersion: policy.linkerd.io/v1alpha1", "{name: a, namespace: edge}", false, ""},
		"namespace with a typo":      {good, "{name: a, namespace: istio-syste}", false, "metadata.namespace: nothing else"},
		"namespace in capitals":      {good, "{name: a, namespace: Edge}", true, "metadata.namespace: this is not a name"},
		"namespace with underscore":  {good, "{name: a, namespace: istio_system}", true, "metadata.namespace: this is not a name"},
		"namespace a number":         {good, "{name: a, namespace: 5}", true, "metadata.namespace: this is a number"},
		"field with a typo":          {good, "{name: a, namesapce: edge}", true, "metadata.namesapce: unknown field"},
		"field in capitals":          {good, "{name: a, Namespace: edge}", true, "metadata.Namespace: unknown field"},
		"field in another place":     {good + "\nnamespace: edge", "{name: a}", true, "namespace: unknown field"},
		"metadata a list":            {good, "[edge]", true, "metadata: this is a list"},
		"labels that do not fit":     {good, "{name: a, labels: []}", false, "metadata.namespace: nothing else"},
		"labels, another workload's": {good, "{name: a, namespace: prod, labels: []}", false, ""},
	} {
		for kind, spec := range map[string]string{
			object.KindAuthorizationPolicy: "{action: DENY, rules: [{}]}", object.KindRequestAuthentication: `{jwtRules: [{issuer: i, jwks: '{"keys":[]}'}]}`,
		} {
			t.Run(kind+" "+name, func(t *testing.T) {
				text := fmt.Sprintf("%s\nkind: %s\nmetadata: %s\nspec: %s\n---\napiVersion: apps/v1\nkind: Deployment\nmetadata: {name: d, namespace: prod}\n", test.head, kind, test.metadata, spec)
				o, err := object.DecodeIn("", "x.yaml", []byte(text))
				if err != nil {
					t.Fatal(err)
				}
				state := Translate(o, identity, Options{})
				if got := state.Authorization != nil; got != test.inForce {
					t.Errorf("in force: %v", got)
				}
				var findings []string
				for _, f := range state.Findings {
					if !strings.HasPrefix(f.Message, "spec.jwtRules[0].jwks") {
						findings = append(findings, f.Message)
					}
				}
				if test.finding == "" && len(findings) > 0 || test.finding != "" && (len(findings) == 0 || !strings.HasPrefix(findings[0], test.finding)) {
					t.Errorf("findings %q, want %q", findings, test.finding)
				}
			})
		}
	}
	// A namespace that has objects of other workloads, however they are named.
	for _, other := range []string{"apiVersion: v1\nkind: Namespace\nmetadata: {name: syste}", "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: x, namespace: syste}"} {
		o := mustDecode(t, good+"\nkind: AuthorizationPolicy\nmetadata: {name: a, namespace: syste}\nspec: {}\n---\n"+other)
		if state := Translate(o, identity, Options{}); len(state.Findings) > 0 {
			t.Errorf("%s: %v", other, state.Findings)
		}
	}
	// Policies hold for no sidecar.
	o := mustDecode(t, good+"\nkind: AuthorizationPolicy\nmetadata: {name: a, namespace: syste}\nspec: {}\n")
	if state := Translate(o, identity, Options{MeshListen: ":15001"}); len(state.Findings) > 0 {
		t.Errorf("a sidecar: %v", state.Findings)
	}
}

// A Gateway of a group that does not exist is reported, and that of the Gateway API is
// somebody else's.
func TestGatewaysDoNotVanish(t *testing.T) {
	for version, want := range map[string]int{"networking.istio.com/v1": 1, "networking.istio/v1": 1, "gateway.networking.k8s.io/v1": 0} {
		if o := mustDecode(t, "apiVersion: "+version+"\nkind: Gateway\nmetadata: {name: a}\nspec: {}\n"); len(o.Strays) != want || len(o.Gateways) != 0 {
			t.Errorf("%s: %d strays, %d Gateways", version, len(o.Strays), len(o.Gateways))
		}
	}
}

// TestMisspeltSelectors holds that a selector that differs from the workload's labels by
// a typing error is reported, and one for other workloads is not.
func TestMisspeltSelectors(t *testing.T) {
	identity := spec.Identity{Namespace: "edge", Labels: map[string]string{"istio": "ingressgateway", "app": "gateway", "version": "v1", "track": "stable-2"}}
	for selector, reported := range map[string]bool{
		"{istio: ingresgateway}": true, "{istio: ingressgatewya}": true, "{istio: IngressGateway}": true, "{isito: ingressgateway}": true, "{istio: ingressgateway, app: gatway}": true,
		"{Istio: ingressgateway}": true, "{istio: egressgateway}": false, "{app: web}": false, "{version: v2}": false, "{track: stable-3}": false, "{istio: ingresgateway, app: web}": false,
		"{istio: ingressgateway}": false, "{other: ingressgateway}": false, "{}": false,
	} {
		for _, namespace := range []string{"edge", "istio-system"} {
			o := mustDecode(t, "apiVersion: security.istio.io/v1\nkind: AuthorizationPolicy\nmetadata: {name: a, namespace: "+namespace+"}\nspec: {selector: {matchLabels: "+selector+"}, action: DENY, rules: [{}]}\n")
			state := Translate(o, identity, Options{})
			if got := len(state.Findings) > 0; got != reported {
				t.Errorf("%s in %s: %v", selector, namespace, state.Findings)
			}
		}
	}
}

// TestPoliciesForGatewayAPI holds that policies with targetRefs hold for requests to the
// Gateways that they name, whatever namespace the gateway itself is in.
func TestPoliciesForGatewayAPI(t *testing.T) {
	const objects = `apiVersion: gateway.networking.k8s.io/v1
kind: GatewayClass
metadata: {name: llm}
spec: {controllerName: istio.alibabacloud.com/llm-gateway}
---
apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata: {name: edge, namespace: infra}
spec: {gatewayClassName: llm, listeners: [{name: http, port: 80, protocol: HTTP}]}
---
apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata: {name: inner, namespace: infra}
spec: {gatewayClassName: llm, listeners: [{name: http, port: 81, protocol: HTTP}]}
---
apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata: {name: strange, namespace: infra}
spec: {gatewayClassName: other, listeners: [{name: http, port: 82, protocol: HTTP}]}
---
apiVersion: security.istio.io/v1
kind: %s
metadata: {name: a, namespace: %s}
spec:
  %s
  %s
`
	const edge = "{group: gateway.networking.k8s.io, kind: Gateway, name: edge}"
	const inner = "{group: gateway.networking.k8s.io, kind: Gateway, name: inner}"
	const strange = "{group: gateway.networking.k8s.io, kind: Gateway, name: strange}"
	const class = "{group: gateway.networking.k8s.io, kind: GatewayClass, name: llm}"
	for _, test := range []struct{ namespace, target, holds string }{
		{"infra", "targetRefs: [" + edge + "]", "infra/edge"},
		{"infra", "targetRef: " + edge, "infra/edge"},
		{"infra", "targetRefs: [" + edge + ", " + inner + "]", "infra/edge infra/inner"},
		{"infra", "targetRefs: [" + strange + ", " + inner + "]", "infra/inner"},
		{"istio-system", "targetRefs: [" + class + "]", "infra/edge infra/inner"},
		{"infra", "targetRefs: [" + class + "]", ""},
		{"infra", "targetRefs: [" + strange + "]", ""},
		{"llm", "targetRefs: [" + edge + "]", ""},
		{"llm", "targetRefs: [{group: '', kind: Service, name: edge}]", ""},
		{"llm", "selector: {matchLabels: {app: gw}}", "infra/edge infra/inner none"},
	} {
		for kind, rules := range map[string]string{
			object.KindAuthorizationPolicy:   "action: DENY\n  rules: [{}]",
			object.KindRequestAuthentication: `jwtRules: [{issuer: i, jwks: '{"keys":[]}'}]`,
		} {
			state := Translate(mustDecode(t, fmt.Sprintf(objects, kind, test.namespace, test.target, rules)), spec.Identity{Namespace: "llm", Labels: map[string]string{"app": "gw"}}, Options{})
			config := state.Authorization
			if config == nil {
				config = new(authz.Config)
			}
			set, _ := authz.New(config, zap.NewNop())
			var holds []string
			for _, gateway := range []string{"infra/edge", "infra/inner", "infra/strange", "none"} {
				r := httptest.NewRequest(http.MethodPost, "http://a.example/", nil)
				r.Header.Set("Authorization", "Bearer no.good.token")
				if set.For([]string{gateway}).Authorize(http.Header{}, r, nil).Refusal != nil {
					holds = append(holds, gateway)
				}
			}
			if got := strings.Join(holds, " "); got != strings.Replace(test.holds, " none", " infra/strange none", 1) {
				t.Errorf("%s in %s with %s holds for %q, want %q", kind, test.namespace, test.target, got, test.holds)
			}
			reported := slices.ContainsFunc(state.Findings, func(f spec.Finding) bool { return f.Reason == object.ReasonUnsupportedTarget })
			if want := test.holds == "" && !strings.Contains(test.target, "strange"); reported != want {
				t.Errorf("%s in %s with %s: reported is %v: %v", kind, test.namespace, test.target, reported, state.Findings)
			}
		}
	}
}
