package spec

import (
	"reflect"
	"slices"

	"github.com/caddy-llm/gateway/llmprovider"
	"github.com/caddy-llm/gateway/llmroute/authz"
	"github.com/caddy-llm/gateway/llmroute/guard"
	"github.com/caddy-llm/gateway/llmroute/limit"
	"github.com/caddy-llm/gateway/llmroute/listen"
	"github.com/caddy-llm/gateway/llmroute/prompt"
	"github.com/caddy-llm/gateway/llmroute/virtualkey"
)

// State is everything a source knows at one time. It is immutable once
// reported.
type State struct {
	Identity  Identity
	Providers []*Provider
	// Tables are the routes of each table, such as "mesh", in order of
	// precedence: of two routes with the same host the first is used.
	Tables map[string][]*Route
	// Listeners are what the gateway listens on by itself.
	Listeners []*listen.Listener
	// Authorization is what requests to the source's Gateways are held to, at the
	// gateway's own listeners and at sites that route by a Gateway's table; nil
	// if they may all pass.
	Authorization *authz.Config
	// Keys are the clients of the Secret that UseKeys named; nil lets nobody pass.
	Keys *virtualkey.Table
	// Limits are those of objects, which hold beside the configuration's. Their names have
	// a dot, as in namespace.name, and those with a name of the configuration's are left
	// out.
	Limits []*limit.Definition
	// Guards and Prompts are those that rules and providers of the state name, beside those
	// of the configuration. Their names have a slash, as in namespace/policy/guard. A name
	// without a definition is one of a guard or a prompt that cannot be used: requests
	// that it is for are refused.
	Guards  map[string]*guard.Definition
	Prompts map[string]*prompt.Definition
	// Findings are what is wrong with single objects.
	Findings []Finding

	// Observer, if there is one, is told what became of the listeners.
	Observer ListenObserver
}

// ListenObserver is told at which addresses of a state's listeners nothing could
// listen, each time that may have changed: none is an empty map. It must not block.
type ListenObserver interface {
	Listening(failed map[string]bool)
}

// Provider is a provider that a source found.
type Provider struct {
	// Name is unique in the state. It has a slash, as in namespace/name, so
	// that it cannot be that of a provider in the Caddy configuration.
	Name string
	// Origin is where the object is, such as a file and a line.
	Origin string
	// Provider is the configuration, not provisioned.
	Provider llmprovider.Provider
	// Endpoints are the addresses of a pool that is Fed, none for others. A state that
	// differs in them alone makes no new snapshot.
	Endpoints []string
	// Guards and Prompts are the names of those for all requests that may be sent to the
	// provider, after those of the rule.
	Guards, Prompts []string
}

// OnlyEndpoints reports whether two states of a source differ in the endpoints of pools,
// and in nothing else.
func OnlyEndpoints(a, b *State) bool {
	if a == nil || b == nil || len(a.Providers) != len(b.Providers) {
		return false
	}
	changed := false
	one, other := *a, *b
	one.Providers, other.Providers = nil, nil
	for i, p := range a.Providers {
		o := b.Providers[i]
		if p != o && (p.Name != o.Name || p.Origin != o.Origin || !slices.Equal(p.Guards, o.Guards) || !slices.Equal(p.Prompts, o.Prompts) || !reflect.DeepEqual(p.Provider, o.Provider)) {
			return false
		}
		changed = changed || !slices.Equal(p.Endpoints, o.Endpoints)
	}
	return changed && reflect.DeepEqual(&one, &other)
}
