// Package moduletest readies Caddy modules in tests. It imports nothing of the gateway.
package moduletest

import (
	"context"
	"testing"

	"github.com/caddyserver/caddy/v2"
)

// Module is a module with something to give back.
type Module interface {
	caddy.Provisioner
	caddy.CleanerUpper
}

// Context returns the context of a configuration that ends with the test.
func Context(t testing.TB) caddy.Context {
	t.Helper()
	ctx, cancel := caddy.NewContext(caddy.Context{Context: context.Background()})
	t.Cleanup(cancel)
	return ctx
}

// Provision readies a module for the length of the test, which fails if it cannot be readied
// or cleaned up.
func Provision(t testing.TB, m Module) {
	t.Helper()
	if err := m.Provision(Context(t)); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := m.Cleanup(); err != nil {
			t.Error(err)
		}
	})
}
