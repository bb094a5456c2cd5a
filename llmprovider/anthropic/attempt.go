package anthropic

import (
	"context"
	"net/http"
	"net/url"

	"github.com/caddy-llm/gateway/llmprovider"
	"github.com/caddy-llm/gateway/llmprovider/dialect/messages"
	"github.com/caddy-llm/gateway/llmprovider/kind"
	"github.com/caddy-llm/gateway/llmprovider/translate"
)

const countSuffix = llmprovider.MessagesSuffix + "/count_tokens"

// NewAttempt implements llmprovider.Provider.
func (p *Provider) NewAttempt(ctx context.Context, in *llmprovider.Inbound, s llmprovider.Settings) (*llmprovider.Attempt, *llmprovider.Error) {
	out := p.Outgoing(in, s)
	out.Header = kind.VersionHeader(in)
	if in.Endpoint.API != llmprovider.MessagesAPI {
		if refused := p.translate(in, s, &out); refused != nil {
			return nil, refused
		}
		return p.Connection.NewAttempt(ctx, in, &out)
	}
	if out.URL = p.urls[in.Endpoint.Suffix]; out.URL == nil {
		return nil, unplaced(in.Endpoint.Suffix)
	}
	return p.Connection.NewAttempt(ctx, in, &out)
}

// translate makes a request for a message of one in another API.
func (p *Provider) translate(in *llmprovider.Inbound, s llmprovider.Settings, out *llmprovider.Outgoing) *llmprovider.Error {
	t := &translate.Target{
		API: messages.API, URL: p.urls[llmprovider.MessagesSuffix], MaxOutput: p.For(s.Rule).MaxTokens, Profile: p.ProfileOf(out.Model), Vendor: messages.Vendor,
	}
	if in.Endpoint.Operation == llmprovider.CountTokens {
		if t.URL = p.urls[countSuffix]; t.URL == nil {
			return unplaced(countSuffix)
		}
	}
	return translate.Request(in, s, t, out)
}

// unplaced is the error for an endpoint that the provider's path says nothing of.
func unplaced(suffix string) *llmprovider.Error {
	return kind.Unplaced("path", llmprovider.MessagesSuffix, suffix)
}

// Has implements llmprovider.Provider.
func (p *Provider) Has(e llmprovider.Endpoint) bool { return kind.Has(p.urls, e) }

// ModelLists implements llmprovider.ModelLister.
func (p *Provider) ModelLists() ([]*url.URL, *llmprovider.Error) {
	target := p.urls[llmprovider.ModelsSuffix]
	if target == nil {
		return nil, unplaced(llmprovider.ModelsSuffix)
	}
	all := *target
	query := all.Query()
	query.Set("limit", "1000") // the most: https://docs.anthropic.com/en/api/models-list
	all.RawQuery = query.Encode()
	return []*url.URL{&all}, nil
}

// ModelsRequest implements llmprovider.ModelLister.
func (p *Provider) ModelsRequest(ctx context.Context, u *url.URL, loop []string) (*http.Request, *llmprovider.Error) {
	r, refused := p.Base.ModelsRequest(ctx, u, loop)
	if refused == nil && r.Header[kind.MessagesVersion] == nil {
		r.Header[kind.MessagesVersion] = []string{kind.DefaultMessagesVersion}
	}
	return r, refused
}
