package authz

import (
	"fmt"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
	"go.uber.org/zap"
)

// spelled writes a path with some characters as escapes, in capitals or not.
func spelled(rng *rand.Rand, path string) string {
	var b strings.Builder
	for i := range len(path) {
		c := path[i]
		form := []string{"%%%02X", "%%%02x"}[rng.IntN(2)]
		switch {
		case c == '/': // as an escape it is another path
			b.WriteByte(c)
		case c == 0: // stands for an escaped slash
			fmt.Fprintf(&b, form, '/')
		case isPathChar(c) && rng.IntN(3) > 0:
			b.WriteByte(c)
		default:
			fmt.Fprintf(&b, form, c)
		}
	}
	return b.String()
}

// TestDenyEscapedPath holds that a DENY by a path with an escape holds however the client
// spells the path, and for no other path.
func TestDenyEscapedPath(t *testing.T) {
	paths := []string{"/caf\u00e9", "/caf\u00e9/menu", "/a b", "/a\x00b", "/100%", "/q?x", "/[1]", "/a!b;c", "/star*", "/{brace}/x", "/~u/\u96ea", "/a\x00b/c", "/a/b"}
	passes := func(value, target string) bool {
		p, problems := compilePolicies(&Config{Policies: []*Policy{{Name: "p", Action: Deny, Rules: []*Rule{{To: []*Operation{{Paths: []string{value}}}}}}}})
		if len(problems) > 0 {
			t.Fatal(problems)
		}
		req := p.request(httptest.NewRequest(http.MethodGet, target, nil))
		defer req.release()
		return p.decide(req, zap.NewNop()).Refusal == nil
	}
	rng := rand.New(rand.NewPCG(1, 2))
	for range 200 {
		for i, path := range paths {
			value := spelled(rng, path)
			if !strings.Contains(value, "%") {
				continue
			}
			if target := spelled(rng, path); passes(value, target) {
				t.Fatalf("DENY %s lets %s pass", value, target)
			}
			if target := spelled(rng, path+"/below"); passes(value+"*", target) || !passes(value, target) {
				t.Fatalf("DENY %s and %[1]s*: %s", value, target)
			}
			if target := spelled(rng, "/x"+path); passes("*"+value, target) {
				t.Fatalf("DENY *%s lets %s pass", value, target)
			}
			if target := spelled(rng, "/x"+path); passes("/{*}"+value, target) {
				t.Fatalf("DENY /{*}%s lets %s pass", value, target)
			}
			if other := paths[(i+1+rng.IntN(len(paths)-1))%len(paths)]; !passes(value, spelled(rng, other)) {
				t.Fatalf("DENY %s refuses %q", value, other)
			}
		}
	}
}

// TestAllowEscapedPath holds that an ALLOW by a path with an escape is for that spelling.
func TestAllowEscapedPath(t *testing.T) {
	p, _ := compilePolicies(&Config{Policies: []*Policy{{Name: "p", Action: Allow, Rules: []*Rule{{To: []*Operation{{Paths: []string{"/caf%C3%A9"}}}}}}}})
	for target, want := range map[string]bool{"/caf%C3%A9": true, "/caf%c3%a9": false, "/cafe": false} {
		req := p.request(httptest.NewRequest(http.MethodGet, target, nil))
		if got := p.decide(req, zap.NewNop()).Refusal == nil; got != want {
			t.Errorf("%s passes: %v, want %v", target, got, want)
		}
		req.release()
	}
}

// TestSiteSlashes holds that llm_authz compares a path with several slashes in a row also with
// single ones: what follows at the site may read it so.
func TestSiteSlashes(t *testing.T) {
	set, problems := New(&Config{Policies: []*Policy{{Name: "p", Action: Deny, Rules: []*Rule{{To: []*Operation{{Paths: []string{"/admin"}}}}}}}}, zap.NewNop())
	if len(problems) > 0 {
		t.Fatal(problems)
	}
	h := &Handler{set: set, logger: zap.NewNop()}
	for target, want := range map[string]int{"/admin": 403, "//admin": 403, "/%2Fadmin": 403, "///admin": 403, `/\admin`: 403, "/%5Cadmin": 403, `/\/admin`: 403, "/administer": 200, "//administer": 200} {
		w := httptest.NewRecorder()
		r := httptest.NewRequest(http.MethodGet, "http://a.test"+target, nil)
		if err := h.ServeHTTP(w, r, caddyhttp.HandlerFunc(func(http.ResponseWriter, *http.Request) error { return nil })); err != nil || w.Code != want {
			t.Errorf("%s gets %d %v, want %d", target, w.Code, err, want)
		}
	}
}

// TestCutEscapes holds that DENY matches where a value's escape is cut off or is none.
func TestCutEscapes(t *testing.T) {
	for value, target := range map[string]string{"/caf%c*": "/caf%C3%A9", "/caf%*": "/caf%c3%a9", "/100%": "/100%25", "/100%*": "/100%25x", "/a%zz": "/a%25zz"} {
		set, problems := New(&Config{Policies: []*Policy{{Name: "p", Action: Deny, Rules: []*Rule{{To: []*Operation{{Paths: []string{value}}}}}}}}, zap.NewNop())
		if len(problems) > 0 {
			t.Fatal(problems)
		}
		w := httptest.NewRecorder()
		h := &Handler{set: set, logger: zap.NewNop()}
		if err := h.ServeHTTP(w, httptest.NewRequest(http.MethodGet, "http://a.test"+target, nil), nil); err != nil || w.Code != http.StatusForbidden {
			t.Errorf("DENY %s lets %s pass: %d, %v", value, target, w.Code, err)
		}
	}
}
