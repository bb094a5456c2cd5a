package llmprovider

import (
	"context"
	"testing"

	"github.com/caddyserver/caddy/v2"
)

// newContext is the context of a configuration that ends with the test.
func newContext(t testing.TB) caddy.Context {
	t.Helper()
	ctx, cancel := caddy.NewContext(caddy.Context{Context: context.Background()})
	t.Cleanup(cancel)
	return ctx
}

// provision readies a provider for the length of the test.
func provision(t testing.TB, p *Connection) {
	t.Helper()
	if err := p.Provision(newContext(t)); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := p.Cleanup(); err != nil {
			t.Error(err)
		}
	})
}

// attempt is one to the connection's chat completions, with the edits.
func attempt(t testing.TB, p *Connection, ctx context.Context, in *Inbound, edits Edits) *Attempt {
	t.Helper()
	path, err := ParsePath(DefaultPath)
	if err != nil {
		t.Fatal(err)
	}
	a, refused := p.NewAttempt(ctx, in, &Outgoing{URL: p.URL(path), Stream: in.Stream, Edits: edits})
	if refused != nil {
		t.Fatal(refused)
	}
	return a
}
