package google

import (
	"context"
	"net/http"

	"github.com/caddy-llm/gateway/llmprovider"
	"github.com/caddy-llm/gateway/llmprovider/dialect"
	"github.com/caddy-llm/gateway/llmprovider/dialect/embeddings"
	"github.com/caddy-llm/gateway/llmprovider/dialect/gemini"
	"github.com/caddy-llm/gateway/llmprovider/translate"
)

const generateSuffix = ":generateContent"

// NewAttempt implements llmprovider.Provider.
func (g *Gemini) NewAttempt(ctx context.Context, in *llmprovider.Inbound, s llmprovider.Settings) (*llmprovider.Attempt, *llmprovider.Error) {
	out := g.Outgoing(in, s)
	if in.Endpoint.API != llmprovider.GeminiAPI {
		api := gemini.API
		if in.Endpoint.Operation == llmprovider.Embeddings {
			api = embeddings.Gemini
		}
		if refused := translate.Request(in, s, &translate.Target{
			API: api, Base: g.root, Profile: g.ProfileOf(out.Model), Vendor: gemini.Vendor,
		}, &out); refused != nil {
			return nil, refused
		}
		return g.Connection.NewAttempt(ctx, in, &out)
	}
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
	out.URL = llmprovider.Below(g.root, dialect.GoogleModel(out.Model)+suffix, query)
	if in.Endpoint.Operation != llmprovider.Embeddings {
		count := in.Endpoint.Operation == llmprovider.CountTokens
		out.NewReader = func(*http.Response, bool) llmprovider.Reader { return dialect.NewWatch(gemini.API, count) }
	}
	return g.Connection.NewAttempt(ctx, in, &out)
}

// Has implements llmprovider.Provider. All paths of the API are endpoints at any
// provider.
func (g *Gemini) Has(llmprovider.Endpoint) bool { return false }

// ModelsRequest implements llmprovider.ModelLister.
func (g *Gemini) ModelsRequest(ctx context.Context, loop []string) (*http.Request, *llmprovider.Error) {
	all := llmprovider.Below(g.root, llmprovider.ModelsSuffix, "")
	query := all.Query()
	query.Set("pageSize", "1000") // the most: https://ai.google.dev/api/models
	all.RawQuery = query.Encode()
	return g.Get(ctx, all, g.For("").Auth, loop)
}
