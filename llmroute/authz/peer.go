package authz

import (
	"crypto/tls"
	"errors"
	"strings"
)

const spiffe = "spiffe://"

// peer is the identity in a client's certificate, empty without one.
type peer struct {
	principal      string // without spiffe://
	trustDomain    string
	namespace      string
	serviceAccount string
}

// peerOf is the identity of a client whose certificate was verified: the first
// SPIFFE ID among the URIs of the certificate.
func peerOf(state *tls.ConnectionState) peer {
	// PeerCertificates would be what the client claims to be.
	if state == nil || len(state.VerifiedChains) == 0 || len(state.VerifiedChains[0]) == 0 {
		return peer{}
	}
	for _, uri := range state.VerifiedChains[0][0].URIs {
		if id, ok := strings.CutPrefix(uri.String(), spiffe); ok {
			return parsePeer(id)
		}
	}
	return peer{}
}

// parsePeer parses TRUST-DOMAIN/ns/NAMESPACE/sa/NAME, which may have other pairs
// as well.
func parsePeer(id string) peer {
	trustDomain, rest, ok := strings.Cut(id, "/")
	p := peer{principal: id}
	if !ok {
		return p
	}
	p.trustDomain = trustDomain
	for ok {
		var name, value string
		name, rest, _ = strings.Cut(rest, "/")
		value, rest, ok = strings.Cut(rest, "/")
		switch {
		case name == "ns" && ok && p.namespace == "":
			p.namespace = value
		case name == "sa" && p.namespace != "" && p.serviceAccount == "":
			p.serviceAccount = value
		}
	}
	return p
}

// principalTest tests the whole identity.
type principalTest struct{ textTest }

func (t *principalTest) add(value string) error {
	if strings.HasPrefix(value, spiffe) {
		return errors.New("a principal is written without spiffe://; leave that out")
	}
	return t.textTest.add(value)
}

// namespaceTest tests the namespace of the identity. An asterisk is any text,
// wherever it is.
type namespaceTest struct{ globs [][]string }

func (t *namespaceTest) add(value string) error {
	t.globs = append(t.globs, strings.Split(value, "*"))
	return nil
}

func (t *namespaceTest) match(r *request) bool {
	namespace := r.peer().namespace
	if namespace == "" {
		return false
	}
	for _, parts := range t.globs {
		if matchGlob(parts, namespace) {
			return true
		}
	}
	return false
}

func (t *namespaceTest) keys() []key { return nil }

// matchGlob says whether s is the parts with any text between them.
func matchGlob(parts []string, s string) bool {
	if len(parts) == 1 {
		return parts[0] == s
	}
	s, ok := strings.CutPrefix(s, parts[0])
	if !ok {
		return false
	}
	last := len(parts) - 1
	for _, part := range parts[1:last] {
		if _, s, ok = strings.Cut(s, part); !ok {
			return false
		}
	}
	return strings.HasSuffix(s, parts[last])
}

// serviceAccountTest tests the namespace and name of the service account.
type serviceAccountTest struct {
	namespace string // of names without one
	accounts  [][2]string
}

func (t *serviceAccountTest) add(value string) error {
	namespace, name, ok := strings.Cut(value, "/")
	if !ok {
		namespace, name = t.namespace, value
	}
	if namespace == "" || name == "" || strings.ContainsAny(value, "*") || strings.Contains(name, "/") {
		return errors.New(`a service account is "namespace/name", without asterisks, or "name" where the policy has a namespace; write one such as "default/sleep"`)
	}
	t.accounts = append(t.accounts, [2]string{namespace, name})
	return nil
}

func (t *serviceAccountTest) match(r *request) bool {
	p := r.peer()
	for _, account := range t.accounts {
		if p.namespace == account[0] && p.serviceAccount == account[1] {
			return true
		}
	}
	return false
}

func (t *serviceAccountTest) keys() []key { return nil }

// trustDomainTest tests the trust domain of the identity.
type trustDomainTest struct{ textTest }

func (t *trustDomainTest) add(value string) error {
	inner := strings.TrimPrefix(value, "*")
	if inner == value {
		inner = strings.TrimSuffix(value, "*")
	}
	if strings.ContainsAny(inner, "*/") {
		return errors.New("this is not a trust domain; write one such as cluster.local, with at most one asterisk, at its beginning or end")
	}
	return t.textTest.add(value)
}
