package llmroute

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"

	"github.com/caddy-llm/gateway/llmprovider/kind"
	"github.com/caddy-llm/gateway/llmprovider/openai"
	"github.com/caddy-llm/gateway/llmprovider/upstream"
	"github.com/caddy-llm/gateway/llmroute/authz"
	"github.com/caddy-llm/gateway/llmroute/authz/jwt"
	"github.com/caddy-llm/gateway/llmroute/listen"
	"github.com/caddy-llm/gateway/llmroute/spec"
)

// slashForms are ways to write /admin/x, or /admin/x/, that servers read alike which take
// several slashes for one.
func slashForms() []string {
	forms := []string{"/%61dmin//x", "//admin/x?y=//z", "http://a.example//admin/x", "/admin/x//", "/admin/x%2F%2F", "//admin//x///"}
	for _, first := range []string{"/", "//", "///", "/%2F", "/%2f/", "/%2F%2f"} {
		for _, second := range []string{"/", "//", "/%2F", "%2F/", "%2f%2F"} {
			if first != "/" || second != "/" {
				forms = append(forms, first+"admin"+second+"x")
			}
		}
	}
	return forms
}

// tokensOf returns the public key of an issuer, and what signs its tokens for subjects.
func tokensOf(t *testing.T, issuer string) (jwks string, sign func(subject string) string) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	signer, err := jose.NewSigner(jose.SigningKey{Algorithm: jose.ES256, Key: jose.JSONWebKey{Key: key, KeyID: "k"}}, (&jose.SignerOptions{}).WithType("JWT"))
	if err != nil {
		t.Fatal(err)
	}
	public := jose.JSONWebKey{Key: key.Public(), KeyID: "k", Algorithm: string(jose.ES256)}
	set, _ := json.Marshal(jose.JSONWebKeySet{Keys: []jose.JSONWebKey{public}})
	return string(set), func(subject string) string {
		claims, _ := json.Marshal(map[string]any{"iss": issuer, "sub": subject, "aud": "for-" + subject, "azp": "by-" + subject, "group": subject + "s", "exp": time.Now().Add(time.Hour).Unix()})
		signed, err := signer.Sign(claims)
		if err != nil {
			t.Fatal(err)
		}
		text, _ := signed.CompactSerialize()
		return text
	}
}

// extAuthz starts an external authorization.
func extAuthz(t *testing.T, decide http.HandlerFunc) *authz.ExtAuthz {
	t.Helper()
	s := httptest.NewServer(decide)
	t.Cleanup(s.Close)
	host, port, _ := net.SplitHostPort(s.Listener.Addr().String())
	number, _ := strconv.Atoi(port)
	return &authz.ExtAuthz{Service: host, Port: number}
}

// TestNoWayPastAPolicyWithSlashes holds that a request with several slashes in a row gets to a
// Service, or to a pool that takes all paths, only if the plain one does, whatever policies
// judge by. The same requests are let pass where policies do not list paths to allow.
func TestNoWayPastAPolicyWithSlashes(t *testing.T) {
	jwks, sign := tokensOf(t, "iss")
	callers := map[string]string{"alice": "Authorization: Bearer " + sign("alice"), "mallory": "Authorization: Bearer " + sign("mallory"), "nobody": "X-None: 1"}
	when := func(key, value string) []*authz.Condition {
		return []*authz.Condition{{Key: key, Values: []string{value}}}
	}
	admin := []*authz.Operation{{Paths: []string{"/admin*"}}}
	principal := func(name string) []*authz.Source {
		return []*authz.Source{{RequestPrincipals: []string{"iss/" + name}}}
	}
	policies := map[string]*authz.Policy{
		"DENY by path":                         {Action: authz.Deny, Rules: []*authz.Rule{{To: admin}}},
		"DENY by exact path":                   {Action: authz.Deny, Rules: []*authz.Rule{{To: []*authz.Operation{{Paths: []string{"/admin/x"}}}}}},
		"DENY by another path":                 {Action: authz.Deny, Rules: []*authz.Rule{{To: []*authz.Operation{{Paths: []string{"/other*"}}}}}},
		"DENY by principal":                    {Action: authz.Deny, Rules: []*authz.Rule{{From: principal("mallory")}}},
		"DENY by principal and path":           {Action: authz.Deny, Rules: []*authz.Rule{{From: principal("mallory"), To: admin}}},
		"DENY by claim and path":               {Action: authz.Deny, Rules: []*authz.Rule{{When: when("request.auth.claims[group]", "mallorys"), To: admin}}},
		"DENY by audience and path":            {Action: authz.Deny, Rules: []*authz.Rule{{When: when("request.auth.audiences", "for-mallory"), To: admin}}},
		"DENY by presenter and path":           {Action: authz.Deny, Rules: []*authz.Rule{{When: when("request.auth.presenter", "by-mallory"), To: admin}}},
		"DENY by a header of a claim and path": {Action: authz.Deny, Rules: []*authz.Rule{{When: when("request.headers[x-sub]", "mallory"), To: admin}}},
		"DENY all but a principal":             {Action: authz.Deny, Rules: []*authz.Rule{{From: []*authz.Source{{NotRequestPrincipals: []string{"iss/alice"}}}, To: admin}}},
		"ALLOW by principal":                   {Action: authz.Allow, Rules: []*authz.Rule{{From: principal("alice")}}},
		"ALLOW by claim":                       {Action: authz.Allow, Rules: []*authz.Rule{{When: when("request.auth.claims[group]", "alices")}}},
		"ALLOW by audience":                    {Action: authz.Allow, Rules: []*authz.Rule{{When: when("request.auth.audiences", "for-alice")}}},
		"ALLOW by a header of a claim":         {Action: authz.Allow, Rules: []*authz.Rule{{When: when("request.headers[x-sub]", "alice")}}},
		"ALLOW by principal and path":          {Action: authz.Allow, Rules: []*authz.Rule{{From: principal("alice"), To: admin}}},
		"ALLOW all other paths":                {Action: authz.Allow, Rules: []*authz.Rule{{To: []*authz.Operation{{NotPaths: []string{"/admin*"}}}}}},
		"CUSTOM that decides by path":          {Action: authz.Custom, Provider: "path", Rules: []*authz.Rule{{}}},
		"CUSTOM for a path, by path":           {Action: authz.Custom, Provider: "path", Rules: []*authz.Rule{{To: admin}}},
		"CUSTOM that decides by token":         {Action: authz.Custom, Provider: "token", Rules: []*authz.Rule{{}}},
		"CUSTOM for a path, by token":          {Action: authz.Custom, Provider: "token", Rules: []*authz.Rule{{To: admin}}},
	}
	stricter := map[string]bool{"ALLOW by principal and path": true} // which must list a path as it is, too
	config := func(policy *authz.Policy) *authz.Config {
		return &authz.Config{
			Policies: []*authz.Policy{policy},
			JWT:      []*jwt.Rule{{Issuer: "iss", JWKS: jwks, OutputClaimToHeaders: []*jwt.ClaimToHeader{{Header: "x-sub", Claim: "sub"}}}},
			ExtAuthz: map[string]*authz.ExtAuthz{
				"path": extAuthz(t, func(w http.ResponseWriter, r *http.Request) {
					if r.URL.Path == "/admin/x" {
						w.WriteHeader(http.StatusForbidden)
					}
				}),
				"token": extAuthz(t, func(w http.ResponseWriter, r *http.Request) {
					if "Authorization: "+r.Header.Get("Authorization") != callers["alice"] {
						w.WriteHeader(http.StatusForbidden)
					}
				}),
			},
		}
	}
	service, _ := startService(t)
	u := newUpstream(t, answers("x"))
	for kind, state := range map[string]func() *spec.State{
		"a Service": func() *spec.State { return serviceState(u, service) },
		"a pool":    func() *spec.State { return passingState(service) },
	} {
		address := freeAddress(t)
		with := func(policy *authz.Policy) *spec.State {
			s := state()
			s.Authorization = config(policy)
			s.Listeners = []*listen.Listener{{Address: address, Servers: []*listen.Server{{Hosts: []string{"*"}, Gateway: "ns/gw", Table: "ns/gw"}}}}
			return s
		}
		key := unique("feed")
		feed := &testFeed{first: with(policies["DENY by path"])}
		testFeeds.Store(key, feed)
		app := provisioned(t, fmt.Sprintf(`{"status_listen":"off","source":{"source":"test","key":%q}}`, key))
		if err := app.Start(); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() {
			_ = app.Stop()
			_ = app.Cleanup()
		})
		g := &gateway{Server: &httptest.Server{URL: "http://" + address}}
		for name, policy := range policies {
			policy.Name = "ns/p"
			feed.report(with(policy))
			for caller, header := range callers {
				open, closed := g.raw(t, http.MethodGet, "/admin/x", header), g.raw(t, http.MethodGet, "/admin/x/", header)
				var wrong []string
				for _, form := range slashForms() {
					plain := open
					if strings.HasSuffix(form, "/") || strings.HasSuffix(form, "F") {
						plain = closed
					}
					if got := g.raw(t, http.MethodGet, form, header); got != plain && (got != "403" || !stricter[name]) {
						wrong = append(wrong, got+" "+form)
					}
				}
				if len(wrong) > 0 {
					t.Errorf("%s, %s: %s gets %s for /admin/x and %s for /admin/x/, but %s", kind, name, caller, open, closed, strings.Join(wrong, ", "))
				}
			}
		}
	}
}

// passingState is a state whose Gateway has a pool that takes all paths.
func passingState(endpoint string) *spec.State {
	name := unique("pool")
	p := &openai.Provider{Base: kind.Base{Connection: upstream.Connection{Host: "own", Scheme: "http", Pool: &upstream.Pool{Metrics: "off", Endpoints: []string{endpoint}}}}}
	return &spec.State{
		Providers: []*spec.Provider{{Name: name, Origin: "test", Provider: p}},
		Tables:    map[string][]*spec.Route{"ns/gw": {{Hosts: []string{"a.example"}, Origin: "ns/r", Rules: []*spec.Rule{{PassOther: true, Backends: []*spec.Backend{{Provider: name}}}}}}},
	}
}
