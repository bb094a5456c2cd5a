package cache

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/binary"
	"hash"
	"net"
	"net/http"
	"strings"

	"github.com/caddyserver/caddy/v2/modules/caddyhttp"

	"github.com/caddy-llm/gateway/llmroute/filter"
)

// Key is what a response is found by. Requests with one key have one response.
type Key [sha256.Size]byte

// format changes when keys or entries are made otherwise, so that gateways of two versions
// that share a store do not read each other's.
const format = "llm-cache-1"

// hasher makes a key of fields. Each is written after its length, so that no two lists of
// fields are the same bytes.
type hasher struct {
	hash.Hash
	room [8]byte
}

func newHasher(secret []byte) *hasher { return &hasher{Hash: hmac.New(sha256.New, secret)} }

// text writes a field.
func (h *hasher) text(s string) {
	h.number(len(s))
	var room [512]byte // converting the string would allocate
	for len(s) > 0 {
		n := copy(room[:], s)
		_, _ = h.Write(room[:n]) // never fails
		s = s[n:]
	}
}

// bytes writes a field.
func (h *hasher) bytes(b []byte) {
	h.number(len(b))
	_, _ = h.Write(b) // never fails
}

// number writes a number, such as that of the fields that follow.
func (h *hasher) number(n int) {
	binary.BigEndian.PutUint64(h.room[:], uint64(n))
	_, _ = h.Write(h.room[:]) // never fails
}

func (h *hasher) flag(b bool) {
	if b {
		h.number(1)
	} else {
		h.number(0)
	}
}

func (h *hasher) key() (k Key) {
	h.Sum(k[:0])
	return k
}

// keyOf returns the key of a request that is sent to a target. The scope comes first, and
// nothing that a client sends can stand in its place.
func keyOf(secret []byte, scope Scope, c *filter.Call, to *filter.Target) Key {
	h := newHasher(secret)
	h.text(format)
	h.text(string(scope))
	h.identity(scope, c)
	h.text(c.Table)
	h.text(c.Gateway)
	h.text(c.Route.Kind)
	h.text(c.Route.Namespace)
	h.text(c.Route.Name)
	h.text(c.Rule)
	h.text(to.Provider)
	h.bytes(to.Sent.Config[:])
	h.text(to.Model)
	h.flag(to.Sent.Stream)
	h.flag(to.Sent.Strict)
	r := c.Request
	h.text(r.Method)
	h.text(r.URL.EscapedPath())
	h.text(r.URL.RawQuery)
	h.headers(r.Header, to.Sent.Forwards)
	h.body(c.Inbound.Body())
	return h.key()
}

// identity writes what the clients have in common that share responses.
func (h *hasher) identity(scope Scope, c *filter.Call) {
	switch scope {
	case Client:
		h.text(c.Client.Realm)
		h.text(c.Client.Name)
		h.texts(claim(c, "iss"))
		h.texts(claim(c, "sub"))
	case Workload:
		h.text(c.Namespace)
		h.text(c.Workload)
	case Route:
		h.text(c.Client.Realm)
		h.texts(claim(c, "iss"))
		h.address(c.Request)
	case Everyone:
	}
}

// claim returns the texts of a claim of the verified token, none without one. Principal joins the
// issuer and the subject, and another issuer with another subject could read the same.
func claim(c *filter.Call, name string) []string {
	if c.Client.Claim == nil {
		return nil
	}
	return c.Client.Claim([]string{name})
}

func (h *hasher) texts(list []string) {
	h.number(len(list))
	for _, s := range list {
		h.text(s)
	}
}

// address writes what the client called, before handlers of its site have rewritten it.
func (h *hasher) address(r *http.Request) {
	if original, ok := r.Context().Value(caddyhttp.OriginalRequestCtxKey).(http.Request); ok && original.URL != nil {
		h.text(original.URL.EscapedPath())
	} else {
		h.text(r.URL.EscapedPath())
	}
	h.text(strings.ToLower(r.Host))
	port := ""
	if at, ok := r.Context().Value(http.LocalAddrContextKey).(net.Addr); ok {
		if _, p, err := net.SplitHostPort(at.String()); err == nil {
			port = p
		} else {
			port = at.String() // of a Unix socket
		}
	}
	h.text(port)
}

// identified reports whether the request has what the scope needs.
func identified(scope Scope, c *filter.Call) bool {
	switch scope {
	case Client:
		sub := claim(c, "sub")
		return c.Client.Name != "" || len(sub) > 0 && sub[0] != ""
	case Workload:
		return c.Workload != ""
	case Route, Everyone:
		return true
	}
	return false
}

// clientName is who is calling, for Tags.
func clientName(c *filter.Call) string {
	if c.Client.Name != "" {
		return c.Client.Name
	}
	return c.Client.Principal
}
