package llmroute

import (
	"net/http"

	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
)

// clientVar is the request variable that holds who is calling.
const clientVar = "llm.client"

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
}

func (c *Client) allows(model string) bool {
	for _, pattern := range c.Models {
		if matchWildcard(pattern, model) {
			return true
		}
	}
	return len(c.Models) == 0
}

// clientOf returns who is calling, nil if no virtual key was asked for.
func clientOf(r *http.Request) *Client {
	c, _ := caddyhttp.GetVar(r.Context(), clientVar).(*Client)
	return c
}
