package limit

import (
	"errors"
	"fmt"
	"slices"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"

	"github.com/caddy-llm/gateway/llmroute/limit/grant"
)

func init() {
	caddy.RegisterModule(new(Memory))
}

// StoreNamespace is where modules are that keep what was used.
const StoreNamespace = "llm.limit_stores"

// Store is a module in the llm.limit_stores namespace: where what was used is kept.
type Store interface {
	caddy.Module
	// Storage is where budgets are kept through restarts, nil if they are in Shared.
	Storage(ctx caddy.Context) Storage
	// Shared is what several gateways use at once, nil if each counts for itself.
	Shared() grant.Store
}

// LoadStore loads the configured store. It is an error if that cannot hold the limits.
func (c *Config) LoadStore(ctx caddy.Context) (Store, error) {
	if c.StoreRaw == nil {
		return new(Memory), nil
	}
	module, err := ctx.LoadModule(c, "StoreRaw")
	if err != nil {
		return nil, fmt.Errorf("loading the store: %w", err)
	}
	store := module.(Store)
	return store, Holds(store, c.Limits)
}

// Holds reports whether a store can hold the limits; the error names the first that it
// cannot. What each process counts for itself never gets there.
func Holds(s Store, limits []*Definition) error {
	r, ok := s.(Restricted)
	if !ok {
		return nil
	}
	return r.Holds(slices.DeleteFunc(slices.Clone(limits), func(d *Definition) bool { return d.Scope != nil && d.Scope.Local }))
}

// Restricted is a Store that cannot hold every limit.
type Restricted interface {
	Store
	// Holds returns an error that names the first limit that the store cannot hold, and says
	// what to write in its place. The limits have passed Check.
	Holds(limits []*Definition) error
}

// Memory counts in this process, and exactly. Limits of money, and those of an hour
// and more, are written to Caddy's storage in blocks before they are used, so that a
// restart never gives back what was used; it may cost one block, which is at most 5 %
// of the limit. Gateways that run at the same time each count for themselves, and
// must not share one storage; to share limits, use the store `redis`.
type Memory struct{}

// CaddyModule returns the Caddy module information.
func (*Memory) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{ID: StoreNamespace + ".memory", New: func() caddy.Module { return new(Memory) }}
}

// Storage implements Store: it is Caddy's.
func (*Memory) Storage(ctx caddy.Context) Storage { return ctx.Storage() }

// Shared implements Store: each process counts for itself.
func (*Memory) Shared() grant.Store { return nil }

// UnmarshalCaddyfile reads: store memory
func (*Memory) UnmarshalCaddyfile(d *caddyfile.Dispenser) error {
	d.Next() // its name
	if d.NextArg() || d.NextBlock(0) {
		return errors.New("store memory takes no options; it keeps budgets in Caddy's storage")
	}
	return nil
}

// Interface guards
var (
	_ Store                 = (*Memory)(nil)
	_ caddyfile.Unmarshaler = (*Memory)(nil)
)
