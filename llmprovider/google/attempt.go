package google

import (
	"context"
	"net/http"
	"net/url"

	"github.com/caddy-llm/gateway/llmprovider"
	"github.com/caddy-llm/gateway/llmprovider/dialect"
	"github.com/caddy-llm/gateway/llmprovider/dialect/embeddings"
	"github.com/caddy-llm/gateway/llmprovider/dialect/gemini"
	"github.com/caddy-llm/gateway/llmprovider/kind"
	"github.com/caddy-llm/gateway/llmprovider/translate"
)

const generateSuffix = ":generateContent"

// NewAttempt implements llmprovider.Provider.
func (g *Gemini) NewAttempt(ctx context.Context, in *llmprovider.Inbound, s llmprovider.Settings) (*llmprovider.Attempt, *llmprovider.Error) {
	out := g.Outgoing(in, s)
	if out.Model != "" {
		if refused := kind.NeedModel(in.Endpoint.API, out.Model, "the name of a model"); refused != nil {
			return nil, refused
		}
	}
	if in.Endpoint.API != llmprovider.GeminiAPI {
		api := gemini.API
		if in.Endpoint.Operation == llmprovider.Embeddings {
			api = embeddings.Gemini
		}
		if refused := translate.Request(in, s, &translate.Target{
			API: api, Base: g.root, Profile: g.ProfileOf(out.Model), Vendor: gemini.Vendor, Fetch: g.MediaFetcher(ctx),
		}, &out); refused != nil {
			return nil, refused
		}
		return g.Connection.NewAttempt(ctx, in, &out)
	}
	Pass(in, &out, g.root)
	return g.Connection.NewAttempt(ctx, in, &out)
}

// Pass fills in what is sent of a request in Google's API, which passes as it is. base is
// the URL below which the models are; it is not changed.
func Pass(in *llmprovider.Inbound, out *llmprovider.Outgoing, base *url.URL) {
	out.Edits = llmprovider.Edits{} // the model and the stream are in the path
	suffix, query := in.Endpoint.Suffix, ""
	if in.Endpoint.Operation == llmprovider.Chat {
		if suffix = generateSuffix; out.Stream {
			suffix = llmprovider.StreamSuffix
			if !in.Array {
				query = "alt=sse"
			}
		}
	}
	out.URL = llmprovider.Below(base, dialect.GoogleModel(out.Model)+suffix, query)
	if in.Endpoint.Operation != llmprovider.Embeddings {
		count := in.Endpoint.Operation == llmprovider.CountTokens
		out.NewReader = func(*http.Response, bool) llmprovider.Reader { return dialect.NewWatch(gemini.API, count) }
	}
}

// Has implements llmprovider.Provider. All paths of the API are endpoints at any
// provider.
func (g *Gemini) Has(llmprovider.Endpoint) bool { return false }

// ModelLists implements llmprovider.ModelLister.
func (g *Gemini) ModelLists() ([]*url.URL, *llmprovider.Error) {
	all := llmprovider.Below(g.root, llmprovider.ModelsSuffix, "")
	query := all.Query()
	query.Set("pageSize", "1000") // the most: https://ai.google.dev/api/models
	all.RawQuery = query.Encode()
	return []*url.URL{all}, nil
}
