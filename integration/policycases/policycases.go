// Package policycases holds what Istio's AuthorizationPolicy means, as policies
// and requests with what becomes of each: one table for the evaluator, for
// policies as Kubernetes objects, and for the built gateway.
package policycases

import (
	"bufio"
	"cmp"
	"context"
	"crypto/tls"
	"crypto/x509"
	_ "embed"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"sigs.k8s.io/yaml"
)

// policies says what its fields are.
//
//go:embed policies.yaml
var policies []byte

// Group is one or several policies, with requests that they are asked about.
type Group struct {
	Name   string `json:"name"`
	Source string `json:"source"`

	NumTrustedProxies int `json:"numTrustedProxies"`

	// Policies are each the spec of an AuthorizationPolicy in the namespace
	// default.
	Policies []map[string]any `json:"policies"`
	Requests []Request        `json:"requests"`
}

// Request is a request, and whether it passes. The zero value is a plain one.
type Request struct {
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

// All returns the table. Callers may change what they get.
func All(t testing.TB) []Group {
	t.Helper()
	var all []Group
	if err := yaml.UnmarshalStrict(policies, &all); err != nil {
		t.Fatalf("the table of policies cannot be read: %v", err)
	}
	count, refused := 0, 0
	for _, group := range all {
		if group.Source == "" {
			t.Errorf("%s has no source", group.Name)
		}
		for _, r := range group.Requests {
			count++
			if !r.Allowed {
				refused++
			}
		}
	}
	if count < 150 || refused*3 < count {
		t.Errorf("%d cases, %d refused; want at least 150 and a third of them", count, refused)
	}
	return all
}

// AllowedInversely reports whether the request passes with ALLOW and DENY
// exchanged. With one policy, a request is refused by DENY where ALLOW lets it
// pass, unless the case says why not; of several nothing is said.
func (g *Group) AllowedInversely(r *Request) (allowed, said bool) {
	if len(g.Policies) > 1 {
		return false, false
	}
	if r.Inverse != "" {
		return r.Inverse == "allowed", true
	}
	return !r.Allowed, true
}

// Head is the head of the request as a client sends it, up to the empty line.
func (r *Request) Head() string {
	host := "llm.example.com"
	if r.Host != nil {
		host = *r.Host
	}
	var b strings.Builder
	fmt.Fprintf(&b, "%s %s HTTP/1.1\r\nHost: %s\r\n", cmp.Or(r.Method, http.MethodPost), cmp.Or(r.Target, "/v1/chat/completions"), host)
	for name, value := range r.Headers {
		lines, ok := value.([]any)
		if !ok {
			lines = []any{value}
		}
		for _, line := range lines {
			fmt.Fprintf(&b, "%s: %v\r\n", name, line)
		}
	}
	return b.String()
}

// HTTP is the request as a server reads it, with more lines in its head, each
// with its line break. Its token is not in it.
func (r *Request) HTTP(t testing.TB, more string) *http.Request {
	t.Helper()
	req, err := http.ReadRequest(bufio.NewReader(strings.NewReader(r.Head() + more + "\r\n")))
	if err != nil {
		t.Fatal(err)
	}
	req.RemoteAddr = cmp.Or(r.Peer, "192.0.2.1")
	if ip, _, _ := strings.Cut(req.RemoteAddr, "%"); net.ParseIP(ip) != nil {
		req.RemoteAddr = net.JoinHostPort(req.RemoteAddr, "40000")
	}
	local := "198.51.100.1"
	if r.Local != nil {
		local = *r.Local
	}
	if local != "" {
		req = req.WithContext(context.WithValue(req.Context(), http.LocalAddrContextKey, net.Addr(&net.TCPAddr{IP: net.ParseIP(local), Port: 8080})))
	}
	id := r.SPIFFE + r.Unverified
	if r.SNI+id != "" {
		req.TLS = &tls.ConnectionState{ServerName: r.SNI}
	}
	if id != "" {
		uri, err := url.Parse(id)
		if err != nil {
			t.Fatal(err)
		}
		req.TLS.PeerCertificates = []*x509.Certificate{{URIs: []*url.URL{uri}}}
	}
	if r.SPIFFE != "" {
		req.TLS.VerifiedChains = [][]*x509.Certificate{req.TLS.PeerCertificates}
	}
	return req
}

// GatewayPort is the port that clients know the listener by.
func (r *Request) GatewayPort() int { return cmp.Or(r.Port, 80) }
