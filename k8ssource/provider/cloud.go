package provider

import (
	"encoding/json"
	"maps"
	"path"
	"slices"
	"strings"

	"github.com/caddy-llm/gateway/k8ssource/api/v1beta1"
	"github.com/caddy-llm/gateway/k8ssource/object"
	"github.com/caddy-llm/gateway/llmprovider/kind"
	"github.com/caddy-llm/gateway/llmprovider/upstream"
)

// azureConfig is what the settings for Azure have in common with others, and those of
// its own by the names that they have below the field.
func azureConfig(a *v1beta1.AzureConfig) v1beta1.KindConfig {
	out := v1beta1.KindConfig{Model: a.Model, Stream: a.Stream, APIKey: a.APIKey, APIKeySecretRef: a.APIKeySecretRef}
	own := map[string]string{"apiVersion": a.APIVersion}
	if e := a.Entra; e != nil {
		own["entra"], own["entra.tenantID"], own["entra.clientID"], own["entra.scope"] = "auto", e.TenantID, e.ClientID, e.Scope
		if e.ClientSecretRef != nil {
			out.Secrets = map[string]*v1beta1.SecretKeyRef{"entra.clientSecretRef": e.ClientSecretRef}
		}
	}
	out.Options = textOptions(own)
	return out
}

// vertexConfig is azureConfig for Vertex AI.
func vertexConfig(v *v1beta1.VertexConfig) v1beta1.KindConfig {
	out := v1beta1.KindConfig{Model: v.Model, Stream: v.Stream, APIKey: v.APIKey, APIKeySecretRef: v.APIKeySecretRef, MaxTokens: v.MaxTokens}
	out.Options = textOptions(map[string]string{"project": v.Project, "location": v.Location, "quotaProject": v.QuotaProject})
	if v.CredentialsSecretRef != nil {
		out.Secrets = map[string]*v1beta1.SecretKeyRef{"credentialsSecretRef": v.CredentialsSecretRef}
	}
	return out
}

// bedrockConfig is azureConfig for Amazon Bedrock.
func bedrockConfig(a *v1beta1.BedrockConfig) v1beta1.KindConfig {
	out := v1beta1.KindConfig{Model: a.Model, Stream: a.Stream, APIKey: a.APIKey, APIKeySecretRef: a.APIKeySecretRef, MaxTokens: a.MaxTokens}
	out.Options = textOptions(map[string]string{"region": a.Region, "roleArn": a.RoleARN, "accessKeyID": a.AccessKeyID})
	if a.SecretAccessKeySecretRef != nil {
		out.Secrets = map[string]*v1beta1.SecretKeyRef{"secretAccessKeySecretRef": a.SecretAccessKeySecretRef}
	}
	return out
}

// textOptions are those of the options that are set.
func textOptions(own map[string]string) map[string]json.RawMessage {
	out := make(map[string]json.RawMessage, len(own))
	for name, value := range own {
		if value != "" {
			out[name], _ = json.Marshal(value) // a string always marshals
		}
	}
	return out
}

// secretOptions sets those of the kind's own settings that are in Secrets.
func (b *builder) secretOptions(path string, refs map[string]*v1beta1.SecretKeyRef) {
	for _, name := range slices.Sorted(maps.Keys(refs)) {
		to, ok := b.traits.ManifestOptions[name].(**upstream.Secret)
		if !ok {
			continue
		}
		value, ok := b.secretValue(path+"."+name, refs[name], "")
		switch {
		case !ok:
		case strings.HasPrefix(strings.TrimSpace(value), "{") && json.Valid([]byte(value)): // a document, such as Google's credentials
			*to = upstream.Literal(value)
		default:
			remedy := "write it into Secret " + b.object.Namespace + "/" + refs[name].Name
			if secret := b.key(path+"."+name, value, remedy); secret != nil {
				*to = secret
			}
		}
	}
}

// ownSettings reports what is wrong with the kind's own settings, and with a credential
// that is not the object's own.
func (b *builder) ownSettings() {
	if b.out == nil || len(b.faults) > 0 && object.Refusal(b.faults) != "" {
		return
	}
	field := "spec.configs.defaultConfig." + b.field
	if b.traits.Check != nil {
		if err := b.traits.Check(); err != nil {
			b.fault(object.ReasonInvalidField, "%s: %s", field, err)
			return
		}
	}
	ambient, ok := b.out.(kind.Ambient)
	if !ok || !ambient.UsesAmbient() {
		return
	}
	hosts := b.out.(kind.Kind).Traits().AmbientHosts // which may depend on the settings
	switch base := b.base; {
	case !slices.Contains(b.in.AmbientCredentials, b.object.Namespace):
		b.fault(object.ReasonNoCredentials, "%s: there are no credentials here, and those of the gateway itself are not for objects of namespace %s; name a Secret with them, or have the gateway's operator name the namespace in the source's option ambient_credentials",
			field, b.object.Namespace)
	case base.Pool != nil:
		b.fault(object.ReasonNoCredentials, "spec.pool: the gateway's own credentials are sent only to hosts of the cloud; write host instead, or name a Secret with credentials")
	case !slices.ContainsFunc(hosts, func(pattern string) bool { ok, _ := path.Match(pattern, base.Host); return ok }):
		b.fault(object.ReasonNoCredentials, "spec.host: the gateway's own credentials are sent only to hosts of the service, which are %s; write one of them, or name a Secret with credentials",
			strings.Join(hosts, ", "))
	case base.Scheme == "http", base.Transport != nil:
		b.fault(object.ReasonNoCredentials, "spec: the gateway's own credentials are sent only over TLS, and only to a server with a certificate that the system trusts; leave scheme and tls out, or name a Secret with credentials")
	}
}
