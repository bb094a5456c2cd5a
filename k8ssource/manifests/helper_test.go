package manifests

import (
	"os"
	"testing"

	_ "github.com/caddy-llm/gateway/llmprovider/anthropic" // the kinds of the providers
	_ "github.com/caddy-llm/gateway/llmprovider/azure"
	_ "github.com/caddy-llm/gateway/llmprovider/bedrock"
	_ "github.com/caddy-llm/gateway/llmprovider/google"
	_ "github.com/caddy-llm/gateway/llmprovider/openai"
	_ "github.com/caddy-llm/gateway/llmprovider/vertex"
)

func write(t *testing.T, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}
