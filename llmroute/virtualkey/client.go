package virtualkey

import (
	"net/http"

	"github.com/caddyserver/caddy/v2/modules/caddyhttp"

	"github.com/caddy-llm/gateway/llmroute/matcher"
)

// ClientVar is the request variable that holds who is calling.
const ClientVar = "llm.client"

// Client is who a virtual key belongs to.
type Client struct {
	// Name stands in logs and metrics.
	Name string
	// Models are the models the client may use, with `*` for any text. None
	// means all.
	Models []string
	// Limit is the name of the limit that holds for the client in place of those that
	// are keyed by client; empty for none.
	Limit string
	// Guards and Prompts are the names of those that look at the client's requests and are
	// added to them, after those of the rule.
	Guards, Prompts []string

	Realm string // the file or the Secret that the key stands in
}

// Allows reports whether the client may use a model.
func (c *Client) Allows(model string) bool {
	for _, pattern := range c.Models {
		if matcher.Wildcard(pattern, model) {
			return true
		}
	}
	return len(c.Models) == 0
}

// ClientOf returns who is calling, nil if no virtual key was asked for.
func ClientOf(r *http.Request) *Client {
	c, _ := caddyhttp.GetVar(r.Context(), ClientVar).(*Client)
	return c
}
