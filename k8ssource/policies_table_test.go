package k8ssource

import (
	"bufio"
	"cmp"
	"context"
	"crypto/ed25519"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"os"
	"strings"
	"testing"

	"github.com/go-jose/go-jose/v4"
	"go.uber.org/zap"
	"sigs.k8s.io/yaml"

	"github.com/caddy-llm/gateway/llmroute"
	"github.com/caddy-llm/gateway/llmroute/authz"
)

// policyCases is a group of ../llmroute/authz/testdata/policies.yaml, which says what
// the fields are.
type policyCases struct {
	Name, Source      string
	NumTrustedProxies int
	Policies          []map[string]any
	Requests          []policyCase
}

type policyCase struct {
	Name, Target, Method, Peer, SNI, SPIFFE, Unverified string

	Host, Local *string
	Headers     map[string]any
	Port        int
	Token       map[string]any
	Allowed     bool
	Inverse     string
}

// tokenHeader carries the tokens of the cases.
const tokenHeader = "X-Case-Token"

// tokenKey signs them.
var tokenKey = ed25519.NewKeyFromSeed(make([]byte, ed25519.SeedSize))

// TestPoliciesAsObjects runs the cases of package authz with policies, tokens and
// the mesh's configuration as objects of Kubernetes.
func TestPoliciesAsObjects(t *testing.T) {
	data, err := os.ReadFile("../llmroute/authz/testdata/policies.yaml")
	if err != nil {
		t.Fatal(err)
	}
	var groups []policyCases
	if err := yaml.UnmarshalStrict(data, &groups); err != nil {
		t.Fatal(err)
	}
	count := 0
	for _, group := range groups {
		t.Run(group.Name, func(t *testing.T) {
			straight, inverse := group.set(t, false), group.set(t, true)
			for _, c := range group.Requests {
				if c.Token != nil && c.Token["iss"] == nil {
					continue // refused for its token, whatever policies say
				}
				count++
				if d := c.decide(t, straight); (d.Refusal == nil) != c.Allowed {
					t.Errorf("%s: allowed is %v (%s), want %v", c.Name, d.Refusal == nil, d.Reason, c.Allowed)
				}
				if len(group.Policies) > 1 {
					continue
				}
				want := !c.Allowed
				if c.Inverse != "" {
					want = c.Inverse == "allowed"
				}
				if d := c.decide(t, inverse); (d.Refusal == nil) != want {
					t.Errorf("%s, with ALLOW and DENY exchanged: allowed is %v (%s), want %v", c.Name, d.Refusal == nil, d.Reason, want)
				}
			}
		})
	}
	if count < 300 {
		t.Errorf("only %d cases", count)
	}
}

// set puts the group's policies in force, by way of a file.
func (g *policyCases) set(t *testing.T, inverted bool) *authz.Set {
	t.Helper()
	objects := []map[string]any{
		{"apiVersion": "v1", "kind": "ConfigMap", "metadata": map[string]any{"name": "istio", "namespace": "istio-system"}, "data": map[string]any{
			"mesh": fmt.Sprintf("defaultConfig: {gatewayTopology: {numTrustedProxies: %d}}", g.NumTrustedProxies),
		}},
		// So that headers with _ in their names arrive.
		{"apiVersion": "networking.istio.io/v1", "kind": "Gateway", "metadata": map[string]any{"name": "gw"}, "spec": map[string]any{
			"servers": []any{map[string]any{"port": map[string]any{"number": 80, "protocol": "HTTP"}, "hosts": []any{"*"}}},
		}},
	}
	issuers := make(map[string]bool)
	for _, c := range g.Requests {
		if issuer, _ := c.Token["iss"].(string); issuer != "" && !issuers[issuer] {
			issuers[issuer] = true
			objects = append(objects, map[string]any{"apiVersion": "security.istio.io/v1", "kind": KindRequestAuthentication,
				"metadata": map[string]any{"name": fmt.Sprint("r", len(issuers))},
				"spec":     map[string]any{"jwtRules": []any{map[string]any{"issuer": issuer, "jwks": tokenKeys(t), "fromHeaders": []any{map[string]any{"name": tokenHeader}}}}}})
		}
	}
	for i, spec := range g.Policies {
		if inverted {
			action := "DENY"
			if spec["action"] == "DENY" {
				action = "ALLOW"
			}
			spec["action"] = action
		}
		objects = append(objects, map[string]any{"apiVersion": "security.istio.io/v1", "kind": KindAuthorizationPolicy, "metadata": map[string]any{"name": fmt.Sprint("p", i)}, "spec": spec})
	}
	var text strings.Builder
	for _, o := range objects {
		data, err := yaml.Marshal(o)
		if err != nil {
			t.Fatal(err)
		}
		text.WriteString("---\n" + string(data))
	}
	state := Translate(mustDecode(t, text.String()), llmroute.Identity{Namespace: "default"}, Options{})
	set, _ := authz.New(state.Authorization, zap.NewNop())
	return set
}

// decide makes the request and asks the set.
func (c *policyCase) decide(t *testing.T, set *authz.Set) authz.Decision {
	t.Helper()
	host, local := "llm.example.com", "198.51.100.1"
	if c.Host != nil {
		host = *c.Host
	}
	if c.Local != nil {
		local = *c.Local
	}
	var head strings.Builder
	fmt.Fprintf(&head, "%s %s HTTP/1.1\r\nHost: %s\r\n", cmp.Or(c.Method, "POST"), cmp.Or(c.Target, "/v1/chat/completions"), host)
	for name, value := range c.Headers {
		lines, ok := value.([]any)
		if !ok {
			lines = []any{value}
		}
		for _, line := range lines {
			fmt.Fprintf(&head, "%s: %v\r\n", name, line)
		}
	}
	if c.Token != nil {
		fmt.Fprintf(&head, "%s: %s\r\n", tokenHeader, c.signed(t))
	}
	r, err := http.ReadRequest(bufio.NewReader(strings.NewReader(head.String() + "\r\n")))
	if err != nil {
		t.Fatal(err)
	}
	r.RemoteAddr = cmp.Or(c.Peer, "192.0.2.1")
	if ip, _, _ := strings.Cut(r.RemoteAddr, "%"); net.ParseIP(ip) != nil {
		r.RemoteAddr = net.JoinHostPort(r.RemoteAddr, "40000")
	}
	if local != "" {
		r = r.WithContext(context.WithValue(r.Context(), http.LocalAddrContextKey, net.Addr(&net.TCPAddr{IP: net.ParseIP(local), Port: 8080})))
	}
	if id := c.SPIFFE + c.Unverified; c.SNI+id != "" {
		r.TLS = &tls.ConnectionState{ServerName: c.SNI}
		if id != "" {
			uri, err := url.Parse(id)
			if err != nil {
				t.Fatal(err)
			}
			r.TLS.PeerCertificates = []*x509.Certificate{{URIs: []*url.URL{uri}}}
		}
		if c.SPIFFE != "" {
			r.TLS.VerifiedChains = [][]*x509.Certificate{r.TLS.PeerCertificates}
		}
	}
	return set.Authorize(make(http.Header), r, cmp.Or(c.Port, 80))
}

// tokenKeys is the key set that verifies the tokens of the cases.
func tokenKeys(t *testing.T) string {
	t.Helper()
	keys, err := json.Marshal(jose.JSONWebKeySet{Keys: []jose.JSONWebKey{{Key: tokenKey.Public()}}})
	if err != nil {
		t.Fatal(err)
	}
	return string(keys)
}

// signed is the case's token.
func (c *policyCase) signed(t *testing.T) string {
	t.Helper()
	signer, err := jose.NewSigner(jose.SigningKey{Algorithm: jose.EdDSA, Key: tokenKey}, nil)
	if err != nil {
		t.Fatal(err)
	}
	claims, err := json.Marshal(c.Token)
	if err != nil {
		t.Fatal(err)
	}
	object, err := signer.Sign(claims)
	if err != nil {
		t.Fatal(err)
	}
	token, err := object.CompactSerialize()
	if err != nil {
		t.Fatal(err)
	}
	return token
}
