package limit

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"net/textproto"
	"strings"

	"github.com/caddy-llm/gateway/llmroute/limit/tuple"
)

// Key is one of the things that a limit counts apart.
type Key string

// The keys without a name.
const (
	KeyClient    Key = "client"
	KeyWorkload  Key = "workload"
	KeyNamespace Key = "namespace"
	KeyProvider  Key = "provider"
	KeyModel     Key = "model"
	KeyRule      Key = "rule"
	KeyIP        Key = "ip"
)

const (
	headerKey = "header "
	claimKey  = "claim "
)

// KeyKinds are the words a key may begin with, for errors.
const KeyKinds = "client, workload, namespace, provider, model, rule, ip, header NAME, claim NAME"

// ParseKey reads a key as it stands in a configuration.
func ParseKey(text string) (Key, error) {
	switch k := Key(text); k {
	case KeyClient, KeyWorkload, KeyNamespace, KeyProvider, KeyModel, KeyRule, KeyIP:
		return k, nil
	}
	if name, ok := strings.CutPrefix(text, headerKey); ok && isToken(name) {
		return headerKey + Key(textproto.CanonicalMIMEHeaderKey(name)), nil
	}
	if name, ok := strings.CutPrefix(text, claimKey); ok && name != "" && !strings.ContainsAny(name, " \t\r\n") {
		return Key(text), nil
	}
	return "", fmt.Errorf("unknown key %q; expected one of %s", text, KeyKinds)
}

// isToken reports whether s may be the name of a header.
func isToken(s string) bool {
	for _, c := range []byte(s) {
		if c <= ' ' || c >= 0x7f || strings.IndexByte("\"(),/:;<=>?@[\\]{}", c) >= 0 {
			return false
		}
	}
	return s != ""
}

// Header returns the name of the header that the key is a value of.
func (k Key) Header() (name string, ok bool) {
	name, ok = strings.CutPrefix(string(k), headerKey)
	return name, ok
}

// Claim returns the name of the token's claim that the key is a value of.
func (k Key) Claim() (name string, ok bool) {
	name, ok = strings.CutPrefix(string(k), claimKey)
	return name, ok
}

// named reports whether the value comes from the configuration or the file of
// virtual keys, so that it may be shown as it is. A token's principal has a slash.
func (k Key) named(value string) bool {
	switch k {
	case KeyClient:
		return !strings.Contains(value, "/")
	case KeyWorkload, KeyNamespace, KeyProvider, KeyRule:
		return true
	}
	return false
}

// show returns the combination as operators see it: names from the configuration
// as they are, others as the beginning of a hash, since they may be a client's text.
func show(keys []Key, combination string) string {
	var out []byte
	rest := []byte(combination)
	for i, k := range keys {
		var value string
		var hashed bool
		value, hashed, rest = tuple.Next(rest)
		if i > 0 {
			out = append(out, ' ')
		}
		out = append(append(out, k...), '=')
		sum := sha256.Sum256([]byte(value))
		switch {
		case hashed:
			out = hex.AppendEncode(append(out, "sha256:"...), []byte(value[:6]))
		case value == "" || k.named(value):
			out = append(out, value...)
		default:
			out = hex.AppendEncode(append(out, "sha256:"...), sum[:6])
		}
	}
	return string(out)
}
