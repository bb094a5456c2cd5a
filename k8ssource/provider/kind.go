package provider

import (
	"encoding/json"
	"maps"
	"net/http"
	"slices"
	"strings"

	"github.com/caddy-llm/gateway/k8ssource/api/v1beta1"
	"github.com/caddy-llm/gateway/k8ssource/object"
	"github.com/caddy-llm/gateway/llmprovider/kind"
)

// defaultKindField is the field of a provider's configs that is for the kind of a
// provider without any.
const defaultKindField = "openAIConfig"

// kindConfigs are the settings of a config, which may be nil, by the names of their
// fields. Of a valid one there is one at most.
func kindConfigs(c *v1beta1.ProviderConfig) map[string]v1beta1.KindConfig {
	if c == nil {
		return nil
	}
	out := make(map[string]v1beta1.KindConfig, 1)
	if o := c.OpenAIConfig; o != nil {
		out["openAIConfig"] = v1beta1.KindConfig{Model: o.Model, Stream: o.Stream, APIKey: o.APIKey, APIKeySecretRef: o.APIKeySecretRef}
	}
	if a := c.AnthropicConfig; a != nil {
		out["anthropicConfig"] = v1beta1.KindConfig{Model: a.Model, Stream: a.Stream, APIKey: a.APIKey, APIKeySecretRef: a.APIKeySecretRef, MaxTokens: a.MaxTokens}
	}
	if g := c.GeminiConfig; g != nil {
		out["geminiConfig"] = v1beta1.KindConfig{Model: g.Model, Stream: g.Stream, APIKey: g.APIKey, APIKeySecretRef: g.APIKeySecretRef}
	}
	if a := c.AzureConfig; a != nil {
		out["azureConfig"] = azureConfig(a)
	}
	if a := c.BedrockConfig; a != nil {
		out["bedrockConfig"] = bedrockConfig(a)
	}
	if v := c.VertexConfig; v != nil {
		out["vertexConfig"] = vertexConfig(v)
	}
	maps.Copy(out, c.Others)
	return out
}

// kind finds out of what kind the provider is: the one whose settings it has.
func (b *builder) kind() {
	fields := make(map[string]bool)
	if configs := b.object.Spec.Configs; configs != nil {
		for field := range kindConfigs(configs.DefaultConfig) {
			fields[field] = true
		}
		for _, c := range configs.RouteSpecificConfigs {
			for field := range kindConfigs(&c) {
				fields[field] = true
			}
		}
	}
	field := defaultKindField
	switch found := slices.Sorted(maps.Keys(fields)); {
	case len(found) == 1:
		field = found[0]
	case len(found) > 1:
		field = found[0]
		b.fault(object.ReasonInvalidField, "spec.configs: there are settings for providers of different kinds; keep those of one kind, and create an object for each other")
	}
	module, err := kind.New(b.in.Kinds[field])
	k, ok := module.(kind.Kind)
	if err != nil || !ok {
		b.base = new(kind.Base) // for what is to be said of the rest
		b.fault(object.ReasonInvalidField, "spec.configs: this build has no kind of providers for %s", field)
		return
	}
	b.out, b.field, b.traits = k, field, k.Traits()
	b.base, _ = kind.BaseOf(k)
	b.keyHeader = http.CanonicalHeaderKey(b.traits.KeyHeader)
}

// configs fills in the default settings and those of rules.
func (b *builder) configs() {
	configs := b.object.Spec.Configs
	if configs == nil {
		return
	}
	if c, ok := kindConfigs(configs.DefaultConfig)[b.field]; ok {
		path := "spec.configs.defaultConfig." + b.field
		b.base.Config = b.modelConfig(path, &c)
		b.options(path, c.Options)
		b.secretOptions(path, c.Secrets)
	}
	if len(configs.RouteSpecificConfigs) > object.MaxRuleConfigs {
		b.fault(object.ReasonInvalidField, "spec.configs.routeSpecificConfigs: "+object.TooMany, object.MaxRuleConfigs)
	}
	for _, rule := range slices.Sorted(maps.Keys(configs.RouteSpecificConfigs)) {
		if rule == "" { // rules without a name get the default settings, other namespaces' included
			b.fault(object.ReasonInvalidField, "spec.configs.routeSpecificConfigs: the name of a rule is empty; write the name of an LLMRoute's rule, or move the settings into defaultConfig")
			continue
		}
		config := kind.Config{}
		entry := configs.RouteSpecificConfigs[rule]
		if c, ok := kindConfigs(&entry)[b.field]; ok {
			path := "spec.configs.routeSpecificConfigs[" + object.ShownName(rule) + "]." + b.field
			config = b.modelConfig(path, &c)
			for _, name := range append(slices.Sorted(maps.Keys(c.Options)), slices.Sorted(maps.Keys(c.Secrets))...) {
				b.fault(object.ReasonInvalidField, "%s.%s: this holds for all requests to a provider; write it into defaultConfig", path, object.ShownName(name))
			}
		}
		if b.base.Rules == nil {
			b.base.Rules = make(map[string]kind.Config, len(configs.RouteSpecificConfigs))
		}
		b.base.Rules[rule] = config
	}
}

// options sets the kind's own settings.
func (b *builder) options(path string, options map[string]json.RawMessage) {
	for _, name := range slices.Sorted(maps.Keys(options)) {
		to, ok := b.traits.ManifestOptions[name]
		if !ok {
			continue // an unknown field, which is reported
		}
		if err := json.Unmarshal(options[name], to); err != nil {
			b.fault(object.ReasonInvalidField, "%s.%s: the value does not fit here", path, object.ShownName(name))
		}
	}
}

func (b *builder) modelConfig(path string, c *v1beta1.KindConfig) kind.Config {
	out := kind.Config{Model: c.Model, Stream: c.Stream}
	switch {
	case c.MaxTokens == nil:
	case !b.traits.TakesMaxTokens:
		b.fault(object.ReasonInvalidField, "%s.maxTokens: providers of this kind have no such setting; leave it out", path)
	case *c.MaxTokens < 1:
		b.fault(object.ReasonInvalidField, "%s.maxTokens: this is not positive; write a number of tokens, such as 8192", path)
	default:
		n := int(*c.MaxTokens)
		out.MaxTokens = &n
	}
	switch {
	case c.APIKey != nil && c.APIKeySecretRef != nil:
		b.fault(object.ReasonInvalidKey, "%s: apiKey and apiKeySecretRef are both set; keep one of them", path)
	case c.APIKey != nil && strings.TrimSpace(*c.APIKey) == "":
		none := ""
		out.APIKey = &none // takes back the key of the default
	case c.APIKey != nil && len(*c.APIKey) > object.MaxInlineKey:
		b.fault(object.ReasonInvalidKey, "%s.apiKey: "+object.TooLong, path, object.MaxInlineKey)
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
