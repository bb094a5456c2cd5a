package provider

import (
	"strings"
	"time"

	"github.com/caddyserver/caddy/v2"

	"github.com/caddy-llm/gateway/k8ssource/api/v1beta1"
	"github.com/caddy-llm/gateway/k8ssource/object"
	"github.com/caddy-llm/gateway/llmprovider"
	"github.com/caddy-llm/gateway/llmprovider/kind"
	"github.com/caddy-llm/gateway/llmprovider/upstream"
)

// Input is what an LLMProvider is built from, beside the object itself.
type Input struct {
	Secrets object.Secrets
	// Kinds are the kinds of providers by their fields in spec.configs.
	Kinds map[string]string
	// Pool is the InferencePool that the object is for, nil without one, and Picker the
	// configuration of its endpoint picker, empty without one.
	Pool   *object.Item[object.InferencePool]
	Picker string

	// AllowAnyHost lets the provider be at addresses that are refused otherwise.
	AllowAnyHost bool
	// AmbientCredentials are the namespaces whose objects may be sent the gateway's own
	// credentials of a cloud.
	AmbientCredentials []string
}

// Built is what was made of an LLMProvider. The configuration is complete only if no
// fault refuses it.
type Built struct {
	Config llmprovider.Provider
	Faults []object.Fault
	// Secrets are the Secrets that were looked for, nil where there was none.
	Secrets map[string]*object.Item[object.Secret]
}

// Build makes the configuration that an LLMProvider describes.
func Build(p *v1beta1.LLMProvider, in *Input) *Built {
	b := &builder{in: in, object: p, secrets: make(map[string]*object.Item[object.Secret])}
	b.build()
	return &Built{b.out, b.faults, b.secrets}
}

// builder turns one LLMProvider into a configuration, and collects what
// is wrong with it.
type builder struct {
	in     *Input
	object *v1beta1.LLMProvider
	out    llmprovider.Provider
	base   *kind.Base // of out
	field  string     // of the configs, for its kind
	traits kind.Traits
	// keyHeader is the header that the kind sends the key in, in canonical form.
	keyHeader string
	faults    []object.Fault
	// secrets are those that were looked for, nil where there was none.
	secrets map[string]*object.Item[object.Secret]
}

// build fills in the configuration that the object describes. It is complete only
// if no fault refuses it.
func (b *builder) build() {
	b.kind()
	b.address()
	b.tls()
	b.timeouts()
	b.headers()
	b.configs()
	b.apis()
	b.fetchMedia()
	b.ownSettings()
}

func (b *builder) fault(reason, format string, args ...any) {
	b.faults = append(b.faults, *object.Faultf(reason, format, args...))
}

func (b *builder) address() {
	spec := &b.object.Spec
	b.base.Host = object.CanonicalHost(string(spec.Host))
	if err := object.CheckHost(string(spec.Host)); err != nil && spec.Pool == nil {
		b.fault(object.ReasonInvalidField, "spec.host: %s", err)
	}
	if len(spec.Path) > object.MaxPath {
		b.fault(object.ReasonInvalidField, "spec.path: "+object.TooLong, object.MaxPath)
	} else if spec.Path != "" {
		if _, err := upstream.ParsePath(spec.Path); err != nil {
			b.fault(object.ReasonInvalidField, "spec.path: %s; write one such as %s", err, upstream.DefaultPath)
		}
		b.base.Path = spec.Path
	}
	if err := kind.CheckProfile(spec.Profile); err != nil {
		b.fault(object.ReasonInvalidField, "spec.profile: this profile is not known; write %s, or none", strings.Join(kind.Profiles(), ", "))
	}
	b.base.Profile = spec.Profile
	switch spec.Scheme {
	case "", "https", "http":
		b.base.Scheme = spec.Scheme
	default:
		b.fault(object.ReasonInvalidField, "spec.scheme: this is not supported; write https or http")
	}
	if spec.Port < 0 || spec.Port > 65535 {
		b.fault(object.ReasonInvalidField, "spec.port: this is not a port; write 1 to 65535")
	}
	b.base.Port = int(spec.Port)
	if spec.Pool != nil {
		b.pool()
	}
	if !b.in.AllowAnyHost {
		b.base.Guarded = true
		if what := upstream.InternalHost(b.base.Host, b.base.Port); what != "" {
			b.fault(object.ReasonHostNotAllowed, "spec.host: this is %s, which manifests may not name; write the provider's own address", what)
		}
	}
}

func (b *builder) timeouts() {
	limits := b.object.Spec.Timeouts
	if limits == nil {
		return
	}
	for _, limit := range []struct {
		name  string
		value v1beta1.Duration
		to    *caddy.Duration
	}{
		{"connect", limits.Connect, &b.base.DialTimeout},
		{"firstByte", limits.FirstByte, &b.base.FirstByteTimeout},
		{"idle", limits.Idle, &b.base.IdleTimeout},
	} {
		if limit.value == "" {
			continue
		}
		d, err := time.ParseDuration(string(limit.value))
		if err != nil || d <= 0 || d > object.MaxTimeout {
			b.fault(object.ReasonInvalidField, "spec.timeouts.%s: this is not a duration above zero and up to 24h; write one such as 30s or 10m", limit.name)
			continue
		}
		*limit.to = caddy.Duration(d)
	}
}
