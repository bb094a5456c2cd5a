package object

import (
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"

	"github.com/caddy-llm/gateway/k8ssource/api/v1beta1"
)

// Secrets are the Secrets that there are, by namespace and name.
type Secrets map[string]*Item[Secret]

// Value reads a value of a Secret in an object's own namespace, and returns the Secret
// as well, nil if there is none. There is no value if a fault refuses the object.
func (s Secrets) Value(namespace, path string, ref *v1beta1.SecretKeyRef, defaultKey string) (value string, secret *Item[Secret], faults []Fault) {
	wrong := func(reason, format string, args ...any) []Fault { return []Fault{*Faultf(reason, format, args...)} }
	key := ref.Key
	if key == "" {
		key = defaultKey
	}
	switch {
	case ref.Name == "":
		return "", nil, wrong(ReasonInvalidField, "%s.name: a name is required; write that of a Secret in the object's own namespace", path)
	case !IsName(ref.Name):
		return "", nil, wrong(ReasonInvalidField, "%s.name: this is not the name of a Secret; write one of the object's own namespace, since no others are read", path)
	case key == "":
		return "", nil, wrong(ReasonInvalidField, "%s.key: a key is required; write under which one the Secret has the value", path)
	}
	// The namespace is always the object's: whoever may write an object there
	// may read its Secrets, and no others.
	name := namespace + "/" + ref.Name
	if secret = s[name]; secret == nil {
		return "", nil, wrong(ReasonSecretNotFound, "%s.name: there is no Secret of that name in namespace %s; create it there, or correct the name", path, namespace)
	}
	faults, usable := SecretFaults(path, secret)
	if !usable {
		return "", secret, faults
	}
	value, ok := secret.Object.Value(key)
	if !ok {
		faults = append(faults, wrong(ReasonSecretNotFound, "%s.key: Secret %s has no such key; its keys are: %s", path, Bounded(name), secret.Object.Keys())...)
	}
	return value, secret, faults
}

// SecretFaults is what is wrong with a Secret, as said of an object that refers to
// it at path, and whether its values can be used all the same.
func SecretFaults(path string, secret *Item[Secret]) (faults []Fault, usable bool) {
	name := Bounded(Key(&secret.Object))
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
	return faults, Refusal(faults) == ""
}

// Keys lists what values there are, and none of them.
func (s *Secret) Keys() string {
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
		shown[i] = ShownName(name)
	}
	return Bounded(strings.Join(shown, ", "))
}

// MaxKeySize is the longest API key, in bytes. Servers take no longer headers.
const MaxKeySize = 16 << 10

// TemplateForm returns what a value looks like if nobody has filled it in yet,
// such as `${…}`, or nothing.
func TemplateForm(value string) string {
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

// caddyPlaceholder finds what a Caddyfile would have replaced.
var caddyPlaceholder = regexp.MustCompile(`\{(\$|env\.|file\.|vars\.|http\.|system\.)[^{}]*\}`)
