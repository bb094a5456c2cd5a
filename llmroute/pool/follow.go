package pool

import (
	"context"
	"time"

	"go.uber.org/zap"
)

const (
	// followEvery is how often a source is asked. What it says it keeps by itself for
	// as long as its own settings want.
	followEvery = time.Second
	// followTimeout bounds one question.
	followTimeout = 10 * time.Second
)

// follow keeps the endpoints up to date with the source until the pool is closed.
func (p *Pool) follow() {
	ticker := time.NewTicker(followEvery)
	defer ticker.Stop()
	for {
		p.ask()
		select {
		case <-p.ctx.Done():
			return
		case <-ticker.C:
		}
	}
}

func (p *Pool) ask() {
	ctx, cancel := context.WithTimeout(p.ctx, followTimeout)
	defer cancel()
	addresses, err := p.options.Source(ctx)
	if p.ctx.Err() != nil {
		return
	}
	problem := ""
	if err != nil {
		problem = err.Error()
	} else {
		p.Set(addresses)
		p.registry.note(p.options.Origin, addresses)
	}
	p.mu.Lock()
	before := p.problem
	p.problem = problem
	p.mu.Unlock()
	switch {
	case err != nil && before == "":
		p.options.Logger.Error("pool endpoints cannot be looked up; keeping the last known ones", zap.Error(err))
	case err == nil && before != "":
		p.options.Logger.Info("pool endpoints can be looked up again")
	}
}
