package llmprovider

import (
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp/reverseproxy"
)

func init() {
	caddy.RegisterModule(OpenAI{})
}

const (
	// DefaultPath is the chat completions endpoint unless configured.
	DefaultPath = "/v1/chat/completions"

	defaultFirstByte = 10 * time.Minute
	defaultIdle      = 5 * time.Minute
)

// OpenAI is a provider with an OpenAI-compatible API. It fills in the path, the
// model and the key of a request, and leaves everything else as the client sent
// it.
type OpenAI struct {
	// The provider's DNS name or IP address, without port. It is also a name
	// that clients may call. Required.
	Host string `json:"host,omitempty"`

	// How the provider is reached: `https` or `http`. Default: `https`.
	Scheme string `json:"scheme,omitempty"`

	// The provider's TCP port. Default: 443 with https, 80 with http.
	Port int `json:"port,omitempty"`

	// The path of the provider's chat completions endpoint. A query in it is
	// kept; the client's path and query are not sent. The other OpenAI endpoints
	// are reached at the same path with `/chat/completions` replaced. Default:
	// `/v1/chat/completions`.
	Path string `json:"path,omitempty"`

	// What is filled into each request.
	Config ModelConfig `json:"config,omitzero"`

	// What is filled in instead for requests that matched the rule of that
	// name. What an entry leaves unset is taken from `config`.
	Rules map[string]ModelConfig `json:"rules,omitempty"`

	// Headers that are added to each request, or replace the client's. A value
	// may hold `{env.NAME}` and `{file.PATH}`; one whose name tells of a
	// credential must be such a reference.
	Headers map[string]string `json:"headers,omitempty"`

	// Client headers to send to the provider that would otherwise be withheld:
	// credentials (`Authorization`, `Cookie`, `X-Api-Key`…), `X-Forwarded-*` and
	// the like, and those of traces such as `Traceparent`. `Authorization` is
	// replaced all the same when there is a key, and the headers of traces by the
	// attempt's own when the request is traced.
	ForwardHeaders []string `json:"forward_headers,omitempty"`

	// Whether to leave `stream_options` as the client sent it. By default the
	// gateway asks for the usage of every stream, and hides the chunk that
	// carries it from a client that did not ask.
	KeepStreamOptions bool `json:"keep_stream_options,omitempty"`

	// How long connecting may take, TLS included.
	// Default: 3s.
	DialTimeout caddy.Duration `json:"dial_timeout,omitempty"`

	// How long the provider may take to begin its answer. Answers that are not
	// streamed begin when they are complete. Default: 10m.
	FirstByteTimeout caddy.Duration `json:"first_byte_timeout,omitempty"`

	// How long the provider may be silent inside an answer. Default: 5m.
	IdleTimeout caddy.Duration `json:"idle_timeout,omitempty"`

	// TLS and connection settings, those of Caddy's
	// [HTTP transport](/docs/json/apps/http/servers/routes/handle/reverse_proxy/transport/http/).
	// Connections are shared by providers with the same settings, and survive a
	// reload.
	Transport *reverseproxy.HTTPTransport `json:"transport,omitempty"`

	// FixedHeaders are headers whose values are taken as they are. Sources that
	// read values themselves set it instead of Headers.
	FixedHeaders map[string]string `json:"-"`

	// Guarded refuses connections to what Internal knows, whatever the host's name
	// stands for, and has Caddy's admin endpoint refuse what it is sent, wherever it is.
	// Sources set it, whose writers may not read the gateway's secrets or configure it.
	Guarded bool `json:"-"`

	ready *openAIReady
}

// ModelConfig is what a provider fills into a request. What is unset leaves the
// client's value; an empty model or key takes back one that is set above it.
type ModelConfig struct {
	// The model to ask for, whatever the client asked for.
	Model *string `json:"model,omitempty"`

	// Whether to stream the answer, whatever the client asked for.
	Stream *bool `json:"stream,omitempty"`

	// The API key, sent as `Authorization: Bearer`. It must be a reference:
	// `{env.NAME}` or `{file.PATH}`. A file is read again when it changes.
	APIKey *string `json:"api_key,omitempty"`

	// Key is the API key, set instead of APIKey by sources that hold it.
	Key *Secret `json:"-"`
}

// CaddyModule returns the Caddy module information.
func (OpenAI) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{
		ID:  "llm.providers.openai",
		New: func() caddy.Module { return new(OpenAI) },
	}
}

// ServerAddress implements Provider.
func (p *OpenAI) ServerAddress() string { return strings.ToLower(p.Host) }

// Timeouts implements Provider.
func (p *OpenAI) Timeouts() Timeouts { return p.ready.timeouts }

// RoundTrip implements Provider.
func (p *OpenAI) RoundTrip(r *http.Request) (*http.Response, error) {
	res, err := p.ready.transport.RoundTrip(r)
	if err == nil && res.StatusCode < http.StatusOK {
		// net/http lets a 101 through, and three digits that are no status. Written
		// to the client, the one takes over its connection and the other panics.
		_ = res.Body.Close()
		return nil, fmt.Errorf("the provider answered with status %03d, which is not a final one", res.StatusCode)
	}
	return res, err
}

// ConfiguredModels implements Provider.
func (p *OpenAI) ConfiguredModels() []string {
	var models []string
	if p.ready.base.model != "" {
		models = append(models, p.ready.base.model)
	}
	for _, f := range p.ready.rules {
		if f.model != "" {
			models = append(models, f.model)
		}
	}
	slices.Sort(models)
	return slices.Compact(models)
}

// CheckCredentials implements Provider.
func (p *OpenAI) CheckCredentials() error {
	var errs []error
	check := func(s *Secret) {
		if _, err := s.Value(); err != nil {
			errs = append(errs, err)
		}
	}
	for _, h := range p.ready.secrets {
		check(h.value)
	}
	if p.ready.base.key != nil {
		check(p.ready.base.key)
	}
	for _, f := range p.ready.rules {
		if f.key != nil && f.key != p.ready.base.key {
			check(f.key)
		}
	}
	return errors.Join(errs...)
}

// CredentialRef implements Provider.
func (p *OpenAI) CredentialRef(rule string) string { return p.ready.forRule(rule).keyRef }

// Copy implements Provider.
func (p *OpenAI) Copy() Provider {
	out := *p
	out.ready = nil
	return &out
}

func (r *openAIReady) forRule(rule string) *filled {
	if f := r.rules[rule]; f != nil {
		return f
	}
	return r.base
}

// Interface guards
var (
	_ Provider           = (*OpenAI)(nil)
	_ caddy.Provisioner  = (*OpenAI)(nil)
	_ caddy.CleanerUpper = (*OpenAI)(nil)
)
