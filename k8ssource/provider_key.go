package k8ssource

import (
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"

	"golang.org/x/net/http/httpguts"

	"github.com/caddy-llm/gateway/k8ssource/api/v1beta1"
	"github.com/caddy-llm/gateway/llmprovider"
)

// maxKeySize is the longest API key, in bytes. Servers take no longer headers.
const maxKeySize = 16 << 10

// caddyPlaceholder finds what a Caddyfile would have replaced.
var caddyPlaceholder = regexp.MustCompile(`\{(\$|env\.|file\.|vars\.|http\.|system\.)[^{}]*\}`)

// templateForm returns what a value looks like if nobody has filled it in yet,
// such as `${…}`, or nothing.
func templateForm(value string) string {
	value = strings.TrimSpace(value)
	switch {
	case enclosed(value, "{{", "}}"):
		return "{{…}}"
	case enclosed(value, "${", "}"):
		return "${…}"
	case strings.HasPrefix(value, "<") && strings.HasSuffix(value, ">"):
		return "<…>"
	case caddyPlaceholder.MatchString(value):
		return "{…}"
	}
	return ""
}

func enclosed(value, open, end string) bool {
	_, rest, ok := strings.Cut(value, open)
	return ok && strings.Contains(rest, end)
}

// key checks an API key. remedy says where to write it.
func (b *providerBuilder) key(path, value, remedy string) *llmprovider.Secret {
	value = strings.TrimSpace(value)
	switch {
	case templateForm(value) != "":
		b.fault(ReasonInvalidKey, "%s: this is a template nobody has filled in (%s), and placeholders are not expanded in objects; %s", path, templateForm(value), remedy)
	case value == "":
		b.fault(ReasonInvalidKey, "%s: the key is empty; %s", path, remedy)
	case len(value) > maxKeySize:
		b.fault(ReasonInvalidKey, "%s: the key has over %d bytes; %s", path, maxKeySize, remedy)
	case strings.ContainsAny(value, " \t\r\n") || !httpguts.ValidHeaderFieldValue(value):
		b.fault(ReasonInvalidKey, "%s: the key has a space or a control character inside; %s", path, remedy)
	default:
		return llmprovider.Literal(value)
	}
	return nil
}

// secretValue reads a value of a Secret in the object's own namespace.
func (b *providerBuilder) secretValue(path string, ref *v1beta1.SecretKeyRef, defaultKey string) (string, bool) {
	key := ref.Key
	if key == "" {
		key = defaultKey
	}
	switch {
	case ref.Name == "":
		b.fault(ReasonInvalidField, "%s.name: a name is required; write that of a Secret in the object's own namespace", path)
		return "", false
	case !objectName.MatchString(ref.Name):
		b.fault(ReasonInvalidField, "%s.name: this is not the name of a Secret; write one of the object's own namespace, since no others are read", path)
		return "", false
	case key == "":
		b.fault(ReasonInvalidField, "%s.key: a key is required; write under which one the Secret has the value", path)
		return "", false
	}
	// The namespace is always the object's: whoever may write an object there
	// may read its Secrets, and no others.
	name := b.object.Namespace + "/" + ref.Name
	secret := b.t.secrets[name]
	b.secrets[name] = secret
	if secret == nil {
		b.fault(ReasonSecretNotFound, "%s.name: there is no Secret of that name in namespace %s; create it there, or correct the name", path, b.object.Namespace)
		return "", false
	}
	faults, usable := secretFaults(path, secret)
	b.faults = append(b.faults, faults...)
	if !usable {
		return "", false
	}
	value, ok := secret.Object.value(key)
	if !ok {
		b.fault(ReasonSecretNotFound, "%s.key: Secret %s has no such key; its keys are: %s", path, bounded(name), secret.Object.keys())
		return "", false
	}
	return value, true
}

// secretFaults is what is wrong with a Secret, as said of an object that refers to
// it at path, and whether its values can be used all the same.
func secretFaults(path string, secret *Item[Secret]) (faults []Fault, usable bool) {
	name := bounded(keyOf(&secret.Object))
	for _, f := range secret.Faults {
		reason, what := ReasonInvalidSecret, "cannot be used"
		if f.Reason == ReasonSecretForbidden {
			reason = f.Reason
		}
		if f.Used {
			what = "is used as it was read last"
		}
		faults = append(faults, Fault{Reason: reason, Used: f.Used, Message: fmt.Sprintf("%s: Secret %s %s: %s", path, name, what, f.Message)})
	}
	return faults, refusal(faults) == ""
}

// keys lists what values there are, and none of them.
func (s *Secret) keys() string {
	names := make(map[string]bool)
	for k := range s.Data {
		names[k] = true
	}
	for k := range s.StringData {
		names[k] = true
	}
	if len(names) == 0 {
		return "none"
	}
	shown := slices.Sorted(maps.Keys(names))
	for i, name := range shown {
		shown[i] = shownName(name)
	}
	return bounded(strings.Join(shown, ", "))
}
