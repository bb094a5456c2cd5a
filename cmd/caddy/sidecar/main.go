// Command sidecar is Caddy with what a sidecar needs whose configuration is in
// files: the gateway's modules but for the Kubernetes source, endpoint pickers and the
// shared stores of limits, and of Caddy's own those that they stand on. It has two thirds
// of the size of the whole one, takes
// less memory, and knows the same commands of the gateway.
//
//	go build -o caddy ./cmd/caddy/sidecar
package main

import (
	"github.com/caddyserver/caddy/v2"
	caddycmd "github.com/caddyserver/caddy/v2/cmd"

	_ "github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
	_ "github.com/caddyserver/caddy/v2/modules/caddyhttp"
	_ "github.com/caddyserver/caddy/v2/modules/caddyhttp/headers"
	_ "github.com/caddyserver/caddy/v2/modules/caddyhttp/reverseproxy"
	_ "github.com/caddyserver/caddy/v2/modules/caddyhttp/tracing"
	_ "github.com/caddyserver/caddy/v2/modules/caddytls"
	_ "github.com/caddyserver/caddy/v2/modules/caddytls/standardstek"
	_ "github.com/caddyserver/caddy/v2/modules/filestorage"
	_ "github.com/caddyserver/caddy/v2/modules/logging"
	_ "github.com/caddyserver/caddy/v2/modules/metrics"

	_ "github.com/caddy-llm/gateway/caddyfile"
	"github.com/caddy-llm/gateway/internal/version"
	_ "github.com/caddy-llm/gateway/k8ssource/files"
	_ "github.com/caddy-llm/gateway/k8ssource/inject"
	_ "github.com/caddy-llm/gateway/k8ssource/manifests"
	_ "github.com/caddy-llm/gateway/llmprovider/anthropic"
	_ "github.com/caddy-llm/gateway/llmprovider/google"
	_ "github.com/caddy-llm/gateway/llmprovider/openai"
	_ "github.com/caddy-llm/gateway/llmprovider/vertex"
	_ "github.com/caddy-llm/gateway/llmroute"
	_ "github.com/caddy-llm/gateway/llmroute/cache/asmstore"
	_ "github.com/caddy-llm/gateway/llmroute/limit/tokenstore"
	_ "github.com/caddy-llm/gateway/llmroute/mock"
	_ "github.com/caddy-llm/gateway/llmroute/sidecar"
)

func main() {
	// "caddy version" prints it before Caddy's own version.
	caddy.CustomVersion = "llm-gateway@" + version.Gateway()
	caddycmd.Main()
}
