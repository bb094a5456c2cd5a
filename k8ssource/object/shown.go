package object

import (
	"net/url"
	"regexp"
	"strings"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/caddy-llm/gateway/llmprovider/upstream"
)

// What people are shown of objects, in findings, statuses, events, logs and by
// `caddy llm check`, follows one rule: a finding names a field by its path and does not
// repeat its value, which may be a key at the wrong place, or hold a password. The
// functions here are for what is shown all the same, because nobody would know what is
// meant otherwise: names of objects, fields, headers and rules, hosts, models and
// paths. None of them is shown where it has not the form of such a name, or looks like
// a key.

// Hidden stands for a text that is not shown.
const Hidden = "…"

var (
	// nameForm is that of names: of fields, headers, labels, rules and keys of Secrets.
	nameForm = regexp.MustCompile(`^[@:]?[A-Za-z0-9_][A-Za-z0-9._/-]{0,62}$`)
	// hostForm is that of hosts and of patterns for them.
	hostForm = regexp.MustCompile(`^(\*|(\*\.?)?[A-Za-z0-9_][A-Za-z0-9._-]*\*?|[0-9a-fA-F.]*:[0-9a-fA-F:.]+)$`)
	// modelForm is that of models' names, such as Qwen/Qwen2.5-72B-Instruct:latest.
	modelForm = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._/:+-]{0,127}$`)
	// segmentForm is that of the segments of paths that are words or versions.
	segmentForm = regexp.MustCompile(`^(\*|\*?[A-Za-z]+([-_.][A-Za-z]+)*\*?|v[0-9]+[a-z0-9.]*\*?|\{\*{1,2}\})$`)
)

func shownIf(form *regexp.Regexp, s string) string {
	if s == "" || form.MatchString(s) && !upstream.LooksLikeKey(s) {
		return s
	}
	return Hidden
}

// ShownName is a name of a field, header, label, rule or key of a Secret.
func ShownName(name string) string { return shownIf(nameForm, name) }

// ShownHost is a host, or a pattern for hosts.
func ShownHost(host string) string {
	if len(host) > MaxRouteHost {
		return Hidden
	}
	return shownIf(hostForm, host)
}

// ShownModel is the name of a model.
func ShownModel(model string) string { return shownIf(modelForm, model) }

// ShownPath is a path without its query, and without segments that are no words.
func ShownPath(path string) string {
	path, query, found := strings.Cut(path, "?")
	segments := strings.Split(path, "/")
	for i, s := range segments {
		if len(s) > 40 {
			s = Hidden
		}
		segments[i] = shownIf(segmentForm, s)
	}
	path = Bounded(strings.Join(segments, "/"))
	if found && query != "" {
		path += "?" + Hidden
	}
	return path
}

// ShownURL is a URL without a user, the query and segments that are no words. A text
// that is none is shown as a name.
func ShownURL(text string) string {
	u, err := url.Parse(text)
	if err != nil || u.Host == "" {
		return ShownName(text)
	}
	out := ShownName(u.Scheme) + "://" + ShownHost(u.Hostname())
	if port := u.Port(); port != "" {
		out += ":" + port
	}
	return out + ShownPath(u.EscapedPath())
}

// ShownKey is Key for people. What is no name of an object is not shown.
func ShownKey(o metav1.Object) string {
	show := func(name string) string {
		if name == "" || IsName(name) {
			return name
		}
		return Hidden
	}
	return show(o.GetNamespace()) + "/" + show(o.GetName())
}

var (
	// addressForm is that of IP addresses and ranges.
	addressForm = regexp.MustCompile(`^[0-9a-fA-F.:]{1,45}(/[0-9]{1,3})?$`)
	// principalForm is that of identities, such as cluster.local/ns/default/sa/sleep.
	principalForm = regexp.MustCompile(`^(https?://)?[A-Za-z0-9*][A-Za-z0-9._/*-]{0,252}$`)
	// conditionForm is that of keys of conditions, such as request.headers[X-Team].
	conditionForm = regexp.MustCompile(`^[a-zA-Z.]{1,64}(\[[A-Za-z0-9._/:@-]+\])*$`)
)

// ShownAddress is an IP address or a range of them.
func ShownAddress(address string) string { return shownIf(addressForm, address) }

// ShownPrincipal is an identity, or what stands for several.
func ShownPrincipal(principal string) string { return shownIf(principalForm, principal) }

// ShownCondition is the key of a condition.
func ShownCondition(key string) string { return shownIf(conditionForm, key) }

// ShownOf is how values of an attribute are shown. It is nil for those of headers: they
// may be what callers prove with who they are.
func ShownOf(key string) func(string) string {
	switch {
	case strings.HasPrefix(key, "request.headers"):
		return nil
	case strings.HasSuffix(key, ".ip"):
		return ShownAddress
	}
	return ShownPrincipal
}
