package authz

import (
	"context"
	"crypto/tls"
	"maps"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"

	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
	"go.uber.org/zap"

	"github.com/caddy-llm/gateway/llmroute/authz/jwt"
)

// TestServicesAreToldWhoCallsByTheGateway holds that a client cannot say by itself, in a
// header that proxies write, where it comes from or who it is.
func TestServicesAreToldWhoCallsByTheGateway(t *testing.T) {
	for name, test := range map[string]struct {
		trusted, secure bool
		proxies         int
		client, want    http.Header
	}{
		"a client": {
			client: http.Header{"X-Forwarded-For": {"10.0.0.1"}, "X-Forwarded-Proto": {"https"}, "X-Forwarded-Host": {"admin.example"}, "Forwarded": {"for=10.0.0.1"}},
			want:   http.Header{"X-Forwarded-For": {"192.0.2.1"}, "X-Forwarded-Proto": {"http"}},
		},
		"a client that says nothing": {want: http.Header{"X-Forwarded-For": {"192.0.2.1"}, "X-Forwarded-Proto": {"http"}}},
		"with TLS":                   {secure: true, want: http.Header{"X-Forwarded-For": {"192.0.2.1"}, "X-Forwarded-Proto": {"https"}}},
		"a proxy that the site trusts": {
			trusted: true,
			client:  http.Header{"X-Forwarded-For": {"10.0.0.1", "10.0.0.2"}, "X-Forwarded-Proto": {"https"}, "X-Forwarded-Host": {"a.example"}, "Forwarded": {"for=10.0.0.1"}},
			want:    http.Header{"X-Forwarded-For": {"10.0.0.1, 10.0.0.2, 192.0.2.1"}, "X-Forwarded-Proto": {"https"}, "X-Forwarded-Host": {"a.example"}, "Forwarded": {"for=10.0.0.1"}},
		},
		"behind proxies": {
			proxies: 1, client: http.Header{"X-Forwarded-For": {"10.0.0.1"}},
			want: http.Header{"X-Forwarded-For": {"10.0.0.1, 192.0.2.1"}, "X-Forwarded-Proto": {"http"}},
		},
		"what meshes say": {
			trusted: true, client: http.Header{"X-Forwarded-Client-Cert": {"URI=spiffe://a/ns/b/sa/c"}, "X-Envoy-External-Address": {"10.0.0.1"}},
			want: http.Header{"X-Forwarded-For": {"192.0.2.1"}, "X-Forwarded-Proto": {"http"}},
		},
	} {
		t.Run(name, func(t *testing.T) {
			config, questions := service(t, allow)
			config.IncludeRequestHeadersInCheck = []string{"x-forwarded-*", "forwarded", "x-envoy-*"}
			set, problems := New(&Config{
				TrustedProxies: test.proxies, ExtAuthz: map[string]*ExtAuthz{"e": config}, Policies: []*Policy{{Action: Custom, Provider: "e", Rules: []*Rule{{}}}},
			}, zap.NewNop())
			if len(problems) > 0 {
				t.Fatal(problems)
			}
			r := httptest.NewRequest(http.MethodPost, "http://gateway.example/", nil) // from 192.0.2.1
			r = r.WithContext(context.WithValue(r.Context(), caddyhttp.VarsCtxKey, map[string]any{caddyhttp.TrustedProxyVarKey: test.trusted}))
			if test.secure {
				r.TLS = new(tls.ConnectionState)
			}
			maps.Copy(r.Header, test.client)
			if d := set.Authorize(http.Header{}, r, nil); d.Refusal != nil {
				t.Fatalf("%+v", d)
			}
			got := (<-questions).Header
			for name := range got {
				if !strings.HasPrefix(name, "X-Forwarded-") && !strings.HasPrefix(name, "X-Envoy-") && name != "Forwarded" {
					delete(got, name)
				}
			}
			if !maps.EqualFunc(got, test.want, slices.Equal) {
				t.Errorf("the service got %v, want %v", got, test.want)
			}
		})
	}
}

// TestServicesSeeNothingOfTokensFromClients holds that a client cannot write the headers
// that are made of tokens, for a service or for the policy that has it asked.
func TestServicesSeeNothingOfTokensFromClients(t *testing.T) {
	config, questions := service(t, allow)
	config.IncludeRequestHeadersInCheck = []string{"x-plan"}
	set, problems := New(&Config{
		JWT:      []*jwt.Rule{{Issuer: "https://issuer.example", JWKSURI: "http://127.0.0.1:1/", OutputClaimToHeaders: []*jwt.ClaimToHeader{{Header: "x-plan", Claim: "plan"}}}},
		ExtAuthz: map[string]*ExtAuthz{"e": config},
		Policies: []*Policy{{Action: Custom, Provider: "e", Rules: []*Rule{{When: []*Condition{{Key: "request.headers[x-plan]", NotValues: []string{"internal"}}}}}}},
	}, zap.NewNop())
	if len(problems) > 0 {
		t.Fatal(problems)
	}
	r := httptest.NewRequest(http.MethodPost, "http://gateway.example/", nil)
	r.Header.Set("X-Plan", "internal")
	if d := set.Authorize(http.Header{}, r, nil); d.Refusal != nil {
		t.Fatalf("%+v", d)
	}
	select {
	case asked := <-questions:
		if plan, there := asked.Header["X-Plan"]; there {
			t.Errorf("the service got X-Plan %q", plan)
		}
	default:
		t.Error("the service was not asked")
	}
}
