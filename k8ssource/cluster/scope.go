package cluster

import (
	"slices"

	"github.com/caddy-llm/gateway/k8ssource/source"
)

// everywhere is the namespace of what follows the objects of all namespaces.
const everywhere = ""

// scope is what is followed: which kinds, and where.
type scope struct {
	kinds      []kind
	namespaces []string // everywhere alone, or some namespaces
}

// newScope is the scope that follows from the options.
func newScope(namespaces []string, own string, gateways bool) scope {
	s := scope{kinds: kinds, namespaces: []string{everywhere}}
	if !gateways {
		s.kinds = slices.DeleteFunc(slices.Clone(kinds), func(k kind) bool { return k.gateways })
	}
	if len(namespaces) > 0 {
		s.namespaces = nil
		for _, n := range namespaces {
			if n == source.OwnNamespace {
				n = own
			}
			s.namespaces = append(s.namespaces, n)
		}
		slices.Sort(s.namespaces)
		s.namespaces = slices.Compact(s.namespaces)
		s.kinds = slices.DeleteFunc(slices.Clone(s.kinds), func(k kind) bool { return k.clusterWide })
	}
	return s
}

// narrow reports whether only some namespaces are followed.
func (s scope) narrow() bool { return s.namespaces[0] != everywhere }

// part is a kind in a namespace, or everywhere: what one follower follows.
type part struct{ kind, namespace string }

// parts are those of a kind.
func (s scope) parts(k kind) []part {
	out := make([]part, len(s.namespaces))
	for i, n := range s.namespaces {
		out[i] = part{k.key(), n}
	}
	return out
}
