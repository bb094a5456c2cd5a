package authz

import (
	"math/rand/v2"
	"net/http"
	"strings"
	"testing"

	"github.com/caddy-llm/gateway/llmroute/authz/jwt"
)

// TestDenyOfPrincipalsIsAsWideAsItsText holds for random tokens that DENY matches
// wherever the text of a principal begins or ends as its value says, and that ALLOW
// matches nowhere else.
func TestDenyOfPrincipalsIsAsWideAsItsText(t *testing.T) {
	g := rand.New(rand.NewPCG(1, 2))
	text := func(n int) string {
		var b strings.Builder
		for range n {
			b.WriteString([]string{"a", "b", "/", "https://", ":", "."}[g.IntN(6)])
		}
		return b.String()
	}
	narrower := 0
	for range 20_000 {
		token := &jwt.Token{Issuer: text(1 + g.IntN(4)), Subject: text(1 + g.IntN(4))}
		joined := token.Issuer + "/" + token.Subject
		cut := g.IntN(len(joined) + 1)
		value := []string{joined, "*", joined[:cut] + "*", "*" + joined[cut:], text(2) + "*", "*" + text(2), text(4)}[g.IntN(7)]
		wide := value == "*" || value == joined || strings.HasSuffix(value, "*") && strings.HasPrefix(joined, value[:len(value)-1]) ||
			strings.HasPrefix(value, "*") && strings.HasSuffix(joined, value[1:])
		var test requestPrincipalTest
		if err := test.add(value); err != nil {
			t.Fatal(err)
		}
		r := &request{Request: new(http.Request), token: token}
		deny := test.match(r)
		r.every = true
		allow := test.match(r)
		if deny != wide || allow && !wide {
			t.Fatalf("%q for %q and %q: DENY matches %v, ALLOW %v, want %v", value, token.Issuer, token.Subject, deny, allow, wide)
		}
		if wide && !allow {
			narrower++
		}
	}
	if narrower == 0 {
		t.Error("ALLOW was never narrower; that tests little")
	}
}
