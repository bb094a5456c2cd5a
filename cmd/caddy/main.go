// Command caddy is the standard Caddy server with the modules of the LLM
// gateway built in: the binary that xcaddy builds, for those who have Go and
// nothing else.
package main

import (
	caddycmd "github.com/caddyserver/caddy/v2/cmd"

	_ "github.com/caddyserver/caddy/v2/modules/standard"

	_ "github.com/caddy-llm/gateway"
)

func main() {
	caddycmd.Main()
}
