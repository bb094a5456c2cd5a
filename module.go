// Package gateway registers every module of the LLM gateway with Caddy. It is
// what a build names:
//
//	xcaddy build --with github.com/caddy-llm/gateway
package gateway

import (
	_ "github.com/caddy-llm/gateway/caddyfile"
	_ "github.com/caddy-llm/gateway/k8ssource/cluster"
	_ "github.com/caddy-llm/gateway/k8ssource/files"
	_ "github.com/caddy-llm/gateway/k8ssource/inject"
	_ "github.com/caddy-llm/gateway/k8ssource/manifests"
	_ "github.com/caddy-llm/gateway/llmprovider/anthropic"
	_ "github.com/caddy-llm/gateway/llmprovider/azure"
	_ "github.com/caddy-llm/gateway/llmprovider/bedrock"
	_ "github.com/caddy-llm/gateway/llmprovider/google"
	_ "github.com/caddy-llm/gateway/llmprovider/openai"
	_ "github.com/caddy-llm/gateway/llmprovider/vertex"
	_ "github.com/caddy-llm/gateway/llmroute"
	_ "github.com/caddy-llm/gateway/llmroute/cache/asmstore"
	_ "github.com/caddy-llm/gateway/llmroute/cache/redisstore"
	_ "github.com/caddy-llm/gateway/llmroute/limit/redisstore"
	_ "github.com/caddy-llm/gateway/llmroute/limit/rlsstore"
	_ "github.com/caddy-llm/gateway/llmroute/limit/tokenstore"
	_ "github.com/caddy-llm/gateway/llmroute/mock"
	_ "github.com/caddy-llm/gateway/llmroute/picker"
	_ "github.com/caddy-llm/gateway/llmroute/sidecar"
)
