// Package kind is what kinds of providers share: where a provider is, the model and the
// key for each rule, and the options of its block in a Caddyfile. A kind is a Caddy
// module llm.providers.NAME whose type embeds Base; it may be part of another Go
// module. This package imports llmprovider. Start at Base and Traits, then read
// llmprovider/openai for an example.
package kind

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"sync"

	"github.com/caddyserver/caddy/v2"

	"github.com/caddy-llm/gateway/internal/options"
	"github.com/caddy-llm/gateway/llmprovider"
	"github.com/caddy-llm/gateway/llmprovider/dialect"
	"github.com/caddy-llm/gateway/llmprovider/upstream"
)

// Namespace is the namespace of the modules that are kinds.
const Namespace = "llm.providers"

// Default is the name of the kind of a provider that names none.
const Default = "openai"

// Kind is a provider whose type embeds Base. Every source of configuration can set one
// up: a Caddyfile, JSON and manifests.
type Kind interface {
	llmprovider.Provider

	// Traits says how the kind differs from others. It may be called before Provision.
	Traits() Traits

	base() *Base
}

// Traits are what differs between kinds.
type Traits struct {
	// Host is the host that the kind implies. Empty: the configuration must name one,
	// and in a Caddyfile the provider's name is its host.
	Host string

	// Endpoint names the endpoint that Path is the path of, such as "chat completions".
	Endpoint string

	// DefaultPath is the path where none is configured.
	DefaultPath string

	// KeyHeader is the header that the API key is sent in, such as "Authorization",
	// and KeyPrefix what stands before the key, such as "Bearer ".
	KeyHeader, KeyPrefix string

	// TakesMaxTokens reports whether the kind has the setting max_tokens.
	TakesMaxTokens bool

	// APIs are the names of further APIs that a provider of the kind may have.
	APIs []string

	// FetchesMedia reports whether the kind has the setting fetch_media: its API takes
	// images and documents as data alone.
	FetchesMedia bool

	// Options are the kind's own options in a Caddyfile.
	Options []Option

	// Check reports what is wrong with the kind's own settings, if anything, when all
	// are read. Nil for nothing.
	Check func() error

	// ManifestField is the field of an LLMProvider's configs that is for this kind,
	// such as "openAIConfig". Empty: manifests cannot have the kind.
	ManifestField string

	// ManifestOptions are the kind's own fields in ManifestField: by name, pointers to
	// what they set. A manifest's values are taken as they are, and never expanded. For
	// a reference to a Secret it is a pointer to a *upstream.Secret, for kinds of the
	// gateway itself.
	ManifestOptions map[string]any

	// AmbientHosts are the hosts that a manifest may name for a provider that is sent the
	// gateway's own credential, as patterns of path.Match; see Ambient. They are those of
	// the service alone: another one of the same cloud could be made to do more with the
	// credential.
	AmbientHosts []string
}

// Ambient is a Kind whose providers may be sent a credential of the gateway's own
// surroundings, such as that of the machine. Manifests need permission for it.
type Ambient interface {
	// UsesAmbient reports whether that is so with the configuration as it is, before it
	// is provisioned. Requests with an API key are left out of account.
	UsesAmbient() bool
}

// Option is an option of a Caddyfile.
type Option = options.Option

// Base is what kinds share. Its Provision is called from the kind's own, its Cleanup is
// the kind's.
type Base struct {
	upstream.Connection

	// The path of the provider's main endpoint: with kind `openai` that of chat
	// completions, by default `/v1/chat/completions`; with kind `anthropic` that of
	// messages, by default `/v1/messages`; with kind `gemini` that of the API's version,
	// by default `/v1beta`, below which all endpoints are. A query in it is kept; the
	// client's path and query are not sent. The provider's other endpoints are reached
	// at the same path with its end replaced. With kind `openai`, a path that ends in the
	// name of another endpoint, such as `/v1/embeddings`, is that endpoint's, and the
	// provider has no other.
	Path string `json:"path,omitempty"`

	// What is filled into each request.
	Config Config `json:"config,omitzero"`

	// What is filled in instead for requests that matched the rule of that
	// name, which cannot be empty. What an entry leaves unset is taken from
	// `config`.
	Rules map[string]Config `json:"rules,omitempty"`

	// Further APIs that the provider has, by name. Requests in one of them pass as they
	// are; those in other APIs are translated. With the kinds `openai` and `azure`:
	// `messages`, which is Anthropic's, and `responses`; with kind `bedrock` these and
	// `chat`.
	APIs map[string]API `json:"apis,omitempty"`

	// The vendor whose habits requests are translated for, where a client speaks
	// another API: its limits, and what it calls things. One of the names in the
	// table of profiles, such as `deepseek`, or `none`. The table is the gateway's own, or
	// the file that the app's `profiles` names. Default: by host.
	Profile string `json:"profile,omitempty"`

	// If set, images and documents that clients of other APIs give as URLs are fetched and
	// sent as data, with the kinds `gemini`, `vertex` and `bedrock`, whose APIs take no
	// URLs. Default: such requests are refused.
	FetchMedia *FetchMedia `json:"fetch_media,omitempty"`

	// The names of the llm app's guards for all requests that may be sent to the provider: those
	// of rules that have it as a backend, whichever backend a request is sent to. They come after
	// the rule's and the virtual key's. Default: none.
	Guards []string `json:"guards,omitempty"`

	// The names of the llm app's prompts for these requests. Default: none.
	Prompts []string `json:"prompts,omitempty"`

	// Account is the credential of requests for which there is no key, such as that of a
	// cloud's account. A kind sets it before Provision.
	Account llmprovider.Authorizer `json:"-"`

	ready *ready
}

// Config is what a provider fills into a request. What is unset leaves the
// client's value; an empty model or key takes back one that is set above it.
type Config struct {
	// The model to ask for, whatever the client asked for.
	Model *string `json:"model,omitempty"`

	// Whether to stream the response, whatever the client asked for.
	Stream *bool `json:"stream,omitempty"`

	// The API key. It must be a reference: `{env.NAME}` or `{file.PATH}`. A file is
	// read again when it changes. Kind `openai` sends it as `Authorization: Bearer`, kind
	// `anthropic` as `x-api-key`, kind `gemini` as `x-goog-api-key`.
	APIKey *string `json:"api_key,omitempty"`

	// The most tokens to ask for where the provider's API needs a number and the
	// client's does not, with kind `anthropic`: a client of OpenAI's API may leave it
	// out. Default: 8192.
	MaxTokens *int `json:"max_tokens,omitempty"`

	// Key is the API key, set instead of APIKey by sources that hold it.
	Key *upstream.Secret `json:"-"`
}

// FilterNames implements llmprovider.Filtered.
func (b *Base) FilterNames() (guards, prompts []string) { return b.Guards, b.Prompts }

// BaseOf returns the part of the provider that all kinds share. It reports whether the
// provider has it.
func BaseOf(p llmprovider.Provider) (*Base, bool) {
	k, ok := p.(Kind)
	if !ok {
		return nil, false
	}
	return k.base(), true
}

// New returns an empty provider of a kind. The error lists the kinds of this build.
func New(name string) (caddy.Module, error) {
	info, err := caddy.GetModule(Namespace + "." + name)
	if err != nil || name == "" {
		return nil, fmt.Errorf("unknown kind %s; this build has: %s", options.Quoted(name), options.ModuleNames(Namespace))
	}
	return info.New(), nil
}

// ByManifestField returns the names of the kinds that manifests can have, by the fields
// that are for them. It is the same map each time, and is not changed.
var ByManifestField = sync.OnceValue(byManifestField) // modules are registered at init

func byManifestField() map[string]string {
	out := make(map[string]string)
	for _, info := range caddy.GetModules(Namespace) {
		if k, ok := info.New().(Kind); ok && k.Traits().ManifestField != "" {
			out[k.Traits().ManifestField] = info.ID.Name()
		}
	}
	return out
}

func (b *Base) base() *Base { return b }

// Unprovisioned returns the configuration alone.
func (b *Base) Unprovisioned() Base {
	out := *b
	out.Connection, out.Account, out.ready = b.Connection.Unprovisioned(), nil, nil
	return out
}

// CheckProfile reports what is wrong with the name of a profile of the built-in table.
func CheckProfile(name string) error {
	_, err := dialect.Builtin().Find(name, "")
	return err
}

// Profiles returns the names of the profiles of the built-in table.
func Profiles() []string { return dialect.Builtin().Names() }

// ProfileOf returns what is known of the provider's habits with a model.
func (b *Base) ProfileOf(model string) *dialect.Profile { return b.ready.habits.For(model) }

// ModelsRequest implements llmprovider.ModelLister for kinds that have ModelLists.
func (b *Base) ModelsRequest(ctx context.Context, u *url.URL, loop []string) (*http.Request, *llmprovider.Error) {
	return b.Get(ctx, u, b.For("").Auth, loop)
}

// ConfiguredModels implements llmprovider.Provider.
func (b *Base) ConfiguredModels() []string {
	names := make(map[string]bool)
	for _, f := range append(slices.Collect(maps.Values(b.ready.rules)), b.ready.base) {
		if f.Model != nil {
			names[f.Model.Name] = true
		}
	}
	return slices.Sorted(maps.Keys(names))
}

// CheckCredentials implements llmprovider.Provider.
func (b *Base) CheckCredentials() error {
	errs := []error{b.CheckHeaders()}
	if b.ready.base.Auth != nil {
		errs = append(errs, b.ready.base.Auth.Check())
	}
	for _, f := range b.ready.rules {
		if f.Auth != nil && f.Auth != b.ready.base.Auth {
			errs = append(errs, f.Auth.Check())
		}
	}
	return errors.Join(errs...)
}

// CredentialRef implements llmprovider.Provider.
func (b *Base) CredentialRef(rule string) string {
	if auth := b.For(rule).Auth; auth != nil {
		return auth.Ref()
	}
	return ""
}

// Interface guards
var _ interface{ base() *Base } = (*Base)(nil)
