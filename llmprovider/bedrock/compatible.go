package bedrock

import (
	"context"
	"net/url"
	"strings"

	"github.com/caddy-llm/gateway/llmprovider"
	"github.com/caddy-llm/gateway/llmprovider/cloud"
	"github.com/caddy-llm/gateway/llmprovider/dialect"
	"github.com/caddy-llm/gateway/llmprovider/dialect/chat"
	"github.com/caddy-llm/gateway/llmprovider/dialect/messages"
	"github.com/caddy-llm/gateway/llmprovider/dialect/responses"
	"github.com/caddy-llm/gateway/llmprovider/kind"
	"github.com/caddy-llm/gateway/llmprovider/translate"
	"github.com/caddy-llm/gateway/llmprovider/upstream"
)

// The names of the APIs of others that Bedrock has beside its own.
const (
	apiChat      = "chat"
	apiMessages  = "messages"
	apiResponses = "responses"
)

// furtherAPI is an API of somebody else's at Bedrock.
type furtherAPI struct {
	api    *dialect.API
	suffix string   // of its endpoint; empty for chat completions, as in llmprovider.Endpoint
	end    string   // of its path, below the root of the API
	more   []string // what further endpoints have after that
}

var furtherAPIs = map[string]furtherAPI{
	apiChat:      {chat.API, "", llmprovider.ChatSuffix, nil},
	apiMessages:  {messages.API, llmprovider.MessagesSuffix, llmprovider.MessagesSuffix, []string{"/count_tokens"}},
	apiResponses: {responses.API, llmprovider.ResponsesSuffix, llmprovider.ResponsesSuffix, []string{"/input_tokens", "/compact"}},
}

// isMantle reports whether a host is that of Bedrock's second service, Mantle, which has
// the APIs of others alone and another name in signatures
// (https://docs.aws.amazon.com/bedrock/latest/userguide/endpoints.html,
// https://github.com/openai/openai-go/blob/main/bedrock/auth.go).
func isMantle(host string) bool {
	host = strings.ToLower(host)
	return strings.HasPrefix(host, mantle+".") && strings.HasSuffix(host, ".api.aws")
}

// mantle is the name of that service, in hosts and in signatures.
const mantle = "bedrock-mantle"

// serviceOf is the name in signatures of the service at a host.
func serviceOf(host string) string {
	if isMantle(host) {
		return mantle
	}
	return service
}

// provisionAPIs works out where the further APIs are: those that are configured, and at
// Mantle all. Bedrock's own hosts have OpenAI's APIs below /openai/v1 and Mantle has them
// below /v1, but for some models; both have Anthropic's below /anthropic/v1
// (https://docs.aws.amazon.com/bedrock/latest/userguide/inference-responses-api.html,
// https://docs.aws.amazon.com/bedrock/latest/userguide/inference-messages-api.html).
func (p *Provider) provisionAPIs() error {
	p.further = make(map[string]*url.URL)
	for name, f := range furtherAPIs {
		api, configured := p.APIs[name]
		if !configured && !isMantle(p.Host) {
			continue
		}
		path := "/openai/v1"
		switch {
		case name == apiMessages:
			path = "/anthropic/v1"
		case isMantle(p.Host):
			path = "/v1"
		}
		u := llmprovider.Below(p.root, path+f.end, "")
		if api.Path != "" {
			parsed, err := upstream.ParsePath(api.Path)
			if err != nil {
				return err
			}
			u = p.URL(parsed)
		}
		p.further[f.suffix] = u
		for _, end := range f.more {
			if to := kind.Sibling(u, f.end, f.end+end); to != nil {
				p.further[f.suffix+end] = to
			}
		}
	}
	return nil
}

// furtherOf returns the name of the API of an endpoint that the provider has, and where
// the endpoint is. Anthropic's API is for Anthropic's models, and OpenAI's are for all
// others.
func (p *Provider) furtherOf(e llmprovider.Endpoint, model string) (name string, u *url.URL) {
	switch {
	case e.API == llmprovider.MessagesAPI:
		name = apiMessages
	case e.API != llmprovider.OpenAIAPI:
		return "", nil
	case e.Operation == llmprovider.Chat:
		name = apiChat
	case strings.HasPrefix(e.Suffix, llmprovider.ResponsesSuffix):
		name = apiResponses
	default:
		return "", nil
	}
	if (name == apiMessages) != ofAnthropic(model) {
		return "", nil
	}
	return name, p.further[e.Suffix]
}

// pass makes the request in an API that the provider has.
func (p *Provider) pass(in *llmprovider.Inbound, s llmprovider.Settings, name string, u *url.URL, out *llmprovider.Outgoing) {
	out.URL, out.Endpoint, out.Auth = u, in.Endpoint, p.AuthFor(name, s.Rule)
	if name == apiMessages {
		out.Header, out.NewReader = kind.VersionHeader(in), cloud.MessagesErrors
		return
	}
	kind.EditStreamOptions(in, s, out)
}

// toMantle makes the request to a provider without Bedrock's own APIs, in one that it has.
func (p *Provider) toMantle(ctx context.Context, in *llmprovider.Inbound, s llmprovider.Settings, out *llmprovider.Outgoing) *llmprovider.Error {
	name := apiChat
	if ofAnthropic(out.Model) {
		name = apiMessages
		out.Header = kind.VersionHeader(in)
	}
	f := furtherAPIs[name]
	target := &translate.Target{
		API: f.api, URL: p.further[f.suffix], MaxOutput: p.For(s.Rule).MaxTokens, Profile: p.ProfileOf(out.Model), Vendor: vendorOf(out.Model),
		Fetch: p.MediaFetcher(ctx),
	}
	if in.Endpoint.Operation == llmprovider.CountTokens { // a count is never sent where it would be a message
		if target.URL = p.further[f.suffix+"/count_tokens"]; target.URL == nil {
			return translate.Unsupported(in.Endpoint, f.api.Name)
		}
	}
	out.Auth = p.AuthFor(name, s.Rule)
	return translate.Request(in, s, target, out)
}
