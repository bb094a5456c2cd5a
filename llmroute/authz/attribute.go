package authz

import (
	"errors"
	"fmt"
	"net/textproto"
	"strings"

	"golang.org/x/net/http/httpguts"
)

// attribute is something of a request that rules look at. There is one of each
// in a Set.
type attribute struct {
	kind kind
	// A header's name.
	header string
	// The names that lead to a claim.
	claim []string
}

type kind int

const (
	attrHost kind = iota
	attrPath
	attrMethod
	attrHeader
	attrServerName
	attrPrincipal
	attrNamespace
	attrTrustDomain
	attrAudience
	attrPresenter
	attrClaim
	attrSourceIP
	attrRemoteIP
	attrDestinationIP
)

// Keys for what has none in Istio, but only fields of an operation. They are
// those of Envoy's header matchers.
const (
	keyHost   = ":authority"
	keyMethod = ":method"
	keyPath   = ":path"
)

// afterCustom says whether an attribute is known only after external
// authorization, as in Istio.
func afterCustom(key string) bool {
	switch key {
	case "source.principal", "source.namespace", "source.serviceAccount", "source.trustDomain":
		return true
	}
	return strings.HasPrefix(key, "request.auth.")
}

// test makes an empty test of the attribute that a condition's key names.
func (c *compiler) test(key string) (test, error) {
	switch key {
	case keyHost:
		return &hostTest{textTest{attribute: c.attribute(key, attribute{kind: attrHost})}}, nil
	case keyMethod:
		return c.text(key, attribute{kind: attrMethod}), nil
	case keyPath:
		return &pathTest{attribute: c.attribute(key, attribute{kind: attrPath})}, nil
	case "connection.sni":
		return &serverNameTest{headerTest{*c.text(key, attribute{kind: attrServerName})}}, nil
	case "source.ip":
		return &addressTest{attribute: c.attribute(key, attribute{kind: attrSourceIP})}, nil
	case "remote.ip":
		return &addressTest{attribute: c.attribute(key, attribute{kind: attrRemoteIP})}, nil
	case "destination.ip":
		return &addressTest{attribute: c.attribute(key, attribute{kind: attrDestinationIP})}, nil
	case "destination.port":
		return &portTest{}, nil
	case "source.principal":
		return &principalTest{textTest{attribute: c.attribute(key, attribute{kind: attrPrincipal})}}, nil
	case "source.namespace":
		return &namespaceTest{}, nil
	case "source.serviceAccount":
		return &serviceAccountTest{namespace: c.policy.namespace}, nil
	case "source.trustDomain":
		return &trustDomainTest{textTest{attribute: c.attribute(key, attribute{kind: attrTrustDomain})}}, nil
	case "request.auth.principal":
		return &requestPrincipalTest{}, nil
	case "request.auth.audiences":
		return c.text(key, attribute{kind: attrAudience}), nil
	case "request.auth.presenter":
		return c.text(key, attribute{kind: attrPresenter}), nil
	}
	if name, ok := strings.CutPrefix(key, "request.headers"); ok {
		return c.header(name)
	}
	if names, ok := strings.CutPrefix(key, "request.auth.claims"); ok {
		claims, err := bracketed(names)
		if err != nil {
			return nil, errors.New("this is not a claim; write request.auth.claims[NAME] or request.auth.claims[NAME][NESTED]")
		}
		return c.text(key, attribute{kind: attrClaim, claim: claims}), nil
	}
	return nil, errors.New("there is no such key; write one of request.headers[NAME], source.ip, remote.ip, source.namespace, " +
		"source.principal, source.serviceAccount, source.trustDomain, request.auth.principal, request.auth.audiences, " +
		"request.auth.presenter, request.auth.claims[NAME], destination.ip, destination.port and connection.sni")
}

// header makes a test of a header, given as its name in brackets.
func (c *compiler) header(name string) (test, error) {
	name, opened := strings.CutPrefix(name, "[")
	name, closed := strings.CutSuffix(name, "]")
	if !opened || !closed {
		return nil, errors.New("the header has no name; write request.headers[NAME]")
	}
	switch strings.ToLower(name) {
	case "host", keyHost: // it is not among the request's headers
		return c.test(keyHost)
	case keyMethod:
		return c.test(keyMethod)
	case "transfer-encoding", "trailer":
		return nil, fmt.Errorf("the header %s is of a connection, not of a request, and is not seen; write another", name)
	}
	if !httpguts.ValidHeaderFieldName(name) {
		return nil, errors.New("this is not a header's name; write one such as request.headers[User-Agent]")
	}
	name = textproto.CanonicalMIMEHeaderKey(name)
	t := &headerTest{*c.text("header "+name, attribute{kind: attrHeader, header: name})}
	t.values.emptyToo = true // as Envoy, which looks whether the header is there
	return t, nil
}

// bracketed splits [a][b]. As in Istio, what does not nest is one name.
func bracketed(s string) ([]string, error) {
	inner, opened := strings.CutPrefix(s, "[")
	inner, closed := strings.CutSuffix(inner, "]")
	if !opened || !closed || inner == "" {
		return nil, errors.New("it has no name in brackets")
	}
	names := strings.Split(inner, "][")
	for _, name := range names {
		if name == "" || strings.ContainsAny(name, "[]") {
			return []string{inner}, nil
		}
	}
	return names, nil
}

func (c *compiler) text(key string, a attribute) *textTest {
	return &textTest{attribute: c.attribute(key, a)}
}

// attribute is the one attribute of that name.
func (c *compiler) attribute(name string, a attribute) *attribute {
	known := c.attributes[name]
	if known == nil {
		known = &a
		c.attributes[name] = known
	}
	return known
}
