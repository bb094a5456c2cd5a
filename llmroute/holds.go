package llmroute

import (
	"github.com/caddy-llm/gateway/llmroute/life"
)

// use returns the snapshot in use, held for a request: the life that it returns is to be
// released. A snapshot of a configuration that Caddy has done with is not held any more.
func (a *App) use() (*snapshot, *life.Life) {
	for {
		s := a.snapshot()
		switch {
		case s.life.Hold():
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
	x.snapLife.Release()
	x.snapLife = nil
}

// holdTargets holds the rule and the providers that the request may use, for as long as
// it takes. The snapshot is held meanwhile, so none of them has ended.
func (x *exchange) holdTargets() {
	if x.snapLife == nil || x.rule == nil {
		return
	}
	x.holds = true
	x.rule.Life().Hold()
	x.limits = x.snap.limits.Life()
	x.limits.Hold()
	for i := range x.targets {
		if p := x.targets[i].provider; p != nil {
			p.life.Hold()
		}
	}
}

// releaseTargets ends what holdTargets began.
func (x *exchange) releaseTargets() {
	if !x.holds {
		return
	}
	x.rule.Life().Release()
	x.limits.Release()
	for i := range x.targets {
		if p := x.targets[i].provider; p != nil {
			p.life.Release()
		}
	}
}
