package authz

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/caddyserver/caddy/v2"
)

// TestPoliciesTakeNoPlaceholder holds that a value of a policy with a placeholder, which
// nothing would match, keeps a site from being served, and that templates do not.
func TestPoliciesTakeNoPlaceholder(t *testing.T) {
	for value, refused := range map[string]bool{"{env.HOST}": true, "{http.request.host}": true, "{$HOST}": true, "/v1/{*}/a": false, "/v1/{**}": false} {
		h := new(Handler)
		config := `{"policies":[{"action":"DENY","rules":[{"to":[{"paths":["` + value + `"]}]}]}]}`
		if err := json.Unmarshal([]byte(config), h); err != nil {
			t.Fatal(err)
		}
		ctx, cancel := caddy.NewContext(caddy.Context{Context: t.Context()})
		err := h.Provision(ctx)
		cancel()
		if got := err != nil && strings.Contains(err.Error(), "paths: "); got != refused {
			t.Errorf("%s: got %v", value, err)
		}
	}
}
