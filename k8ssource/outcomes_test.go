package k8ssource

import (
	"testing"

	"k8s.io/apimachinery/pkg/api/meta"

	"github.com/caddy-llm/gateway/llmroute"
)

func TestOutcomes(t *testing.T) {
	const manifests = `apiVersion: istio.alibabacloud.com/v1beta1
kind: LLMProvider
metadata: {name: good, namespace: ns, generation: 3}
spec: {host: a.example.com}
---
apiVersion: istio.alibabacloud.com/v1beta1
kind: LLMProvider
metadata: {name: late, namespace: ns}
spec: {host: a.example.com}
---
apiVersion: istio.alibabacloud.com/v1beta1
kind: LLMProvider
metadata: {name: bad, namespace: ns}
spec: {host: b.example.com, port: 70000}
---
apiVersion: istio.alibabacloud.com/v1beta1
kind: LLMProvider
metadata: {name: no-host, namespace: ns}
---
apiVersion: istio.alibabacloud.com/v1beta1
kind: LLMProvider
metadata: {name: other, namespace: ns}
spec: {host: c.example.com, port: 70000, workloadSelector: {labels: {app: other}}}
---
apiVersion: networking.istio.io/v1
kind: Gateway
metadata: {name: other, namespace: ns}
spec: {selector: {app: other}, servers: [{port: {number: 80, name: http, protocol: HTTP}, hosts: ["*"]}]}
---
apiVersion: istio.alibabacloud.com/v1beta1
kind: LLMRoute
metadata: {name: governs, namespace: ns}
spec: {host: a.example.com, rules: [{backendRefs: [{providerHost: a.example.com}]}]}
---
apiVersion: istio.alibabacloud.com/v1beta1
kind: LLMRoute
metadata: {name: lost, namespace: ns}
spec: {host: a.example.com, rules: [{backendRefs: [{providerHost: a.example.com}]}]}
---
apiVersion: istio.alibabacloud.com/v1beta1
kind: LLMRoute
metadata: {name: refused, namespace: ns}
spec: {host: d.example.com}
---
apiVersion: istio.alibabacloud.com/v1beta1
kind: LLMRoute
metadata: {name: no-host, namespace: ns}
spec: {rules: [{backendRefs: [{providerHost: a.example.com}]}]}
---
apiVersion: istio.alibabacloud.com/v1beta1
kind: LLMRoute
metadata: {name: elsewhere, namespace: ns}
spec: {host: e.example.com, gateways: [other], rules: [{backendRefs: [{providerHost: a.example.com}]}]}
---
apiVersion: istio.alibabacloud.com/v1beta1
kind: LLMRoute
metadata: {name: refused-elsewhere, namespace: ns}
spec: {host: e.example.com, gateways: [other]}
`
	objects, err := Decode("a.yaml", []byte(manifests))
	if err != nil {
		t.Fatal(err)
	}
	state := Translate(objects, llmroute.Identity{Namespace: "ns", Labels: map[string]string{"app": "this"}}, Options{})
	want := map[string]struct {
		applies bool
		reason  string // of Programmed
	}{
		"LLMProvider good": {true, "Programmed"}, "LLMProvider late": {true, "NotAccepted"}, "LLMProvider bad": {true, "NotAccepted"},
		"LLMProvider no-host": {true, "NotAccepted"}, "LLMProvider other": {false, "NotSelected"},
		"LLMRoute governs": {true, "Programmed"}, "LLMRoute lost": {true, "NotAccepted"}, "LLMRoute refused": {true, "NotAccepted"}, "LLMRoute no-host": {true, "NotAccepted"},
		"LLMRoute elsewhere": {false, "NotSelected"}, "LLMRoute refused-elsewhere": {false, "NotAccepted"},
	}
	outcomes := Outcomes(objects, state, Options{})
	if len(outcomes) != len(want) {
		t.Errorf("%d outcomes, want %d", len(outcomes), len(want))
	}
	for _, o := range outcomes {
		name := o.Kind + " " + o.Object.GetName()
		programmed := meta.FindStatusCondition(o.Conditions, ConditionProgrammed)
		if w := want[name]; o.Applies != w.applies || programmed.Reason != w.reason || programmed.ObservedGeneration != o.Object.GetGeneration() {
			t.Errorf("%s: applies %v, %+v; want %v, %s", name, o.Applies, programmed, w.applies, w.reason)
		}
	}
}

// TestOutcomesAtTheEdge has a workload that serves a Gateway.
func TestOutcomesAtTheEdge(t *testing.T) {
	const manifests = `apiVersion: networking.istio.io/v1
kind: Gateway
metadata: {name: gw, namespace: ns}
spec: {selector: {app: this}, servers: [{port: {number: 80, name: http, protocol: HTTP}, hosts: ["*"]}]}
---
apiVersion: istio.alibabacloud.com/v1beta1
kind: LLMRoute
metadata: {name: sidecars, namespace: ns}
spec: {host: a.example.com, gateways: [mesh], rules: [{backendRefs: [{providerHost: a.example.com}]}]}
---
apiVersion: istio.alibabacloud.com/v1beta1
kind: LLMRoute
metadata: {name: edge, namespace: ns}
spec: {host: b.example.com, gateways: [gw], rules: [{backendRefs: [{providerHost: b.example.com}]}]}
---
apiVersion: istio.alibabacloud.com/v1beta1
kind: LLMRoute
metadata: {name: both, namespace: ns}
spec: {host: c.example.com, rules: [{matches: [{gateways: [gw]}, {}], backendRefs: [{providerHost: c.example.com}]}]}
---
apiVersion: istio.alibabacloud.com/v1beta1
kind: LLMRoute
metadata: {name: refused, namespace: ns}
spec: {host: d.example.com}
`
	objects, err := Decode("a.yaml", []byte(manifests))
	if err != nil {
		t.Fatal(err)
	}
	for name, test := range map[string]struct {
		labels  map[string]string
		options Options
		want    map[string]bool
	}{
		"edge":             {map[string]string{"app": "this"}, Options{}, map[string]bool{"edge": true, "both": true, "refused": true}},
		"edge and sidecar": {map[string]string{"app": "this"}, Options{MeshListen: ":15001"}, map[string]bool{"sidecars": true, "edge": true, "both": true, "refused": true}},
		"sidecar":          {map[string]string{"app": "other"}, Options{}, map[string]bool{"sidecars": true, "both": true, "refused": true}},
	} {
		state := Translate(objects, llmroute.Identity{Namespace: "ns", Labels: test.labels}, test.options)
		for _, o := range Outcomes(objects, state, test.options) {
			if got := o.Object.GetName(); o.Applies != test.want[got] {
				t.Errorf("%s: %s applies %v", name, got, o.Applies)
			}
		}
	}
}
