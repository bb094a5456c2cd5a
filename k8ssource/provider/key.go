package provider

import (
	"strings"

	"golang.org/x/net/http/httpguts"

	"github.com/caddy-llm/gateway/k8ssource/api/v1beta1"
	"github.com/caddy-llm/gateway/k8ssource/object"
	"github.com/caddy-llm/gateway/llmprovider/upstream"
)

// key checks an API key. remedy says where to write it.
func (b *builder) key(path, value, remedy string) *upstream.Secret {
	value = strings.TrimSpace(value)
	switch {
	case object.TemplateForm(value) != "":
		b.fault(object.ReasonInvalidKey, "%s: this is a template nobody has filled in (%s), and placeholders are not expanded in objects; %s", path, object.TemplateForm(value), remedy)
	case value == "":
		b.fault(object.ReasonInvalidKey, "%s: the key is empty; %s", path, remedy)
	case len(value) > object.MaxKeySize:
		b.fault(object.ReasonInvalidKey, "%s: the key has over %d bytes; %s", path, object.MaxKeySize, remedy)
	case strings.ContainsAny(value, " \t\r\n") || !httpguts.ValidHeaderFieldValue(value):
		b.fault(object.ReasonInvalidKey, "%s: the key has a space or a control character inside; %s", path, remedy)
	default:
		return upstream.Literal(value)
	}
	return nil
}

// secretValue reads a value of a Secret in the object's own namespace.
func (b *builder) secretValue(path string, ref *v1beta1.SecretKeyRef, defaultKey string) (string, bool) {
	value, secret, faults := b.in.Secrets.Value(b.object.Namespace, path, ref, defaultKey)
	b.secrets[b.object.Namespace+"/"+ref.Name] = secret
	b.faults = append(b.faults, faults...)
	return value, object.Refusal(faults) == ""
}
