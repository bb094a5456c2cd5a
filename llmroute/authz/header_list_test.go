package authz

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"go.uber.org/zap"

	"github.com/caddy-llm/gateway/llmprovider"
)

// messageHeaders are headers of ofMessage, in several cases.
var messageHeaders = []string{
	"CDN-Loop", "accept-encoding", "Content-Type", "content-encoding", "Content-Length", "CONTENT-DIGEST", "Host", "Expect", "Connection", "TE", "trailer",
	"Transfer-Encoding", "Upgrade", "Keep-Alive", "Proxy-Connection", "HTTP2-Settings", "Proxy-Authenticate",
}

// TestMessageHeadersAreNobodysToSet holds that external authorization cannot name a header
// that belongs to the message: it is reported, and not used.
func TestMessageHeadersAreNobodysToSet(t *testing.T) {
	for _, name := range messageHeaders {
		canonical := http.CanonicalHeaderKey(name)
		if !ofMessage(canonical) {
			t.Errorf("%s is not one", name)
		}
		for field, config := range map[string]*ExtAuthz{
			"headers_to_upstream_on_allow": {HeadersToUpstreamOnAllow: []string{name}}, "headers_to_downstream_on_allow": {HeadersToDownstreamOnAllow: []string{name}},
		} {
			config.Service, config.Port = "a", 80
			if _, err := newExternal("x", config); err == nil || !strings.HasPrefix(err.Error(), field+": "+canonical+" says how") {
				t.Errorf("%s in %s: %v", name, field, err)
			}
		}
	}
	for _, name := range []string{"X-User", "Authorization", "Cookie", "X-Content-Type", "Accept"} {
		if ofMessage(name) {
			t.Errorf("%s cannot be handed on", name)
		}
	}
}

// TestHeadersAreReadAgain holds that policies see a header as external authorization and
// tokens left it, and not as an earlier policy saw it.
func TestHeadersAreReadAgain(t *testing.T) {
	service, _ := service(t, func(w http.ResponseWriter, _ *http.Request) { w.Header()["X-Group"] = []string{"staff", "admin"} })
	service.HeadersToUpstreamOnAllow = []string{"x-group"}
	when := func(value string) []*Rule {
		return []*Rule{{When: []*Condition{{Key: "request.headers[x-group]", Values: []string{value}}}}}
	}
	for value, denied := range map[string]bool{"staff,admin": true, "admin": true, "guest,nobody": false, "guest": false} {
		set, problems := New(&Config{ExtAuthz: map[string]*ExtAuthz{"e": service}, Policies: []*Policy{
			{Name: "ask", Action: Custom, Provider: "e", Rules: when("guest,nobody")}, {Name: "deny", Action: Deny, Rules: when(value)},
		}}, zap.NewNop())
		if len(problems) > 0 {
			t.Fatal(problems)
		}
		r := httptest.NewRequest(http.MethodPost, "http://gateway.example/", nil)
		r.Header["X-Group"] = []string{"guest", "nobody"}
		if err := llmprovider.Prepare(r); err != nil {
			t.Fatal(err)
		}
		if d := set.Authorize(http.Header{}, r, nil); (d.Refusal != nil) != denied {
			t.Errorf("a DENY on %q: %+v", value, d)
		}
	}
}
