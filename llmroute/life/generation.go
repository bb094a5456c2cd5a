package life

import (
	"context"

	"github.com/caddyserver/caddy/v2"
)

// Generation is a context of Caddy's for the modules that are new in one snapshot, made when
// the first of them asks for it: such a context has a registry of metrics, so it costs more
// than most modules. It is cancelled, and so cleans up what they have loaded, when the
// snapshot is made, which Release says, and the last of its members has ended.
type Generation struct {
	parent, ctx caddy.Context
	life        *Life // nil without a context
}

// NewGeneration returns one whose contexts are the parent's children. Nothing is made yet.
func NewGeneration(parent caddy.Context) *Generation { return &Generation{parent: parent} }

// Context returns the context of modules that hold nothing.
func (g *Generation) Context() caddy.Context {
	if g.life == nil {
		ctx, cancel := caddy.NewContext(g.parent)
		g.ctx, g.life = ctx, New(cancel)
	}
	return g.ctx
}

// Member returns the life of a module and its context, which ends with it, before end is
// called.
func (g *Generation) Member(end func()) (*Life, caddy.Context) {
	ctx := g.Context()
	of := g.life
	of.Hold()
	var cancel context.CancelFunc
	ctx.Context, cancel = context.WithCancel(g.parent.Context)
	return New(func() {
		cancel()
		end()
		of.Release()
	}), ctx
}

// Release says that the snapshot is made: nothing new will ask for a context.
func (g *Generation) Release() { g.life.Release() }
