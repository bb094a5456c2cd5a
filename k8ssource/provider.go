package k8ssource

import (
	"errors"
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/caddyserver/caddy/v2"

	"github.com/caddy-llm/gateway/k8ssource/api/v1beta1"
	"github.com/caddy-llm/gateway/llmprovider"
	"github.com/caddy-llm/gateway/llmprovider/openai"
)

// maxTimeout bounds a provider's time limits.
const maxTimeout = 24 * time.Hour

// providerBuilder turns one LLMProvider into a configuration, and collects what
// is wrong with it.
type providerBuilder struct {
	t      *translation
	object *v1beta1.LLMProvider
	out    *openai.Provider
	faults []Fault
	// secrets are those that were looked for, nil where there was none.
	secrets map[string]*Item[Secret]
}

// build fills in the configuration that the object describes. It is complete only
// if no fault refuses it.
func (b *providerBuilder) build() {
	b.address()
	b.tls()
	b.timeouts()
	b.headers()
	b.configs()
}

func (b *providerBuilder) fault(reason, format string, args ...any) {
	b.faults = append(b.faults, *faultf(reason, format, args...))
}

func (b *providerBuilder) address() {
	spec := &b.object.Spec
	b.out.Host = canonicalHost(string(spec.Host))
	if err := checkHost(string(spec.Host)); err != nil {
		b.fault(ReasonInvalidField, "spec.host: %s", err)
	}
	if len(spec.Path) > maxPath {
		b.fault(ReasonInvalidField, "spec.path: "+tooLong, maxPath)
	} else if spec.Path != "" {
		if _, err := llmprovider.ParsePath(spec.Path); err != nil {
			b.fault(ReasonInvalidField, "spec.path: %s; write one such as %s", err, llmprovider.DefaultPath)
		}
		b.out.Path = spec.Path
	}
	switch spec.Scheme {
	case "", "https", "http":
		b.out.Scheme = spec.Scheme
	default:
		b.fault(ReasonInvalidField, "spec.scheme: this is not supported; write https or http")
	}
	if spec.Port < 0 || spec.Port > 65535 {
		b.fault(ReasonInvalidField, "spec.port: this is no port; write 1 to 65535")
	}
	b.out.Port = int(spec.Port)
	if !b.t.options.AllowAnyHost {
		b.out.Guarded = true
		if what := llmprovider.InternalHost(b.out.Host, b.out.Port); what != "" {
			b.fault(ReasonHostNotAllowed, "spec.host: this is %s, which manifests may not name; write the provider's own address", what)
		}
	}
}

// checkHost tells what is wrong with the host of a provider, if anything.
func checkHost(host string) error {
	if len(host) > maxHost {
		return fmt.Errorf(tooLong, maxHost)
	}
	if err := llmprovider.CheckHost(host); err != nil {
		return err
	}
	// Some resolvers read 0x7f.1 or 2130706433 as an address.
	canonical := canonicalHost(host)
	last := canonical[strings.LastIndexByte(canonical, '.')+1:]
	if _, err := netip.ParseAddr(canonical); err != nil && (isNumber(last) || strings.HasPrefix(last, "0x")) {
		return errors.New("the host is neither a DNS name nor an IP address")
	}
	return nil
}

func isNumber(s string) bool {
	return s != "" && strings.Trim(s, "0123456789") == ""
}

func (b *providerBuilder) timeouts() {
	limits := b.object.Spec.Timeouts
	if limits == nil {
		return
	}
	for _, limit := range []struct {
		name  string
		value v1beta1.Duration
		to    *caddy.Duration
	}{
		{"connect", limits.Connect, &b.out.DialTimeout},
		{"firstByte", limits.FirstByte, &b.out.FirstByteTimeout},
		{"idle", limits.Idle, &b.out.IdleTimeout},
	} {
		if limit.value == "" {
			continue
		}
		d, err := time.ParseDuration(string(limit.value))
		if err != nil || d <= 0 || d > maxTimeout {
			b.fault(ReasonInvalidField, "spec.timeouts.%s: this is not a duration above zero and up to 24h; write one such as 30s or 10m", limit.name)
			continue
		}
		*limit.to = caddy.Duration(d)
	}
}

// configs fills in the default settings and those of rules.
func (b *providerBuilder) configs() {
	configs := b.object.Spec.Configs
	if configs == nil {
		return
	}
	if c := configs.DefaultConfig; c != nil && c.OpenAIConfig != nil {
		b.out.Config = b.modelConfig("spec.configs.defaultConfig.openAIConfig", c.OpenAIConfig)
	}
	if len(configs.RouteSpecificConfigs) > maxRuleConfigs {
		b.fault(ReasonInvalidField, "spec.configs.routeSpecificConfigs: "+tooMany, maxRuleConfigs)
	}
	for _, rule := range slices.Sorted(maps.Keys(configs.RouteSpecificConfigs)) {
		config := openai.ModelConfig{}
		if c := configs.RouteSpecificConfigs[rule].OpenAIConfig; c != nil {
			config = b.modelConfig("spec.configs.routeSpecificConfigs["+shownName(rule)+"].openAIConfig", c)
		}
		if b.out.Rules == nil {
			b.out.Rules = make(map[string]openai.ModelConfig, len(configs.RouteSpecificConfigs))
		}
		b.out.Rules[rule] = config
	}
}

func (b *providerBuilder) modelConfig(path string, c *v1beta1.OpenAIConfig) openai.ModelConfig {
	out := openai.ModelConfig{Model: c.Model, Stream: c.Stream}
	switch {
	case c.APIKey != nil && c.APIKeySecretRef != nil:
		b.fault(ReasonInvalidKey, "%s: apiKey and apiKeySecretRef are both set; keep one of them", path)
	case c.APIKey != nil && strings.TrimSpace(*c.APIKey) == "":
		none := ""
		out.APIKey = &none // takes back the key of the default
	case c.APIKey != nil && len(*c.APIKey) > maxInlineKey:
		b.fault(ReasonInvalidKey, "%s.apiKey: "+tooLong, path, maxInlineKey)
	case c.APIKey != nil:
		out.Key = b.key(path+".apiKey", *c.APIKey, "write the API key itself, or name a Secret with apiKeySecretRef")
	case c.APIKeySecretRef != nil:
		value, ok := b.secretValue(path+".apiKeySecretRef", c.APIKeySecretRef, "")
		if ok {
			out.Key = b.key(path+".apiKeySecretRef", value, "write the API key itself into Secret "+b.object.Namespace+"/"+c.APIKeySecretRef.Name)
		}
	}
	return out
}
