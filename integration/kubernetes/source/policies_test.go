package source_test

import (
	"crypto/ed25519"
	"crypto/rand"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"

	"github.com/caddy-llm/gateway/integration/gateway"
	"github.com/caddy-llm/gateway/integration/kubernetes/cluster"
)

const denied = "RBAC: access denied"

// edge is a gateway that serves an Istio Gateway, with the routes of the documents'
// last scenario: test.com and the provider's own host.
type edge struct {
	*world
	*running
	sidecar *running // at a site that routes as a sidecar does
}

// startEdge starts it with the policies in manifests.
func startEdge(t *testing.T, c *cluster.Cluster, manifests ...string) *edge {
	t.Helper()
	c.InstallCRDs(crds)
	c.InstallIstioCRDs("Gateway", "AuthorizationPolicy", "RequestAuthentication")
	w := newWorld(t, c)
	w.apply(providerObject("p", w.host, "model: m, apiKey: sk-1"), fmt.Sprintf(`apiVersion: networking.istio.io/v1
kind: Gateway
metadata: {name: edge}
spec:
  selector: {app: %[2]s}
  servers: [{port: {number: 80, name: http, protocol: HTTP}, hosts: ["*"]}]
---
apiVersion: istio.alibabacloud.com/v1beta1
kind: LLMRoute
metadata: {name: edge}
spec:
  host: "*"
  gateways: [edge]
  rules: [{matches: [{headers: {host: {exact: test.com}}}, {headers: {host: {exact: %[1]s}}}], backendRefs: [{providerHost: %[1]s}]}]
---
`, w.host, w.ns))
	if len(manifests) > 0 {
		w.apply(manifests...)
	}
	port := gateway.FreePort(t)
	sidecar := w.start(settings{workload: w.ns, root: w.ns, options: fmt.Sprint("port_map 80:", port)})
	g := *sidecar
	g.url = fmt.Sprint("http://127.0.0.1:", port)
	g.answers(w.host, 200, "m")
	return &edge{w, &g, sidecar}
}

// policy is an AuthorizationPolicy.
func policy(name, spec string) string {
	return fmt.Sprintf("apiVersion: security.istio.io/v1beta1\nkind: AuthorizationPolicy\nmetadata: {name: %s}\nspec: %s\n---\n", name, spec)
}

// meshConfig is a ConfigMap with the mesh's configuration.
func meshConfig(mesh string) string {
	return fmt.Sprintf("apiVersion: v1\nkind: ConfigMap\nmetadata: {name: istio}\ndata: {mesh: '%s'}\n---\n", mesh)
}

// with sends a request for a host with a bearer token.
func (e *edge) with(token string) answer {
	req, err := http.NewRequest(http.MethodPost, e.url+"/", strings.NewReader(`{"messages":[]}`))
	if err != nil {
		e.running.t.Fatal(err)
	}
	req.Host = "test.com"
	req.Header.Set("Content-Type", "application/json")
	if token != "" {
		req.Header.Set("Authorization", "Bearer "+token)
	}
	return e.do(req)
}

// TestPolicies denies an address, and follows what becomes of the policy.
func TestPolicies(t *testing.T) {
	e := startEdge(t, cluster.Shared(t))
	deny := policy("auth-policy", `{selector: {matchLabels: {app: `+e.ns+`}}, action: DENY, rules: [{from: [{source: {ipBlocks: [127.0.0.1]}}], to: [{operation: {hosts: [test.com]}}]}]}`)
	e.apply(deny)
	e.answers("test.com", 403, "")
	e.provider.Reset()
	for _, host := range []string{"test.com", "TEST.com", "test.com:80", "test.com."} {
		if a := e.post(host); a.status != 403 || a.body != denied {
			t.Errorf("%s: %d %q", host, a.status, a.body)
		}
	}
	if n := e.provider.Count(); n != 0 {
		t.Errorf("the provider got %d requests", n)
	}
	e.answers(e.host, 200, "m")

	// For other workloads, elsewhere, gone.
	e.apply(strings.Replace(deny, "app: "+e.ns, "app: other", 1))
	e.answers("test.com", 200, "m")
	other := e.Namespace()
	e.Apply(strings.ReplaceAll(deny, "auth-policy", "elsewhere"), "-n", other)
	e.apply(policy("marker", `{action: DENY, rules: [{to: [{operation: {hosts: ["`+e.host+`"]}}]}]}`))
	e.answers(e.host, 403, "")
	if a := e.post("test.com"); a.status != 200 {
		t.Errorf("a policy of another namespace: %d %s", a.status, a.body)
	}
	e.Kubectl("delete", "authorizationpolicy", "marker", "-n", e.ns)
	e.answers(e.host, 200, "m")
	e.apply(policy("only", `{rules: [{to: [{operation: {hosts: [test.com]}}]}]}`))
	e.answers(e.host, 403, "")
	e.answers("test.com", 200, "m")

	// Sidecars are not held to it.
	if a := e.sidecar.post(e.host); a.status != 200 {
		t.Errorf("at the site of a sidecar: %d %s", a.status, a.body)
	}

	// What is wrong with it stands in an event as well.
	e.apply(policy("wrong", `{action: DENY, rules: [{from: [{source: {ipBlocks: ["10.0.0.0/33"]}}], to: [{operation: {hosts: [unused.example.com]}}]}]}`))
	until(t, "event about the policy", func() (bool, string) {
		got := e.eventsOf("wrong")
		return strings.Contains(got, "InvalidField") && strings.Contains(got, "spec.rules[0].from[0].source.ipBlocks[0]"), got
	})
}

// TestPoliciesUnderLoad changes a policy while requests go on that each of its
// versions denies. None may pass.
func TestPoliciesUnderLoad(t *testing.T) {
	deny := func(i int) string {
		return policy("auth-policy", fmt.Sprintf(`{action: DENY, rules: [{to: [{operation: {hosts: [test.com]}}]}, {to: [{operation: {hosts: [v%d.example.com]}}]}]}`, i))
	}
	e := startEdge(t, cluster.Shared(t), deny(0))
	e.answers("test.com", 403, "")
	e.provider.Reset()
	stop, done := make(chan struct{}), make(chan struct{})
	var asked, passed, failed atomic.Int64
	for range 4 {
		go func() {
			defer func() { done <- struct{}{} }()
			for {
				select {
				case <-stop:
					return
				default:
				}
				asked.Add(1)
				switch a := e.post("test.com"); {
				case a.status == 200:
					passed.Add(1)
				case a.status != 403 || a.body != denied:
					failed.Add(1)
				}
			}
		}()
	}
	for i := range 30 {
		e.apply(deny(i + 1))
		// A host that no route has is denied before it is not found.
		until(t, fmt.Sprint("version ", i+1), func() (bool, string) {
			a := e.post(fmt.Sprintf("v%d.example.com", i+1))
			return a.status == 403, fmt.Sprintf("%d %s", a.status, a.body)
		})
	}
	close(stop)
	for range 4 {
		<-done
	}
	if asked.Load() < 100 || passed.Load() != 0 || failed.Load() != 0 || e.provider.Count() != 0 {
		t.Errorf("of %d requests %d passed and %d had another response; the provider got %d", asked.Load(), passed.Load(), failed.Load(), e.provider.Count())
	}
	t.Logf("30 versions of a policy, %d requests", asked.Load())
}

// signer signs tokens with a key of its own.
type signer struct {
	t   *testing.T
	id  string
	key ed25519.PrivateKey
}

func newSigner(t *testing.T, id string) *signer {
	t.Helper()
	_, key, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return &signer{t, id, key}
}

// keys is the set with the public key.
func (s *signer) keys() string {
	data, err := json.Marshal(jose.JSONWebKeySet{Keys: []jose.JSONWebKey{{Key: s.key.Public(), KeyID: s.id, Algorithm: string(jose.EdDSA)}}})
	if err != nil {
		s.t.Fatal(err)
	}
	return string(data)
}

func (s *signer) token(issuer string) string {
	j, err := jose.NewSigner(jose.SigningKey{Algorithm: jose.EdDSA, Key: jose.JSONWebKey{Key: s.key, KeyID: s.id}}, nil)
	if err != nil {
		s.t.Fatal(err)
	}
	claims, err := json.Marshal(map[string]any{"iss": issuer, "sub": "alice", "exp": time.Now().Add(time.Hour).Unix()})
	if err != nil {
		s.t.Fatal(err)
	}
	signed, err := j.Sign(claims)
	if err != nil {
		s.t.Fatal(err)
	}
	token, err := signed.CompactSerialize()
	if err != nil {
		s.t.Fatal(err)
	}
	return token
}

// TestRotatedKeys changes the keys of an issuer, in the object and where it fetches
// them.
func TestRotatedKeys(t *testing.T) {
	first, second, third := newSigner(t, "1"), newSigner(t, "2"), newSigner(t, "3")
	authentication := func(where, value string) string {
		return fmt.Sprintf("apiVersion: security.istio.io/v1\nkind: RequestAuthentication\nmetadata: {name: tokens}\nspec: {jwtRules: [{issuer: https://issuer.example.com, %s: '%s'}]}\n---\n", where, value)
	}
	e := startEdge(t, cluster.Shared(t), authentication("jwks", first.keys()))
	e.apply(policy("tokens", `{rules: [{from: [{source: {requestPrincipals: ["https://issuer.example.com/*"]}}]}]}`))
	e.answers("test.com", 403, "") // without a token
	issuer := "https://issuer.example.com"
	got := func(what, token string, status int, body string) {
		t.Helper()
		until(t, what, func() (bool, string) {
			a := e.with(token)
			return a.status == status && strings.Contains(a.body, body), fmt.Sprintf("%d %s", a.status, a.body)
		})
	}
	got("a token in force", first.token(issuer), 200, "")
	if key := e.lastKey(); key != "Bearer sk-1" {
		t.Errorf("the provider was sent %q", key)
	}
	got("another issuer's token", first.token("https://other.example.com"), 401, "Jwt issuer is not configured")
	got("another key's token", second.token(issuer), 401, "Jwt")

	e.apply(authentication("jwks", second.keys()))
	got("the new key", second.token(issuer), 200, "")
	got("the old key", first.token(issuer), 401, "Jwt")

	var served atomic.Pointer[signer]
	served.Store(second)
	keys := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		_, _ = w.Write([]byte(served.Load().keys()))
	}))
	t.Cleanup(keys.Close)
	e.apply(authentication("jwksUri", keys.URL))
	got("a key that is fetched", second.token(issuer), 200, "")
	served.Store(third)
	got("a key that was rotated in", third.token(issuer), 200, "")
	e.Kubectl("delete", "requestauthentication", "tokens", "-n", e.ns)
	got("a token that nobody accepts any more", third.token(issuer), 403, denied)
}

// TestMeshConfig asks a service that the ConfigMap istio of the root namespace names,
// once it does.
func TestMeshConfig(t *testing.T) {
	e := startEdge(t, cluster.Shared(t), policy("ask", `{action: CUSTOM, provider: {name: header}, rules: [{to: [{operation: {hosts: [test.com]}}]}]}`))
	authorizer := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("X-Ext-Authz") != "allow" {
			http.Error(w, "not without the header", http.StatusUnauthorized)
		}
	}))
	t.Cleanup(authorizer.Close)
	host, port, _ := strings.Cut(strings.TrimPrefix(authorizer.URL, "http://"), ":")
	e.answers("test.com", 403, "") // there is nobody to ask
	until(t, "finding about the provider", func() (bool, string) {
		got := e.findingsAbout("AuthorizationPolicy " + e.ns + "/ask")
		return strings.Contains(got, "ExtensionProviderNotFound"), got
	})
	e.apply(meshConfig(fmt.Sprintf("extensionProviders: [{name: header, envoyExtAuthzHttp: {service: %s, port: %q, includeRequestHeadersInCheck: [x-ext-authz]}}]", host, port)))
	e.answers("test.com", 401, "")
	if a := e.post("test.com"); a.body != "not without the header\n" {
		t.Errorf("%q", a.body)
	}
	req, err := http.NewRequest(http.MethodPost, e.url+"/", strings.NewReader(`{"messages":[]}`))
	if err != nil {
		t.Fatal(err)
	}
	req.Host = "test.com"
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("X-Ext-Authz", "allow")
	if a := e.do(req); a.status != 200 {
		t.Errorf("with the header: %d %s", a.status, a.body)
	}
	if got := e.findings(); strings.Contains(got, "ExtensionProvider") {
		t.Errorf("there are findings: %s", got)
	}
	e.Kubectl("delete", "configmap", "istio", "-n", e.ns)
	e.answers("test.com", 403, "")
}
