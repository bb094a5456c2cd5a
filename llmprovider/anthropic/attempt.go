package anthropic

import (
	"context"
	"net/http"
	"strings"

	"github.com/caddy-llm/gateway/llmprovider"
)

const countSuffix = llmprovider.MessagesSuffix + "/count_tokens"

var defaultVersions = []string{defaultVersion}

// NewAttempt implements llmprovider.Provider.
func (p *Provider) NewAttempt(ctx context.Context, in *llmprovider.Inbound, s llmprovider.Settings) (*llmprovider.Attempt, *llmprovider.Error) {
	target := p.urls[in.Endpoint.Suffix]
	switch {
	case in.Endpoint.API != llmprovider.MessagesAPI:
		return nil, llmprovider.NotSpoken(in.Endpoint, llmprovider.MessagesAPI)
	case target == nil:
		return nil, unplaced(in.Endpoint.Suffix)
	}
	out := p.Outgoing(in, s)
	out.URL = target
	a, refused := p.Connection.NewAttempt(ctx, in, &out)
	if refused == nil {
		setVersion(a.Request.Header)
	}
	return a, refused
}

// unplaced is the error for an endpoint that the provider's path says nothing of.
func unplaced(suffix string) *llmprovider.Error {
	return &llmprovider.Error{
		Status: http.StatusNotFound, Type: llmprovider.TypeInvalidRequest, Code: "unsupported_endpoint",
		Message: "the provider's path does not end in " + llmprovider.MessagesSuffix + ", so the place of its " + suffix + " endpoint is not known",
	}
}

// setVersion names the version of the API where neither the client nor the
// configuration does.
func setVersion(header http.Header) {
	if len(header[versionHeader]) == 0 {
		header[versionHeader] = defaultVersions
	}
}

// Has implements llmprovider.Provider.
func (p *Provider) Has(e llmprovider.Endpoint) bool {
	target := p.urls[e.Suffix]
	if e.Operation == llmprovider.ListModels {
		target = p.urls[llmprovider.ModelsSuffix]
	}
	return target != nil && strings.TrimSuffix(target.EscapedPath(), "/") == e.Own
}

// ModelsRequest implements llmprovider.ModelLister.
func (p *Provider) ModelsRequest(ctx context.Context, loop []string) (*http.Request, *llmprovider.Error) {
	target := p.urls[llmprovider.ModelsSuffix]
	if target == nil {
		return nil, unplaced(llmprovider.ModelsSuffix)
	}
	all := *target
	if query := all.Query(); !query.Has("limit") {
		query.Set("limit", "1000") // the most: https://docs.anthropic.com/en/api/models-list
		all.RawQuery = query.Encode()
	}
	r, refused := p.Get(ctx, &all, p.For("").Auth, loop)
	if refused == nil {
		setVersion(r.Header)
	}
	return r, refused
}
