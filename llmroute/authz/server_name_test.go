package authz

import (
	"crypto/tls"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"go.uber.org/zap"
)

// TestServerNamesInAnyForm holds that a policy on a server's name matches however a client
// writes it so that listeners find the server.
func TestServerNamesInAnyForm(t *testing.T) {
	for sent, want := range map[string]bool{"secret.example": true, "SECRET.example": true, "secret.example:1": true, "Secret.example:443": true, "secret.example:": true, "other.example": false, "": false} {
		for action, denied := range map[Action]bool{Deny: want, Allow: sent != strings.TrimRight(sent, ":0123456789") || !want} {
			set, problems := New(&Config{Policies: []*Policy{{Action: action, Rules: []*Rule{{When: []*Condition{{Key: "connection.sni", Values: []string{"Secret.Example"}}}}}}}}, zap.NewNop())
			if len(problems) > 0 {
				t.Fatal(problems)
			}
			r := httptest.NewRequest(http.MethodPost, "https://secret.example/", nil)
			r.TLS = &tls.ConnectionState{ServerName: sent}
			if d := set.Authorize(http.Header{}, r, nil); (d.Refusal != nil) != denied {
				t.Errorf("%s with the name %q: refused is %v", action, sent, d.Refusal != nil)
			}
		}
	}
}
