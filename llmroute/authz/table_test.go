package authz

import (
	"bufio"
	"bytes"
	"context"
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

	"go.uber.org/zap"
	"sigs.k8s.io/yaml"
)

// caseGroup is policies and requests, see testdata/policies.yaml.
type caseGroup struct {
	Name              string           `json:"name"`
	Source            string           `json:"source"`
	NumTrustedProxies int              `json:"numTrustedProxies"`
	Policies          []map[string]any `json:"policies"`
	Requests          []caseRequest    `json:"requests"`
}

type caseRequest struct {
	Name       string         `json:"name"`
	Target     string         `json:"target"`
	Method     string         `json:"method"`
	Host       *string        `json:"host"`
	Headers    map[string]any `json:"headers"`
	Port       int            `json:"port"`
	Peer       string         `json:"peer"`
	Local      *string        `json:"local"`
	SNI        string         `json:"sni"`
	SPIFFE     string         `json:"spiffe"`
	Unverified string         `json:"unverified"`
	Token      map[string]any `json:"token"`
	Allowed    bool           `json:"allowed"`
	Inverse    string         `json:"inverse"`
}

func readCases(t testing.TB) []caseGroup {
	t.Helper()
	data, err := os.ReadFile("testdata/policies.yaml")
	if err != nil {
		t.Fatal(err)
	}
	var groups []caseGroup
	if err := yaml.UnmarshalStrict(data, &groups); err != nil {
		t.Fatal(err)
	}
	return groups
}

// policyOf makes a policy of the spec of an AuthorizationPolicy.
func policyOf(t testing.TB, name string, spec map[string]any) *Policy {
	t.Helper()
	data, err := json.Marshal(snakeCase(spec))
	if err != nil {
		t.Fatal(err)
	}
	p := &Policy{}
	decoder := json.NewDecoder(bytes.NewReader(data))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(p); err != nil {
		t.Fatal(err)
	}
	p.Name, p.Namespace = name, "default"
	return p
}

// snakeCase writes the names of fields in snake case, and does without the
// objects source and operation between.
func snakeCase(value any) any {
	switch v := value.(type) {
	case []any:
		for i := range v {
			v[i] = snakeCase(v[i])
		}
	case map[string]any:
		out := make(map[string]any, len(v))
		for name, field := range v {
			if name == "source" || name == "operation" {
				return snakeCase(field)
			}
			var b strings.Builder
			for _, r := range name {
				if 'A' <= r && r <= 'Z' {
					b.WriteByte('_')
				}
				b.WriteString(strings.ToLower(string(r)))
			}
			out[b.String()] = snakeCase(field)
		}
		return out
	}
	return value
}

// requestOf makes the request as a server would read it, and its token.
func requestOf(t testing.TB, c *caseRequest) (*http.Request, int, *Token) {
	t.Helper()
	or := func(s, other string) string {
		if s == "" {
			return other
		}
		return s
	}
	host := "llm.example.com"
	if c.Host != nil {
		host = *c.Host
	}
	var b strings.Builder
	fmt.Fprintf(&b, "%s %s HTTP/1.1\r\nHost: %s\r\n", or(c.Method, "POST"), or(c.Target, "/v1/chat/completions"), host)
	for name, value := range c.Headers {
		lines, ok := value.([]any)
		if !ok {
			lines = []any{value}
		}
		for _, line := range lines {
			fmt.Fprintf(&b, "%s: %v\r\n", name, line)
		}
	}
	b.WriteString("\r\n")
	r, err := http.ReadRequest(bufio.NewReader(strings.NewReader(b.String())))
	if err != nil {
		t.Fatal(err)
	}
	r.RemoteAddr = or(c.Peer, "192.0.2.1")
	if ip, _, _ := strings.Cut(r.RemoteAddr, "%"); net.ParseIP(ip) != nil {
		r.RemoteAddr = net.JoinHostPort(r.RemoteAddr, "40000")
	}
	local := "198.51.100.1"
	if c.Local != nil {
		local = *c.Local
	}
	if local != "" {
		r = r.WithContext(context.WithValue(r.Context(), http.LocalAddrContextKey, net.Addr(&net.TCPAddr{IP: net.ParseIP(local), Port: 8080})))
	}
	if c.SNI+c.SPIFFE+c.Unverified != "" {
		r.TLS = &tls.ConnectionState{ServerName: c.SNI}
		certificate := &x509.Certificate{}
		if id := c.SPIFFE + c.Unverified; id != "" {
			uri, err := url.Parse(id)
			if err != nil {
				t.Fatal(err)
			}
			certificate.URIs = []*url.URL{uri}
			r.TLS.PeerCertificates = []*x509.Certificate{certificate}
		}
		if c.SPIFFE != "" {
			r.TLS.VerifiedChains = [][]*x509.Certificate{{certificate}}
		}
	}
	port := c.Port
	if port == 0 {
		port = 80
	}
	return r, port, tokenOf(c.Token)
}

func tokenOf(claims map[string]any) *Token {
	if claims == nil {
		return nil
	}
	text := func(name string) string {
		s, _ := claims[name].(string)
		return s
	}
	token := &Token{Issuer: text("iss"), Subject: text("sub"), Presenter: text("azp"), Claims: claims}
	switch aud := claims["aud"].(type) {
	case string:
		token.Audiences = []string{aud}
	case []any:
		for _, a := range aud {
			token.Audiences = append(token.Audiences, a.(string))
		}
	}
	return token
}

// decideOf is the decision about a request.
func decideOf(t testing.TB, p *policies, c *caseRequest) Decision {
	t.Helper()
	r, port, token := requestOf(t, c)
	req := p.request(r, port)
	defer req.release()
	req.token = token
	return p.decide(req, zap.NewNop())
}

func TestPolicies(t *testing.T) {
	count, refused := 0, 0
	for _, group := range readCases(t) {
		t.Run(group.Name, func(t *testing.T) {
			if group.Source == "" {
				t.Error("the group has no source")
			}
			config := &Config{TrustedProxies: group.NumTrustedProxies}
			inverse := &Config{TrustedProxies: group.NumTrustedProxies}
			for i, spec := range group.Policies {
				p := policyOf(t, fmt.Sprintf("p%d", i), spec)
				config.Policies = append(config.Policies, p)
				inverse.Policies = append(inverse.Policies, inverted(p))
			}
			compiled, _ := compilePolicies(config)
			compiledInverse, _ := compilePolicies(inverse)
			for i := range group.Requests {
				c := &group.Requests[i]
				count++
				if !c.Allowed {
					refused++
				}
				if d := decideOf(t, compiled, c); (d.Refusal == nil) != c.Allowed {
					t.Errorf("%s: allowed is %v (%s), want %v", c.Name, d.Refusal == nil, d.Reason, c.Allowed)
				}
				if len(group.Policies) > 1 {
					continue
				}
				// With one policy, a request is refused by DENY where ALLOW lets
				// it pass, unless the case says why not.
				want := !c.Allowed
				if c.Inverse != "" {
					want = c.Inverse == "allowed"
				}
				if d := decideOf(t, compiledInverse, c); (d.Refusal == nil) != want {
					t.Errorf("%s, with ALLOW and DENY exchanged: allowed is %v (%s), want %v", c.Name, d.Refusal == nil, d.Reason, want)
				}
			}
		})
	}
	if count < 150 || refused*3 < count {
		t.Errorf("%d cases, %d refused; want at least 150 and a third of them", count, refused)
	}
}

// inverted is the policy with ALLOW and DENY exchanged.
func inverted(p *Policy) *Policy {
	other := *p
	other.Action = Deny
	if p.Action == Deny {
		other.Action = Allow
	}
	return &other
}
