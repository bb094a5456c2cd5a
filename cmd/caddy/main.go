// Command caddy is the standard Caddy server with the modules of the LLM
// gateway built in: the binary that xcaddy builds, for those who have Go and
// nothing else.
package main

import (
	"github.com/caddyserver/caddy/v2"
	caddycmd "github.com/caddyserver/caddy/v2/cmd"

	_ "github.com/caddyserver/caddy/v2/modules/standard"

	_ "github.com/caddy-llm/gateway"
	"github.com/caddy-llm/gateway/internal/version"
)

func main() {
	// "caddy version" prints it before Caddy's own version.
	caddy.CustomVersion = "llm-gateway@" + version.Gateway()
	caddycmd.Main()
}
