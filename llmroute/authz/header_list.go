package authz

import (
	"errors"
	"net/http"
	"slices"
	"strings"

	"golang.org/x/net/http/httpguts"

	"github.com/caddy-llm/gateway/llmprovider/headername"
)

// headerList is a list of headers: names, the beginnings of names, and their ends.
type headerList []headerPattern

type headerPattern struct {
	text           string
	prefix, suffix bool
}

func newHeaderList(names []string) (headerList, error) {
	list := make(headerList, 0, len(names))
	for _, name := range names {
		p := headerPattern{text: name}
		if p.text, p.suffix = strings.CutPrefix(p.text, "*"); !p.suffix {
			p.text, p.prefix = strings.CutSuffix(p.text, "*")
		}
		if p.text == "" {
			return nil, errors.New("it cannot be all headers; write their names, prefix*, or *suffix")
		}
		if !httpguts.ValidHeaderFieldName(p.text) || strings.Contains(p.text, "*") {
			return nil, errors.New("an entry is neither the name of a header, nor prefix*, nor *suffix")
		}
		list = append(list, p)
	}
	return list, nil
}

// has reports whether a header is in the list.
func (l headerList) has(name string) bool {
	return slices.ContainsFunc(l, func(p headerPattern) bool {
		part := name
		if over := len(name) - len(p.text); over > 0 && p.prefix {
			part = name[:len(p.text)]
		} else if over > 0 && p.suffix {
			part = name[over:]
		}
		return strings.EqualFold(part, p.text)
	})
}

// ofMessage reports whether a header belongs to the message that carries it, and can
// be handed on in no other.
func ofMessage(name string) bool {
	return headername.IsConnection(name) || headername.IsMessage(name)
}

// namesMessage returns the first name in the list that is one of ofMessage, or empty.
func (l headerList) namesMessage() string {
	for _, p := range l {
		if name := http.CanonicalHeaderKey(p.text); !p.prefix && !p.suffix && ofMessage(name) {
			return name
		}
	}
	return ""
}
