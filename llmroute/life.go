package llmroute

import (
	"context"
	"sync/atomic"

	"github.com/caddyserver/caddy/v2"
)

// life is how long a module is in use that was made for an object of a source: by the
// snapshots that it is in, and by the requests that were begun with one of them. When
// the last of them has let go, its context is cancelled and it is cleaned up. It is nil
// for what is in Caddy's configuration, and ends with that.
type life struct {
	users atomic.Int64
	end   func()
}

// newLife returns a life with one user. end is called after the last.
func newLife(end func()) *life {
	l := &life{end: end}
	l.users.Store(1)
	return l
}

// hold adds a user. It reports false if there is none left to add one to.
func (l *life) hold() bool {
	if l == nil {
		return true
	}
	for {
		n := l.users.Load()
		if n == 0 {
			return false
		}
		if l.users.CompareAndSwap(n, n+1) {
			return true
		}
	}
}

// release takes a user away.
func (l *life) release() {
	if l != nil && l.users.Add(-1) == 0 {
		l.end()
	}
}

// generation is a context of Caddy's for the modules that are new in one snapshot, made when
// the first of them asks for it: such a context has a registry of metrics, so it costs more
// than most modules. It is cancelled, and so cleans up what they have loaded, when the
// snapshot is made and the last of its members has ended.
type generation struct {
	parent, ctx caddy.Context
	life        *life // nil without a context
}

// context returns the context of modules that hold nothing.
func (g *generation) context() caddy.Context {
	if g.life == nil {
		ctx, cancel := caddy.NewContext(g.parent)
		g.ctx, g.life = ctx, newLife(cancel)
	}
	return g.ctx
}

// member returns the life of a module and its context, which ends with it, before end is
// called.
func (g *generation) member(end func()) (*life, caddy.Context) {
	ctx := g.context()
	of := g.life
	of.hold()
	var cancel context.CancelFunc
	ctx.Context, cancel = context.WithCancel(g.parent.Context)
	return newLife(func() {
		cancel()
		end()
		of.release()
	}), ctx
}

// use returns the snapshot in use, held for a request: the life that it returns is to be
// released. A snapshot of a configuration that Caddy has done with is not held any more.
func (a *App) use() (*snapshot, *life) {
	for {
		s := a.snapshot()
		switch {
		case s.life.hold():
			return s, s.life
		case a.current.Load() == s:
			return s, nil
		}
	}
}

// leaveSnapshot lets go of the snapshot. What is needed of it is known: a long stream
// must not hold all of it.
func (x *exchange) leaveSnapshot() {
	x.snap = nil
	x.snapLife.release()
	x.snapLife = nil
}

// holdTargets holds the rule and the providers that the request may use, for as long as
// it takes. The snapshot is held meanwhile, so none of them has ended.
func (x *exchange) holdTargets() {
	if x.snapLife == nil || x.rule == nil {
		return
	}
	x.holds = true
	x.rule.life.hold()
	if x.snap.limits != nil {
		x.limits = x.snap.limits.life
		x.limits.hold()
	}
	for i := range x.targets {
		if p := x.targets[i].provider; p != nil {
			p.life.hold()
		}
	}
}

// releaseTargets ends what holdTargets began.
func (x *exchange) releaseTargets() {
	if !x.holds {
		return
	}
	x.rule.life.release()
	x.limits.release()
	for i := range x.targets {
		if p := x.targets[i].provider; p != nil {
			p.life.release()
		}
	}
}
