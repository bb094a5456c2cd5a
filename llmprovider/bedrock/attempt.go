package bedrock

import (
	"context"
	"encoding/json"
	"net/http"
	"strings"

	"github.com/caddy-llm/gateway/llmprovider"
	"github.com/caddy-llm/gateway/llmprovider/cloud"
	"github.com/caddy-llm/gateway/llmprovider/dialect"
	"github.com/caddy-llm/gateway/llmprovider/dialect/converse"
	"github.com/caddy-llm/gateway/llmprovider/dialect/embeddings"
	"github.com/caddy-llm/gateway/llmprovider/dialect/messages"
	"github.com/caddy-llm/gateway/llmprovider/kind"
	"github.com/caddy-llm/gateway/llmprovider/translate"
)

// ofAnthropic reports whether a model is Anthropic's by its name: anthropic.claude-…,
// with the region of an inference profile before it, or the ARN of one. What an ARN of
// another form stands for is not known, and is asked in Converse, which all models have.
func ofAnthropic(model string) bool {
	name := model[strings.LastIndexByte(model, '/')+1:]
	return strings.HasPrefix(name, "anthropic.") || strings.Contains(name, ".anthropic.")
}

// NewAttempt implements llmprovider.Provider.
func (p *Provider) NewAttempt(ctx context.Context, in *llmprovider.Inbound, s llmprovider.Settings) (*llmprovider.Attempt, *llmprovider.Error) {
	out := p.Outgoing(in, s)
	refused := kind.NeedModel(in.Endpoint.API, out.Model, "the ID of a model")
	if refused != nil {
		return nil, refused
	}
	name, native := p.furtherOf(in.Endpoint, out.Model)
	switch {
	case native != nil:
		p.pass(in, s, name, native, &out)
	case isMantle(p.Host):
		refused = p.toMantle(ctx, in, s, &out)
	case in.Endpoint.Operation == llmprovider.Embeddings:
		refused = p.embed(in, s, &out)
	case ofAnthropic(out.Model) && in.Endpoint.Operation != llmprovider.CountTokens:
		refused = p.message(ctx, in, s, &out)
	default:
		refused = translate.Request(in, s, &translate.Target{
			API: converse.API, Base: p.root, MaxOutput: p.For(s.Rule).MaxTokens, Profile: p.ProfileOf(out.Model), Vendor: vendorOf(out.Model),
			Fetch: p.MediaFetcher(ctx),
		}, &out)
	}
	if refused != nil {
		return nil, refused
	}
	return p.Connection.NewAttempt(ctx, in, &out)
}

// embed makes the request for a model of embeddings, by InvokeModel.
func (p *Provider) embed(in *llmprovider.Inbound, s llmprovider.Settings, out *llmprovider.Outgoing) *llmprovider.Error {
	api := embeddings.Bedrock(out.Model)
	if api == nil {
		return translate.Unsupported(in.Endpoint, converse.API.Name)
	}
	return translate.Request(in, s, &translate.Target{API: api, Base: p.root, Profile: p.ProfileOf(out.Model)}, out)
}

// vendorOf is the origin tag of a model's reasoning: Anthropic's is the same in both APIs.
func vendorOf(model string) string {
	if ofAnthropic(model) {
		return messages.Vendor
	}
	return service
}

// version is what Bedrock has in the body for Anthropic's API:
// https://docs.aws.amazon.com/bedrock/latest/userguide/model-parameters-anthropic-claude-messages.html.
const (
	version     = `"` + cloud.VersionMember + `":"bedrock-2023-05-31"`
	betasMember = "anthropic_beta"
)

// What the body has instead is not sent as headers.
var (
	plainHeader  = http.Header{"Anthropic-Version": nil, "Anthropic-Beta": nil, "Accept": {"application/json"}}
	streamHeader = http.Header{"Anthropic-Version": nil, "Anthropic-Beta": nil, "Accept": {mediaEvents}}
)

// message makes the request for a model of Anthropic's, by InvokeModel.
func (p *Provider) message(ctx context.Context, in *llmprovider.Inbound, s llmprovider.Settings, out *llmprovider.Outgoing) *llmprovider.Error {
	suffix, header := "/invoke", plainHeader
	if out.Stream {
		suffix, header = "/invoke-with-response-stream", streamHeader
	}
	to := llmprovider.Below(p.root, "/model/"+dialect.EscapeModel(out.Model)+suffix, "")
	members := []byte(version)
	if in.Endpoint.API == llmprovider.MessagesAPI {
		out.URL, out.NewReader = to, readMessages
		members = appendBetas(members, p.betas.Of(in.Header["Anthropic-Beta"]))
	} else {
		if refused := translate.Request(in, s, &translate.Target{
			API: messages.API, URL: to, MaxOutput: p.For(s.Rule).MaxTokens, Profile: p.ProfileOf(out.Model), Vendor: messages.Vendor,
			Fetch: p.MediaFetcher(ctx),
		}, out); refused != nil {
			return refused
		}
		translated := out.NewReader
		out.NewReader = func(res *http.Response, events bool) llmprovider.Reader {
			return framed(res, translated(res, events))
		}
	}
	out.Header = header
	return cloud.Envelope(in, out, members, true, cloud.VersionMember, betasMember)
}

// betas are those that Bedrock takes, by the table of AWS's page above and by what
// requests show that it takes today.
var betas = []string{
	"compact", "computer-use", "context-1m", "context-management", "dangerous-tool-use", "dev-full-thinking", "effort", "fine-grained-tool-streaming",
	"interleaved-thinking", "mid-conversation-output-config", "mid-conversation-tool-changes", "output-128k", "thinking-binding-controls",
	"thinking-display-updates", "token-efficient-tools", "tool-examples", "tool-search-tool",
}

// appendBetas adds the betas that the client asks for as a member of the body.
func appendBetas(members []byte, names []string) []byte {
	if len(names) == 0 {
		return members
	}
	list, _ := json.Marshal(names) // strings always marshal
	return append(append(members, `,"`+betasMember+`":`...), list...)
}

// Has implements llmprovider.Provider. All paths of the API are endpoints at any
// provider.
func (p *Provider) Has(llmprovider.Endpoint) bool { return false }
