package limit

import (
	"errors"
	"fmt"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
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
	Shared() Shared
}

// LoadStore loads the configured store.
func (c *Config) LoadStore(ctx caddy.Context) (Store, error) {
	if c.StoreRaw == nil {
		return new(Memory), nil
	}
	module, err := ctx.LoadModule(c, "StoreRaw")
	if err != nil {
		return nil, fmt.Errorf("loading the store: %w", err)
	}
	return module.(Store), nil
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
func (*Memory) Shared() Shared { return nil }

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
