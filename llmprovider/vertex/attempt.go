package vertex

import (
	"context"
	"encoding/json"
	"net/http"
	"net/url"
	"strings"

	"github.com/caddy-llm/gateway/llmprovider"
	"github.com/caddy-llm/gateway/llmprovider/cloud"
	"github.com/caddy-llm/gateway/llmprovider/dialect"
	"github.com/caddy-llm/gateway/llmprovider/dialect/chat"
	"github.com/caddy-llm/gateway/llmprovider/dialect/embeddings"
	"github.com/caddy-llm/gateway/llmprovider/dialect/gemini"
	"github.com/caddy-llm/gateway/llmprovider/dialect/messages"
	"github.com/caddy-llm/gateway/llmprovider/google"
	"github.com/caddy-llm/gateway/llmprovider/kind"
	"github.com/caddy-llm/gateway/llmprovider/translate"
)

// publisher is who made a model, which decides its API.
type publisher int

const (
	byGoogle publisher = iota
	byAnthropic
	byOther
)

// publisherOf reads a model's name, which may have that of its publisher before it, and
// returns the name as it is sent.
func publisherOf(model string) (publisher, string) {
	if rest, ok := strings.CutPrefix(model, "publishers/"); ok {
		model = strings.Replace(rest, "/models/", "/", 1)
	}
	owner, name, ok := strings.Cut(model, "/")
	switch {
	case ok && owner == "google", ok && owner == "models":
		return byGoogle, name
	case ok && owner == "anthropic":
		return byAnthropic, name
	case ok && owner == "endpoints": // of a tuned model
		return byGoogle, model
	case ok:
		return byOther, model
	case strings.HasPrefix(model, "claude"):
		return byAnthropic, model
	}
	return byGoogle, model
}

// NewAttempt implements llmprovider.Provider.
func (p *Provider) NewAttempt(ctx context.Context, in *llmprovider.Inbound, s llmprovider.Settings) (*llmprovider.Attempt, *llmprovider.Error) {
	out := p.Outgoing(in, s)
	by, model := publisherOf(out.Model)
	if model != out.Model {
		out.Model = model
		out.Edits.Model, _ = json.Marshal(model) // a string always marshals
	}
	if refused := kind.NeedModel(in.Endpoint.API, model, "the name of a model"); refused != nil {
		return nil, refused
	}
	var refused *llmprovider.Error
	switch {
	case in.Endpoint.Operation == llmprovider.Embeddings:
		refused = p.embed(in, s, by, &out)
	case by == byGoogle:
		refused = p.generate(ctx, in, s, &out)
	case by == byAnthropic:
		refused = p.message(ctx, in, s, &out)
	default:
		refused = p.chat(in, s, &out)
	}
	if refused != nil {
		return nil, refused
	}
	return p.Connection.NewAttempt(ctx, in, &out)
}

// generate makes the request for a model of Google's.
func (p *Provider) generate(ctx context.Context, in *llmprovider.Inbound, s llmprovider.Settings, out *llmprovider.Outgoing) *llmprovider.Error {
	base := p.google
	if !strings.HasPrefix(out.Model, "endpoints/") {
		base = llmprovider.Below(base, "/publishers/google", "")
	}
	if in.Endpoint.API != llmprovider.GeminiAPI {
		return translate.Request(in, s, &translate.Target{
			API: gemini.API, Base: base, Profile: p.ProfileOf(out.Model), Vendor: gemini.Vendor, Fetch: p.MediaFetcher(ctx),
		}, out)
	}
	google.Pass(in, out, base)
	return nil
}

// embed makes the request for a model of embeddings. Those of other publishers have
// "maas" in their names where Vertex has the API for them.
func (p *Provider) embed(in *llmprovider.Inbound, s llmprovider.Settings, by publisher, out *llmprovider.Outgoing) *llmprovider.Error {
	model := out.Model
	owner, api := "google", embeddings.Vertex(model)
	if by == byOther && api == embeddings.EmbedContent && strings.Count(model, "/") == 1 {
		owner, model, _ = strings.Cut(model, "/")
	} else if by != byGoogle {
		return translate.Unsupported(in.Endpoint, chat.API.Name)
	}
	base := p.google
	if !strings.HasPrefix(model, "endpoints/") {
		base = llmprovider.Below(base, "/publishers/"+url.PathEscape(owner), "")
	}
	if in.Endpoint.Suffix == ":embedContent" && api == embeddings.EmbedContent {
		out.Model = model
		google.Pass(in, out, base)
		return nil
	}
	path, _ := api.Path(nil, &dialect.Target{Model: model})
	return translate.Request(in, s, &translate.Target{API: api, URL: llmprovider.Below(base, path, ""), Profile: p.ProfileOf(out.Model)}, out)
}

// version is what Vertex has in the body for Anthropic's API:
// https://docs.anthropic.com/en/api/claude-on-vertex-ai.
const version = `"` + cloud.VersionMember + `":"vertex-2023-10-16"`

// withoutVersion keeps the client's header from being sent, which is in the body.
var withoutVersion, withoutBetas = http.Header{"Anthropic-Version": nil}, http.Header{"Anthropic-Version": nil, "Anthropic-Beta": nil}

// betas are those that Vertex takes, by what requests show. Google has no list of them.
var betas = []string{
	"compact", "computer-use", "context-1m", "context-management", "dangerous-tool-use", "interleaved-thinking", "per-turn-control",
	"thinking-binding-controls", "thinking-display-updates", "tool-search-tool", "web-search",
}

// header is what Vertex gets of the client's headers for Anthropic's API.
func (p *Provider) header(in *llmprovider.Inbound) http.Header {
	asked := in.Header["Anthropic-Beta"]
	if len(asked) == 0 {
		return withoutVersion
	}
	taken := p.betas.Of(asked)
	if len(taken) == 0 {
		return withoutBetas
	}
	return http.Header{"Anthropic-Version": nil, "Anthropic-Beta": {strings.Join(taken, ",")}}
}

// message makes the request for a model of Anthropic's.
func (p *Provider) message(ctx context.Context, in *llmprovider.Inbound, s llmprovider.Settings, out *llmprovider.Outgoing) *llmprovider.Error {
	if p.Project == "" {
		return translate.Unsupported(in.Endpoint, gemini.API.Name) // with a key alone
	}
	count := in.Endpoint.Operation == llmprovider.CountTokens
	model, members := out.Model, []byte(version)
	suffix := ":rawPredict"
	switch {
	case count: // the model stays in the body, and betas are not known
		name, _ := json.Marshal(out.Model) // a string always marshals
		members = append(append(members, `,"model":`...), name...)
		model, out.Header = "count-tokens", withoutBetas
	case out.Stream:
		suffix, out.Header = ":streamRawPredict", p.header(in)
	default:
		out.Header = p.header(in)
	}
	to := llmprovider.Below(p.root, "/publishers/anthropic/models/"+dialect.EscapeModel(model)+suffix, "")
	if in.Endpoint.API != llmprovider.MessagesAPI {
		if refused := translate.Request(in, s, &translate.Target{
			API: messages.API, URL: to, MaxOutput: p.For(s.Rule).MaxTokens, Profile: p.ProfileOf(out.Model), Vendor: messages.Vendor,
			Fetch: p.MediaFetcher(ctx),
		}, out); refused != nil {
			return refused
		}
	} else {
		out.URL, out.NewReader = to, cloud.MessagesErrors
	}
	return cloud.Envelope(in, out, members, false, cloud.VersionMember)
}

// chat makes the request for a model of somebody else's.
func (p *Provider) chat(in *llmprovider.Inbound, s llmprovider.Settings, out *llmprovider.Outgoing) *llmprovider.Error {
	if p.Project == "" {
		return translate.Unsupported(in.Endpoint, gemini.API.Name)
	}
	to := llmprovider.Below(p.root, "/endpoints/openapi"+llmprovider.ChatSuffix, "")
	if in.Endpoint.API != llmprovider.OpenAIAPI || in.Endpoint.Operation != llmprovider.Chat {
		return translate.Request(in, s, &translate.Target{API: chat.API, URL: to, Profile: p.ProfileOf(out.Model)}, out)
	}
	out.URL = to
	kind.EditStreamOptions(in, s, out)
	return nil
}

// Has implements llmprovider.Provider. All paths of the API are endpoints at any
// provider.
func (p *Provider) Has(llmprovider.Endpoint) bool { return false }
