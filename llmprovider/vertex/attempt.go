package vertex

import (
	"context"
	"encoding/json"
	"net/http"
	"strings"

	"github.com/caddy-llm/gateway/llmprovider"
	"github.com/caddy-llm/gateway/llmprovider/cloud"
	"github.com/caddy-llm/gateway/llmprovider/dialect"
	"github.com/caddy-llm/gateway/llmprovider/dialect/chat"
	"github.com/caddy-llm/gateway/llmprovider/dialect/gemini"
	"github.com/caddy-llm/gateway/llmprovider/dialect/messages"
	"github.com/caddy-llm/gateway/llmprovider/translate"
)

// publisher is who made a model, which decides its API.
type publisher int

const (
	google publisher = iota
	anthropic
	other
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
		return google, name
	case ok && owner == "anthropic":
		return anthropic, name
	case ok && owner == "endpoints": // of a tuned model
		return google, model
	case ok:
		return other, model
	case strings.HasPrefix(model, "claude"):
		return anthropic, model
	}
	return google, model
}

// NewAttempt implements llmprovider.Provider.
func (p *Provider) NewAttempt(ctx context.Context, in *llmprovider.Inbound, s llmprovider.Settings) (*llmprovider.Attempt, *llmprovider.Error) {
	out := p.Outgoing(in, s)
	by, model := publisherOf(out.Model)
	if model != out.Model {
		out.Model = model
		out.Edits.Model, _ = json.Marshal(model) // a string always marshals
	}
	if model == "" {
		return nil, &llmprovider.Error{
			Status: http.StatusBadRequest, Type: llmprovider.TypeInvalidRequest, Code: "model_required", Param: "model", API: in.Endpoint.API,
			Message: "the provider needs the name of a model; send one",
		}
	}
	send := p.chat
	switch by {
	case google:
		send = p.generate
	case anthropic:
		send = p.message
	}
	if refused := send(in, s, &out); refused != nil {
		return nil, refused
	}
	return p.Connection.NewAttempt(ctx, in, &out)
}

// generate makes the request for a model of Google's.
func (p *Provider) generate(in *llmprovider.Inbound, s llmprovider.Settings, out *llmprovider.Outgoing) *llmprovider.Error {
	base := p.google
	if !strings.HasPrefix(out.Model, "endpoints/") {
		base = llmprovider.Below(base, "/publishers/google", "")
	}
	switch {
	case in.Endpoint.Operation == llmprovider.Embeddings && in.Endpoint.Suffix != ":embedContent":
		return translate.Unsupported(in.Endpoint, gemini.API.Name)
	case in.Endpoint.API != llmprovider.GeminiAPI:
		return translate.Request(in, s, &translate.Target{API: gemini.API, Base: base, Profile: p.ProfileOf(out.Model), Vendor: gemini.Vendor}, out)
	}
	out.Edits = llmprovider.Edits{} // the model and the stream are in the path
	suffix, query := in.Endpoint.Suffix, ""
	if in.Endpoint.Operation == llmprovider.Chat {
		if suffix = ":generateContent"; out.Stream {
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
	return nil
}

// version is what Vertex has in the body for Anthropic's API:
// https://docs.anthropic.com/en/api/claude-on-vertex-ai.
const version = `"` + cloud.VersionMember + `":"vertex-2023-10-16"`

// withoutVersion keeps the client's header from being sent, which is in the body.
var withoutVersion, withoutBetas = http.Header{"Anthropic-Version": nil}, http.Header{"Anthropic-Version": nil, "Anthropic-Beta": nil}

// message makes the request for a model of Anthropic's.
func (p *Provider) message(in *llmprovider.Inbound, s llmprovider.Settings, out *llmprovider.Outgoing) *llmprovider.Error {
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
		suffix, out.Header = ":streamRawPredict", withoutVersion
	default:
		out.Header = withoutVersion
	}
	to := llmprovider.Below(p.root, "/publishers/anthropic/models/"+dialect.EscapeModel(model)+suffix, "")
	if in.Endpoint.API != llmprovider.MessagesAPI {
		if refused := translate.Request(in, s, &translate.Target{
			API: messages.API, URL: to, MaxOutput: p.For(s.Rule).MaxTokens, Profile: p.ProfileOf(out.Model), Vendor: messages.Vendor,
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
		if in.Endpoint.Operation == llmprovider.Embeddings {
			return translate.Unsupported(in.Endpoint, chat.API.Name)
		}
		profile := p.ProfileOf(out.Model)
		return translate.Request(in, s, &translate.Target{API: chat.API, URL: to, Profile: profile, Vendor: profile.Vendor}, out)
	}
	out.URL = to
	switch {
	case out.StreamForced:
		out.Edits.DropOptions = true
	case s.WithoutStreamOptions && !in.HasStreamOptions():
	case out.Stream && !in.AsksUsage():
		out.Edits.IncludeUsage, out.HideUsage = true, true
	}
	return nil
}

// Has implements llmprovider.Provider. All paths of the API are endpoints at any
// provider.
func (p *Provider) Has(llmprovider.Endpoint) bool { return false }
