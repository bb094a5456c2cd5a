package gateways_test

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"sigs.k8s.io/yaml"

	"github.com/caddy-llm/gateway/integration/policycases"
)

// plainRequest reports whether a request can be sent as it is.
func plainRequest(r *policycases.Request) bool {
	return (r.Port == 0 || r.Port == 80) && r.Peer == "" && r.Local == nil && r.SNI == "" && r.SPIFFE == "" && r.Unverified == "" && r.Token == nil
}

// plainPolicies reports whether policies are about what a plain request has.
func plainPolicies(g *policycases.Group) bool {
	text, _ := json.Marshal(g.Policies)
	return g.NumTrustedProxies == 0 && !slices.ContainsFunc([]string{"Blocks", "source.ip", "remote.ip", "destination.ip", "CUSTOM"}, func(s string) bool {
		return strings.Contains(string(text), s)
	})
}

// TestPoliciesOfTheTable runs the cases that a plain request can show through
// AuthorizationPolicy objects and the port of a Gateway, on one running gateway
// whose policies are replaced for each group.
func TestPoliciesOfTheTable(t *testing.T) {
	w := start(t, gatewayObject(server(80, `"*"`)), "")
	ran := 0
	for i, group := range policycases.All(t) {
		if !plainPolicies(&group) {
			continue
		}
		w.apply(gatewayObject(server(80, `"*"`)) + policyObjects(t, i, &group))
		w.waitPolicies(i, len(group.Policies))
		for _, r := range group.Requests {
			if !plainRequest(&r) {
				continue
			}
			ran++
			t.Run(group.Name+"/"+r.Name, func(t *testing.T) {
				before := w.provider.Count()
				status, body := w.exchange(fmt.Sprintf("%sConnection: close\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s", r.Head(), len(chat), chat))
				denied := status == http.StatusForbidden && (body == "RBAC: access denied" || r.Method == http.MethodHead && body == "")
				if status == http.StatusBadRequest {
					t.Skipf("no HTTP server takes this request: %s", body)
				}
				if denied == r.Allowed {
					t.Errorf("%d %q, want it to pass: %v", status, body, r.Allowed)
				}
				if denied && w.provider.Count() != before {
					t.Error("the provider got the request")
				}
			})
		}
	}
	t.Logf("%d cases ran", ran)
	if ran < 100 {
		t.Errorf("only %d cases ran", ran)
	}
}

// TestPoliciesByClientCertificate holds that principals are those of certificates
// that the Gateway has verified, and change with its authority.
func TestPoliciesByClientCertificate(t *testing.T) {
	ca, clients, others := newAuthority(t, "servers"), newAuthority(t, "clients"), newAuthority(t, "others")
	chain, key := ca.issue(t, 1, "llm.example.com")
	manifests := func(action, principal string) string {
		return secretObject("cert", "tls.crt", chain, "tls.key", key, "ca.crt", clients.pem) + gatewayObject(secureServer("llm.example.com", "MUTUAL", "cert")) +
			"apiVersion: security.istio.io/v1\nkind: AuthorizationPolicy\nmetadata: {name: by-certificate-" + strings.ToLower(action) + ", namespace: istio-system}\n" +
			"spec: {action: " + action + ", rules: [{from: [{source: {principals: [\"" + principal + "\"]}}]}]}\n---\n"
	}
	const sleep, curl = "cluster.local/ns/default/sa/sleep", "cluster.local/ns/default/sa/curl"
	w := start(t, manifests("ALLOW", sleep), "")
	identified := func(a *authority, id string) *http.Client {
		pair, pairKey := a.issueID(t, 7, id)
		return client(t, w.https, ca.trusting(t, pair, pairKey))
	}
	const url, host = "https://llm.example.com", "llm.example.com"
	w.answers(identified(clients, sleep), url, host, http.StatusOK)
	w.answers(identified(clients, curl), url, host, http.StatusForbidden)
	w.answers(identified(others, sleep), url, host, 0)

	w.apply(manifests("DENY", sleep))
	w.answers(identified(clients, sleep), url, host, http.StatusForbidden)
	w.answers(identified(clients, curl), url, host, http.StatusOK)
}

// policyObjects are a group's policies as objects.
func policyObjects(t *testing.T, number int, group *policycases.Group) string {
	t.Helper()
	var b strings.Builder
	for i, spec := range group.Policies {
		object, err := yaml.Marshal(map[string]any{
			"apiVersion": "security.istio.io/v1", "kind": "AuthorizationPolicy",
			"metadata": map[string]any{"name": policyName(number, i), "namespace": "istio-system"}, "spec": spec,
		})
		if err != nil {
			t.Fatal(err)
		}
		b.Write(object)
		b.WriteString("---\n")
	}
	return b.String()
}

func policyName(group, i int) string { return fmt.Sprintf("case-%d-%d", group, i) }

// waitPolicies waits until the policies of a group are in force.
func (w *world) waitPolicies(group, n int) {
	w.t.Helper()
	var body []byte
	for deadline := time.Now().Add(20 * time.Second); time.Now().Before(deadline); time.Sleep(5 * time.Millisecond) {
		_, body = w.AdminGet("/llm")
		found := 0
		for i := range n {
			if strings.Contains(string(body), policyName(group, i)+`"`) {
				found++
			}
		}
		if found == n {
			return
		}
	}
	w.t.Fatalf("the policies of group %d are not in force: %s", group, body)
}

// exchange sends bytes and reads the response.
func (w *world) exchange(request string) (status int, body string) {
	w.t.Helper()
	c, err := net.Dial("tcp", w.http)
	if err != nil {
		w.t.Fatal(err)
	}
	defer c.Close()
	_ = c.SetDeadline(time.Now().Add(20 * time.Second))
	if _, err := io.WriteString(c, request); err != nil {
		w.t.Fatal(err)
	}
	res, err := http.ReadResponse(bufio.NewReader(c), nil)
	if err != nil {
		w.t.Fatal(err)
	}
	data, _ := io.ReadAll(res.Body)
	return res.StatusCode, string(data)
}
