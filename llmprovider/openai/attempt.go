package openai

import (
	"context"
	"net/http"
	"strings"

	"github.com/caddy-llm/gateway/llmprovider"
	"github.com/caddy-llm/gateway/llmprovider/dialect/chat"
	"github.com/caddy-llm/gateway/llmprovider/dialect/embeddings"
	"github.com/caddy-llm/gateway/llmprovider/kind"
	"github.com/caddy-llm/gateway/llmprovider/translate"
)

// NewAttempt implements llmprovider.Provider.
func (p *Provider) NewAttempt(ctx context.Context, in *llmprovider.Inbound, s llmprovider.Settings) (*llmprovider.Attempt, *llmprovider.Error) {
	out := p.Outgoing(in, s)
	if _, has := p.APIs[apiMessages]; has && in.Endpoint.API == llmprovider.MessagesAPI {
		return p.message(ctx, in, s, &out)
	}
	if in.Endpoint.API != llmprovider.OpenAIAPI || isResponses(in.Endpoint) && !p.speaksResponses {
		refused := p.translate(in, s, &out)
		if refused == nil {
			refused = p.place(&out)
		}
		if refused != nil {
			return nil, refused
		}
		return p.Connection.NewAttempt(ctx, in, &out)
	}
	target := p.urls[in.Endpoint.Suffix]
	if target == nil {
		return nil, p.unplaced(in.Endpoint.Suffix)
	}
	out.URL = target
	if isResponses(in.Endpoint) {
		out.Auth = p.AuthFor(apiResponses, s.Rule)
	}
	p.editOptions(in, s, &out)
	if p.Place != nil {
		out.Endpoint = in.Endpoint
		if refused := p.place(&out); refused != nil {
			return nil, refused
		}
	}
	return p.Connection.NewAttempt(ctx, in, &out)
}

// place moves the request to where a kind that embeds this one has it.
func (p *Provider) place(out *llmprovider.Outgoing) (refused *llmprovider.Error) {
	if p.Place != nil {
		out.URL, refused = p.Place(out.URL, out.Endpoint, out.Model)
	}
	return refused
}

const embeddingsSuffix = "/embeddings"

// isResponses reports whether an endpoint is one of the Responses API.
func isResponses(e llmprovider.Endpoint) bool {
	return e.API == llmprovider.OpenAIAPI && strings.HasPrefix(e.Suffix, responsesSuffix)
}

// message passes a request in Anthropic's API on.
func (p *Provider) message(ctx context.Context, in *llmprovider.Inbound, s llmprovider.Settings, out *llmprovider.Outgoing) (*llmprovider.Attempt, *llmprovider.Error) {
	if out.URL = p.urls[in.Endpoint.Suffix]; out.URL == nil {
		return nil, kind.Unplaced("path of api messages", llmprovider.MessagesSuffix, in.Endpoint.Suffix)
	}
	out.Header, out.Auth = kind.VersionHeader(in), p.AuthFor(apiMessages, s.Rule)
	return p.Connection.NewAttempt(ctx, in, out)
}

// translate makes a chat completion of a request in another API, or a request for
// embeddings.
func (p *Provider) translate(in *llmprovider.Inbound, s llmprovider.Settings, out *llmprovider.Outgoing) *llmprovider.Error {
	api, suffix := chat.API, ""
	if in.Endpoint.Operation == llmprovider.Embeddings {
		api, suffix = embeddings.OpenAI, embeddingsSuffix
	}
	target := p.urls[suffix]
	if target == nil {
		return p.unplaced(suffix)
	}
	return translate.Request(in, s, &translate.Target{API: api, URL: target, Profile: p.ProfileOf(out.Model)}, out)
}

// unplaced is the error for an endpoint that the provider's path says nothing of.
func (p *Provider) unplaced(suffix string) *llmprovider.Error {
	err := kind.Unplaced("path", llmprovider.ChatSuffix, suffix)
	if suffix == "" {
		err.Message = "the provider's path is that of another endpoint, so the place of its chat completions is not known"
	}
	return err
}

// editOptions works out what becomes of the body's stream_options.
func (p *Provider) editOptions(in *llmprovider.Inbound, s llmprovider.Settings, out *llmprovider.Outgoing) {
	switch {
	case !in.IsJSON() || !in.Endpoint.TakesStream():
	case out.StreamForced:
		out.Edits.DropOptions = true
	case s.WithoutStreamOptions && !in.HasStreamOptions():
	case out.Stream && in.Endpoint.AsksStreamUsage() && !p.KeepStreamOptions && !in.AsksUsage():
		out.Edits.IncludeUsage, out.HideUsage = true, true
	}
}

// Has implements llmprovider.Provider.
func (p *Provider) Has(e llmprovider.Endpoint) bool { return kind.Has(p.urls, e) }

// ModelsRequest implements llmprovider.ModelLister.
func (p *Provider) ModelsRequest(ctx context.Context, loop []string) (*http.Request, *llmprovider.Error) {
	target := p.urls[llmprovider.ModelsSuffix]
	if target == nil {
		return nil, p.unplaced(llmprovider.ModelsSuffix)
	}
	return p.Get(ctx, target, p.For("").Auth, loop)
}
