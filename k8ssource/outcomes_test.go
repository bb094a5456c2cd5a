package k8ssource

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/base64"
	"encoding/pem"
	"math/big"
	"strings"
	"testing"
	"time"

	"k8s.io/apimachinery/pkg/api/meta"

	"github.com/caddy-llm/gateway/k8ssource/condition"
	"github.com/caddy-llm/gateway/k8ssource/object"
	"github.com/caddy-llm/gateway/llmroute/spec"
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
	objects, err := object.Decode("a.yaml", []byte(manifests))
	if err != nil {
		t.Fatal(err)
	}
	state := Translate(objects, spec.Identity{Namespace: "ns", Labels: map[string]string{"app": "this"}}, Options{})
	want := map[string]struct {
		applies bool
		reason  string // of Programmed
	}{
		"LLMProvider good": {true, "Programmed"}, "LLMProvider late": {true, "NotAccepted"}, "LLMProvider bad": {true, "NotAccepted"},
		"LLMProvider no-host": {true, "NotAccepted"}, "LLMProvider other": {false, "NotSelected"},
		"LLMRoute governs": {true, "Programmed"}, "LLMRoute lost": {true, "NotAccepted"}, "LLMRoute refused": {true, "NotAccepted"}, "LLMRoute no-host": {true, "NotAccepted"},
		"LLMRoute elsewhere": {false, "NotSelected"}, "LLMRoute refused-elsewhere": {false, "NotAccepted"},
	}
	outcomes := Outcomes(objects, state, Options{}, nil)
	if len(outcomes) != len(want) {
		t.Errorf("%d outcomes, want %d", len(outcomes), len(want))
	}
	for _, o := range outcomes {
		name := o.Kind + " " + o.Object.GetName()
		programmed := meta.FindStatusCondition(o.Conditions, condition.Programmed)
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
	objects, err := object.Decode("a.yaml", []byte(manifests))
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
		state := Translate(objects, spec.Identity{Namespace: "ns", Labels: test.labels}, test.options)
		for _, o := range Outcomes(objects, state, test.options, nil) {
			if got := o.Object.GetName(); o.Applies != test.want[got] {
				t.Errorf("%s: %s applies %v", name, got, o.Applies)
			}
		}
	}
}

// TestProgrammedIsReachable holds that a route is programmed only if requests can reach
// it, and that the condition says what is missing.
func TestProgrammedIsReachable(t *testing.T) {
	pair := certificatePair(t)
	gateway := func(name, servers string) string {
		return "---\napiVersion: networking.istio.io/v1\nkind: Gateway\nmetadata: {name: " + name + ", namespace: ns}\nspec: {selector: {app: this}, servers: [" + servers + "]}\n"
	}
	api := func(protocol string) string {
		return "---\napiVersion: gateway.networking.k8s.io/v1\nkind: GatewayClass\nmetadata: {name: llm}\nspec: {controllerName: " + ControllerName + "}\n" +
			"---\napiVersion: gateway.networking.k8s.io/v1\nkind: Gateway\nmetadata: {name: gw, namespace: ns}\nspec: {gatewayClassName: llm, listeners: [{name: a, port: 80, protocol: " + protocol + "}]}\n"
	}
	const plain = `{port: {number: 80, name: http, protocol: HTTP}, hosts: ["*"]}`
	const secure = `{port: {number: 443, name: https, protocol: HTTPS}, hosts: ["*"], tls: {mode: SIMPLE, credentialName: cert}}`
	for name, test := range map[string]struct {
		gateways string // of the route
		objects  string
		unbound  map[string]bool
		want     string
	}{
		"plain":                          {"gw", gateway("gw", plain), nil, "True Programmed"},
		"no Gateway":                     {"gw", "", nil, "False GatewayNotFound"},
		"a Gateway for others":           {"gw", strings.Replace(gateway("gw", plain), "this", "other", 1), nil, "False NotSelected"},
		"other hosts":                    {"gw", gateway("gw", strings.Replace(plain, `"*"`, "b.example.com", 1)), nil, "False HostNotServed"},
		"hosts for others' routes":       {"gw", gateway("gw", strings.Replace(plain, `"*"`, "other/*", 1)), nil, "False HostNotServed"},
		"a server that is not supported": {"gw", gateway("gw", strings.Replace(plain, "HTTP}", "TCP}", 1)), nil, "False GatewayNotUsed"},
		"Gateway API":                    {"gw", api("HTTP"), nil, "True Programmed"},
		"a listener that is left out":    {"gw", api("UDP"), nil, "False GatewayNotUsed"},
		"no certificate":                 {"gw", gateway("gw", secure), nil, "False NoCertificate"},
		"a certificate":                  {"gw", gateway("gw", secure) + pair, nil, "True Programmed"},
		"a bad certificate":              {"gw", gateway("gw", secure) + strings.Replace(pair, "tls.key", "other", 1), nil, "False NoCertificate"},
		"no certificate, but plain too":  {"gw", gateway("gw", secure+", "+plain), nil, "True Programmed"},
		"a port that is taken":           {"gw", gateway("gw", plain), map[string]bool{":80": true}, "False NotListening"},
		"another port that is taken":     {"gw", gateway("gw", plain), map[string]bool{":81": true}, "True Programmed"},
		"one of two Gateways":            {"gw, none", gateway("gw", plain), nil, "True Programmed"},
		"another's server has the host":  {"gw", gateway("gw", strings.Replace(plain, `"*"`, "b.example.com", 1)) + gateway("second", plain), nil, "False HostNotServed"},
	} {
		t.Run(name, func(t *testing.T) {
			objects := mustDecode(t, "apiVersion: istio.alibabacloud.com/v1\nkind: LLMProvider\nmetadata: {name: p, namespace: ns}\nspec: {host: p.example.com}\n---\n"+
				"apiVersion: istio.alibabacloud.com/v1\nkind: LLMRoute\nmetadata: {name: r, namespace: ns}\nspec: {host: a.example.com, gateways: ["+test.gateways+"], rules: [{backendRefs: [{providerHost: p.example.com}]}]}\n"+test.objects)
			state := Translate(objects, spec.Identity{Namespace: "ns", Labels: map[string]string{"app": "this"}}, Options{})
			for _, o := range Outcomes(objects, state, Options{}, test.unbound) {
				if o.Kind != object.KindLLMRoute {
					continue
				}
				c := meta.FindStatusCondition(o.Conditions, condition.Programmed)
				if got := string(c.Status) + " " + c.Reason; got != test.want || c.Reason != "Programmed" && c.Message == "" {
					t.Errorf("got %s: %s; want %s", got, c.Message, test.want)
				}
			}
		})
	}
}

// certificatePair is the manifest of Secret ns/cert, with a certificate and its key.
func certificatePair(t *testing.T) string {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), NotAfter: time.Now().Add(time.Hour), DNSNames: []string{"a.example.com"}}
	certificate, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	private, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	encoded := func(kind string, der []byte) string {
		return base64.StdEncoding.EncodeToString(pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}))
	}
	return "---\napiVersion: v1\nkind: Secret\nmetadata: {name: cert, namespace: ns}\ndata: {tls.crt: " + encoded("CERTIFICATE", certificate) + ", tls.key: " + encoded("PRIVATE KEY", private) + "}\n"
}
