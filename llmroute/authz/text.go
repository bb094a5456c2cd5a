package authz

import (
	"slices"
	"strings"

	"github.com/caddy-llm/gateway/internal/host"
)

// texts are values of a text: exact, prefix*, *suffix, or * for whatever is
// there. An asterisk elsewhere stands for itself.
type texts struct {
	exact    []string // sorted
	prefixes []string
	suffixes []string
	present  bool
	emptyToo bool // present is also the empty text
}

func (t *texts) add(value string) {
	switch {
	case value == "*":
		t.present = true
	case strings.HasPrefix(value, "*"):
		t.suffixes = append(t.suffixes, value[1:])
	case strings.HasSuffix(value, "*"):
		t.prefixes = append(t.prefixes, value[:len(value)-1])
	default:
		t.addExact(value)
	}
}

func (t *texts) addExact(value string) {
	if i, found := slices.BinarySearch(t.exact, value); !found {
		t.exact = slices.Insert(t.exact, i, value)
	}
}

func (t *texts) match(s string) bool {
	if t.present && (s != "" || t.emptyToo) {
		return true
	}
	if t.hasExact(s) {
		return true
	}
	for _, prefix := range t.prefixes {
		if strings.HasPrefix(s, prefix) {
			return true
		}
	}
	for _, suffix := range t.suffixes {
		if strings.HasSuffix(s, suffix) {
			return true
		}
	}
	return false
}

func (t *texts) hasExact(s string) bool {
	switch len(t.exact) {
	case 0:
		return false
	case 1: // the usual case, and the fast one
		return t.exact[0] == s
	}
	_, found := slices.BinarySearch(t.exact, s)
	return found
}

// keys are the values as those of an attribute, nil if any text matches.
func (t *texts) keys(a *attribute) []key {
	if t.present {
		return nil
	}
	var keys []key
	for form, texts := range [][]string{textExact: t.exact, textPrefix: t.prefixes, textSuffix: t.suffixes} {
		for _, text := range texts {
			keys = append(keys, key{attribute: a, form: textForm(form), text: text})
		}
	}
	return keys
}

// textTest tests an attribute that is a text, or several of which one will do.
type textTest struct {
	attribute *attribute
	values    texts
}

func (t *textTest) add(value string) error {
	t.values.add(value)
	return nil
}

func (t *textTest) match(r *request) bool {
	for _, s := range r.texts(t.attribute) {
		if t.values.match(s) {
			return true
		}
	}
	return false
}

// headerTest tests a header, or another attribute of which each reading counts, see
// request.every.
type headerTest struct{ textTest }

func (t *headerTest) match(r *request) bool {
	readings := r.texts(t.attribute)
	for _, s := range readings {
		if found := t.values.match(s); found != r.every {
			return found
		}
	}
	return r.every && len(readings) > 0
}

func (t *textTest) keys() []key { return t.values.keys(t.attribute) }

// serverNameTest tests the name in the client's TLS hello, in any case.
type serverNameTest struct{ headerTest }

func (t *serverNameTest) add(value string) error { return t.textTest.add(host.Lower(value)) }
