package openai

import (
	"cmp"
	"context"
	"net/url"
	"strings"

	"github.com/caddy-llm/gateway/llmprovider"
	"github.com/caddy-llm/gateway/llmprovider/dialect/chat"
	"github.com/caddy-llm/gateway/llmprovider/dialect/embeddings"
	"github.com/caddy-llm/gateway/llmprovider/dialect/responses"
	"github.com/caddy-llm/gateway/llmprovider/kind"
	"github.com/caddy-llm/gateway/llmprovider/translate"
)

// NewAttempt implements llmprovider.Provider.
func (p *Provider) NewAttempt(ctx context.Context, in *llmprovider.Inbound, s llmprovider.Settings) (*llmprovider.Attempt, *llmprovider.Error) {
	out := p.Outgoing(in, s)
	if _, has := p.APIs[apiMessages]; has && in.Endpoint.API == llmprovider.MessagesAPI {
		return p.message(ctx, in, s, &out)
	}
	if !p.speaks(in.Endpoint) {
		if refused := p.translate(in, s, &out); refused != nil {
			return nil, refused
		}
	} else {
		if out.URL = p.place(in.Endpoint); out.URL == nil {
			return nil, p.unplaced(in.Endpoint.Suffix)
		}
		if isResponses(in.Endpoint) {
			out.Auth = p.AuthFor(apiResponses, s.Rule)
		}
		p.editOptions(in, s, &out)
		out.Endpoint = in.Endpoint
	}
	if p.Place != nil {
		var refused *llmprovider.Error
		if out.URL, refused = p.Place(out.URL, out.Endpoint, out.Model); refused != nil {
			return nil, refused
		}
	}
	return p.Connection.NewAttempt(ctx, in, &out)
}

// speaks reports whether the provider has the API of an endpoint. One that has no chat
// completions, but the Responses API, is asked in that.
func (p *Provider) speaks(e llmprovider.Endpoint) bool {
	switch {
	case e.API != llmprovider.OpenAIAPI:
		return false
	case isResponses(e):
		return p.speaksResponses
	}
	return e.Operation != llmprovider.Chat || e.Suffix != "" || p.urls[""] != nil || !p.prefersResponses
}

// place returns where the provider has an endpoint, nil if that is not known.
func (p *Provider) place(e llmprovider.Endpoint) *url.URL {
	if e.Operation != llmprovider.StoredResponse {
		return p.urls[e.Suffix]
	}
	base := p.urls[llmprovider.ResponsesSuffix]
	if base == nil {
		return nil
	}
	return llmprovider.Below(base, strings.TrimPrefix(e.Suffix, llmprovider.ResponsesSuffix), e.Query)
}

const embeddingsSuffix = "/embeddings"

// isResponses reports whether an endpoint is one of the Responses API.
func isResponses(e llmprovider.Endpoint) bool {
	return e.API == llmprovider.OpenAIAPI && strings.HasPrefix(e.Suffix, llmprovider.ResponsesSuffix)
}

// message passes a request in Anthropic's API on.
func (p *Provider) message(ctx context.Context, in *llmprovider.Inbound, s llmprovider.Settings, out *llmprovider.Outgoing) (*llmprovider.Attempt, *llmprovider.Error) {
	if out.URL = p.urls[in.Endpoint.Suffix]; out.URL == nil {
		return nil, kind.Unplaced("path of api messages", llmprovider.MessagesSuffix, in.Endpoint.Suffix)
	}
	out.Header, out.Auth = kind.VersionHeader(in), p.AuthFor(apiMessages, s.Rule)
	return p.Connection.NewAttempt(ctx, in, out)
}

// translate makes a request for embeddings, or one in the API that the provider has and
// that keeps most of a request in another one: the Responses API, in which reasoning goes
// round, or chat completions, which have settings that the other one has not.
func (p *Provider) translate(in *llmprovider.Inbound, s llmprovider.Settings, out *llmprovider.Outgoing) *llmprovider.Error {
	api, suffix := chat.API, ""
	if in.Endpoint.Operation == llmprovider.Embeddings {
		api, suffix = embeddings.OpenAI, embeddingsSuffix
	}
	profile := p.ProfileOf(out.Model)
	var targets []*translate.Target
	if u := p.responsesURL(in.Endpoint); u != nil && suffix == "" && p.asksResponses(in.Endpoint) {
		targets = append(targets, &translate.Target{
			// Encrypted reasoning is OpenAI's, also where a gateway of one's own stands before it.
			API: responses.API, URL: u, Profile: profile, Vendor: cmp.Or(profile.Vendor, responses.Vendor), Auth: p.AuthFor(apiResponses, s.Rule),
		})
	}
	if target := p.urls[suffix]; target != nil {
		targets = append(targets, &translate.Target{API: api, URL: target, Profile: profile})
	}
	if len(targets) == 0 {
		return p.unplaced(suffix)
	}
	return translate.Best(in, s, targets, out)
}

// asksResponses reports whether requests in another API may go to the Responses API.
func (p *Provider) asksResponses(e llmprovider.Endpoint) bool {
	return p.prefersResponses || e.Operation == llmprovider.CountTokens && p.speaksResponses && !p.AllResponses
}

// responsesURL returns where a translated request goes in the Responses API, nil if that
// is not known.
func (p *Provider) responsesURL(e llmprovider.Endpoint) *url.URL {
	if e.Operation == llmprovider.CountTokens {
		return p.urls[llmprovider.ResponsesSuffix+"/input_tokens"]
	}
	return p.urls[llmprovider.ResponsesSuffix]
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
	if !p.KeepStreamOptions || out.StreamForced {
		kind.EditStreamOptions(in, s, out)
	}
}

// Has implements llmprovider.Provider.
func (p *Provider) Has(e llmprovider.Endpoint) bool { return kind.Has(p.urls, e) }

// ModelLists implements llmprovider.ModelLister.
func (p *Provider) ModelLists() ([]*url.URL, *llmprovider.Error) {
	target := p.urls[llmprovider.ModelsSuffix]
	if target == nil {
		return nil, p.unplaced(llmprovider.ModelsSuffix)
	}
	return []*url.URL{target}, nil
}
