package k8ssource_test

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/caddy-llm/gateway/k8ssource"
	"github.com/caddy-llm/gateway/k8ssource/gatewayapi"
	"github.com/caddy-llm/gateway/k8ssource/object"
	"github.com/caddy-llm/gateway/llmroute/spec"
)

// translated is the state of manifests and the status of the objects of Gateway API.
func translated(t *testing.T, manifests string, options k8ssource.Options, unbound map[string]bool) (*spec.State, []gatewayapi.Status) {
	t.Helper()
	objects, err := object.Decode("a.yaml", []byte(manifests))
	if err != nil {
		t.Fatal(err)
	}
	var translator k8ssource.Translator
	state := translator.Translate(objects, spec.Identity{}, options)
	return state, translator.GatewayAPI()(unbound)
}

// told are conditions as text: each type, with its reason if that is not the usual one.
func told(conditions []metav1.Condition) string {
	usual := []string{gatewayapi.ReasonAccepted, "Programmed", gatewayapi.ReasonResolvedRefs, gatewayapi.ReasonNoConflicts}
	var out []string
	for _, c := range conditions {
		if !slices.Contains(usual, c.Reason) {
			out = append(out, c.Type+"="+string(c.Status)+"/"+c.Reason)
		}
	}
	return strings.Join(out, " ")
}

// TestGatewayAPIListenerStatus has listeners that cannot be used, each for a reason of its
// own, which its conditions and a finding about the right field say.
func TestGatewayAPIListenerStatus(t *testing.T) {
	const other = "{name: http, port: 8080, protocol: HTTP, hostname: a.example.com}"
	for name, c := range map[string]struct {
		listeners string // the last one counts
		want      string
		says      string // in the condition Accepted, or ResolvedRefs or Programmed
		finding   string
		servers   int // that are listened for
	}{
		"good":         {"{name: l, port: 8080, protocol: HTTP}", "", "", "", 1},
		"protocol":     {"{name: l, port: 8080, protocol: UDP}", "Accepted=False/UnsupportedProtocol Programmed=False/Invalid", "protocol: this is not supported", "spec.listeners[0].protocol: ", 0},
		"hostname":     {"{name: l, port: 8080, protocol: HTTP, hostname: 'a.*.com'}", "Accepted=False/UnsupportedValue Programmed=False/Invalid", "hostname: there is a star", "spec.listeners[0].hostname: ", 0},
		"port":         {"{name: l, port: 70000, protocol: HTTP}", "Accepted=False/PortUnavailable Programmed=False/Invalid", "port: 70000 is out of range", "spec.listeners[0].port: 70000", 0},
		"no port":      {"{name: l, protocol: HTTP}", "Accepted=False/PortUnavailable Programmed=False/Invalid", "port: 0 is out of range", "spec.listeners[0].port: 0", 0},
		"negative":     {"{name: l, port: -1, protocol: HTTP}", "Accepted=False/PortUnavailable Programmed=False/Invalid", "port: -1 is out of range", "spec.listeners[0].port: -1", 0},
		"protocols":    {other + ", {name: l, port: 8080, protocol: HTTPS}", "Accepted=False/PortUnavailable Programmed=False/Invalid Conflicted=True/ProtocolConflict", "port: :8080 is already used for another protocol by Gateway infra/edge spec.listeners[0]", "spec.listeners[1].port: ", 1},
		"hosts":        {other + ", {name: l, port: 8080, protocol: HTTP, hostname: A.example.com.}", "Accepted=False/HostnameConflict Programmed=False/Invalid Conflicted=True/HostnameConflict", "hostname: the host a.example.com at :8080 belongs to Gateway infra/edge spec.listeners[0]", "spec.listeners[1].hostname: ", 1},
		"hosts of TLS": {"{name: s, port: 8443, protocol: HTTPS}, {name: l, port: 8443, protocol: HTTPS}", "Accepted=False/HostnameConflict Programmed=False/Invalid Conflicted=True/HostnameConflict", "hostname: the host *", "spec.listeners[1].hostname: ", 1},
		"other hosts":  {other + ", {name: l, port: 8080, protocol: HTTP, hostname: b.example.com}", "", "", "", 2},
		"other ports":  {other + ", {name: l, port: 8081, protocol: HTTP, hostname: a.example.com}", "", "", "", 2},
		"not bound":    {"{name: l, port: 8089, protocol: HTTP}", "Programmed=False/Pending", "cannot listen at :8089", "", 1},
		"no TLS":       {"{name: l, port: 8443, protocol: HTTPS}", "Programmed=False/Invalid ResolvedRefs=False/InvalidCertificateRef", "certificateRefs", "spec.listeners[0].tls: ", 1},
		"passthrough":  {"{name: l, port: 8443, protocol: HTTPS, tls: {mode: Passthrough}}", "Programmed=False/Invalid ResolvedRefs=False/InvalidCertificateRef", "write mode Terminate", "spec.listeners[0].tls: ", 1},
		"no Secret":    {"{name: l, port: 8443, protocol: HTTPS, tls: {certificateRefs: [{name: c}]}}", "Programmed=False/Invalid ResolvedRefs=False/InvalidCertificateRef", "create it with tls.crt", "spec.listeners[0].tls.certificateRefs[0]: ", 1},
		"not granted":  {"{name: l, port: 8443, protocol: HTTPS, tls: {certificateRefs: [{name: c, namespace: x}]}}", "Programmed=False/Invalid ResolvedRefs=False/RefNotPermitted", "no ReferenceGrant", "spec.listeners[0].tls.certificateRefs[0]: ", 1},
		"kinds":        {"{name: l, port: 8080, protocol: HTTP, allowedRoutes: {kinds: [{kind: TCPRoute}]}}", "Programmed=False/Invalid ResolvedRefs=False/InvalidRouteKinds", "only HTTPRoutes are supported", "spec.listeners[0].allowedRoutes.kinds: ", 1},
	} {
		t.Run(name, func(t *testing.T) {
			manifests := strings.Replace(gatewayAPIObjects, "{name: http, port: 8080, protocol: HTTP, allowedRoutes: {namespaces: {from: All}}}", "x", 1)
			manifests = strings.Replace(manifests, "    - x\n", "    ["+c.listeners+"]\n", 1)
			state, statuses := translated(t, manifests, k8ssource.Options{}, map[string]bool{":8089": true})
			gateway := statuses[slices.IndexFunc(statuses, func(s gatewayapi.Status) bool { return s.Kind == gatewayapi.KindGateway })]
			l := gateway.Listeners[len(gateway.Listeners)-1]
			if got := told(l.Conditions); got != c.want {
				t.Errorf("the conditions say %s, want %s", got, c.want)
			}
			messages := ""
			for _, condition := range l.Conditions {
				if condition.Message += "\n"; condition.Reason != gatewayapi.ReasonAccepted && condition.Message == "\n" && !strings.Contains("Programmed ResolvedRefs NoConflicts", condition.Reason) {
					t.Errorf("%s=%s has no message", condition.Type, condition.Reason)
				}
				messages += condition.Message
			}
			if !strings.Contains(messages, c.says) {
				t.Errorf("the conditions do not say %q: %s", c.says, messages)
			}
			found := c.finding == ""
			for _, f := range state.Findings {
				if strings.HasPrefix(f.Object, "Gateway ") {
					found = found || strings.HasPrefix(f.Message, c.finding)
				}
				if strings.Contains(f.Message, ".port.number") || strings.Contains(f.Message, ".hosts:") {
					t.Errorf("a finding names a field of Istio's: %s", f.Message)
				}
			}
			if !found {
				t.Errorf("no finding begins with %q: %+v", c.finding, state.Findings)
			}
			servers := 0
			for _, l := range state.Listeners {
				servers += len(l.Servers)
			}
			if servers != c.servers {
				t.Errorf("%d servers, want %d", servers, c.servers)
			}
			accepted := 0
			for _, l := range gateway.Listeners {
				if l.Conditions[0].Status == metav1.ConditionTrue {
					accepted++
				}
			}
			if is := gateway.Conditions[0]; (is.Status == metav1.ConditionTrue) != (accepted > 0) || (is.Reason == gatewayapi.ReasonAccepted) != (accepted == len(gateway.Listeners)) {
				t.Errorf("with %d of %d listeners the Gateway is %s/%s", accepted, len(gateway.Listeners), is.Status, is.Reason)
			}
		})
	}
}

// TestGatewaysWithAddresses has Gateways with the same host and port, each of which gets an
// address of its own, as long as there are any.
func TestGatewaysWithAddresses(t *testing.T) {
	manifests := gatewayAPIObjects
	for _, name := range []string{"second", "third"} {
		manifests += `---
apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata: {name: ` + name + `, namespace: infra}
spec: {gatewayClassName: llm, listeners: [{name: l, port: 8080, protocol: HTTP}]}
`
	}
	state, statuses := translated(t, manifests, k8ssource.Options{GatewayNetworks: []netip.Prefix{netip.MustParsePrefix("192.0.2.8/30")}}, map[string]bool{"192.0.2.10:8080": true})
	var got []string
	for _, s := range statuses {
		if s.Kind == gatewayapi.KindGateway {
			got = append(got, fmt.Sprint(s.Object.GetName(), " ", s.Addresses, " ", told(s.Conditions), " ", told(s.Listeners[0].Conditions)))
		}
	}
	want := []string{"edge [{IPAddress 192.0.2.9}]  ", "second [{IPAddress 192.0.2.10}] Programmed=False/Invalid Programmed=False/Pending", "third [] Programmed=False/AddressNotAssigned Programmed=False/Pending"}
	if !slices.Equal(got, want) {
		t.Errorf("the Gateways are %q, want %q", got, want)
	}
	var addresses []string
	for _, l := range state.Listeners {
		addresses = append(addresses, l.Address)
		if len(l.Servers) != 1 || l.Servers[0].Table != l.Address {
			t.Errorf("%s is shared", l.Address)
		}
	}
	if !slices.Contains(addresses, "192.0.2.9:8080") || !slices.Contains(addresses, "192.0.2.10:8080") {
		t.Errorf("the listeners are %q", addresses)
	}
	if !slices.ContainsFunc(state.Findings, func(f spec.Finding) bool {
		return f.Object == "Gateway infra/third" && strings.Contains(f.Message, "gateway_networks")
	}) {
		t.Errorf("no finding says that an address is missing: %+v", state.Findings)
	}
}

// TestGatewayAPIStatusIsBounded holds that a route of which much is wrong has a status that
// API servers accept, which take messages of 32 KiB.
func TestGatewayAPIStatusIsBounded(t *testing.T) {
	rule := "{backendRefs: [" + strings.Repeat("{kind: Nothing, name: x}, ", 16) + "]}, "
	_, statuses := translated(t, serviceObjects(strings.Repeat(rule, 16), "{}", ""), k8ssource.Options{}, nil)
	checked := 0
	for _, s := range statuses {
		for _, p := range s.Parents {
			for _, c := range p.Conditions {
				if checked++; len(c.Message) > 32<<10 {
					t.Errorf("%s has a message of %d bytes", c.Type, len(c.Message))
				}
			}
		}
	}
	if checked != 2 {
		t.Errorf("there are %d conditions", checked)
	}
}
