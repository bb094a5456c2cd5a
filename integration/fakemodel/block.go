package fakemodel

import "fmt"

// KeyVariable is the environment variable in which a gateway has the provider's key.
const KeyVariable = "MODEL_KEY"

// Block is the block for a Caddyfile of a provider that speaks the API alone, at a URL
// without a path, whose certificate is signed by the CA in a file.
func (a API) Block(name, url, ca string) string {
	path, kind := map[API]string{Chat: "/v1/chat/completions", Responses: "/v1/responses", Messages: "/v1/messages"}[a], "openai"
	switch a {
	case Messages:
		kind = "anthropic"
	case Gemini:
		kind = "gemini"
	case Converse:
		kind = "bedrock\n\tregion eu-central-1"
	}
	return fmt.Sprintf("provider %s %s%s {\n\tkind %s\n\tapi_key {env.%s}\n\ttls_trust_pool file %s\n}\n", name, url, path, kind, KeyVariable, ca)
}
