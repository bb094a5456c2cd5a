package openai

import (
	"context"
	"encoding/json"
	"net/http"
	"strings"

	"github.com/caddy-llm/gateway/llmprovider"
)

// RequestModel implements llmprovider.Provider.
func (p *Provider) RequestModel(in *llmprovider.Inbound, rule string) (model string, fixed bool) {
	if in.Endpoint.TakesModel() {
		if f := p.ready.forRule(rule); f.model != "" {
			return f.model, true
		}
	}
	return in.Model, false
}

// NewAttempt implements llmprovider.Provider.
func (p *Provider) NewAttempt(ctx context.Context, in *llmprovider.Inbound, rule string) (*llmprovider.Attempt, *llmprovider.Error) {
	target := p.ready.urls[in.Endpoint.Suffix]
	if target == nil {
		return nil, p.unplaced(in.Endpoint.Suffix)
	}
	f := p.ready.forRule(rule)
	out := llmprovider.Outgoing{URL: target, Stream: in.Stream, Auth: f.auth}
	out.Model, out.FixedModel = p.RequestModel(in, rule)
	p.edit(in, f, &out)
	return p.Connection.NewAttempt(ctx, in, &out)
}

// unplaced is the error for an endpoint that the provider's path says nothing of.
func (p *Provider) unplaced(suffix string) *llmprovider.Error {
	message := "the provider's path does not end in " + llmprovider.ChatSuffix + ", so the place of its " + suffix + " endpoint is not known"
	if suffix == "" {
		message = "the provider's path is that of another endpoint, so the place of its chat completions is not known"
	}
	return &llmprovider.Error{Status: http.StatusNotFound, Type: llmprovider.TypeInvalidRequest, Code: "unsupported_endpoint", Message: message}
}

// edit works out what the configuration changes in the body.
func (p *Provider) edit(in *llmprovider.Inbound, f *filled, out *llmprovider.Outgoing) {
	if !in.IsJSON() {
		return
	}
	e := &out.Edits
	if in.Endpoint.Model != "" { // the body may name another one, which nothing has judged
		e.Model, _ = json.Marshal(in.Endpoint.Model) // a string always marshals
	}
	if in.Endpoint.TakesModel() && f.modelJSON != nil {
		e.Model = f.modelJSON
	}
	if !in.Endpoint.TakesStream() {
		return
	}
	if e.Stream = f.streamJSON; f.stream != nil {
		out.Stream = *f.stream
	}
	switch {
	case in.Stream && !out.Stream:
		e.DropOptions, out.StreamForced = true, true
	case out.Stream && in.Endpoint.AsksStreamUsage() && !p.KeepStreamOptions && !in.AsksUsage():
		e.IncludeUsage, out.HideUsage = true, true
	}
}

// Has implements llmprovider.Provider.
func (p *Provider) Has(e llmprovider.Endpoint) bool {
	target := p.ready.urls[e.Suffix]
	if e.Operation == llmprovider.ListModels {
		target = p.ready.urls[llmprovider.ModelsSuffix]
	}
	return target != nil && strings.TrimSuffix(target.EscapedPath(), "/") == e.Own
}

// ModelsRequest implements llmprovider.Provider.
func (p *Provider) ModelsRequest(ctx context.Context, loop []string) (*http.Request, *llmprovider.Error) {
	target := p.ready.urls[llmprovider.ModelsSuffix]
	if target == nil {
		return nil, p.unplaced(llmprovider.ModelsSuffix)
	}
	return p.Get(ctx, target, p.ready.base.auth, loop)
}
