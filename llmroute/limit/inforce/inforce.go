// Package inforce has the limits that hold: those of the configuration, and beside them those
// of a source, as one set for each snapshot.
//
// It imports limit, limithttp, which makes a filter of them, and life. Begin with Limits, then
// its With.
package inforce

import (
	"errors"
	"reflect"
	"slices"

	"github.com/caddyserver/caddy/v2"
	"go.uber.org/zap"

	"github.com/caddy-llm/gateway/llmroute/life"
	"github.com/caddy-llm/gateway/llmroute/limit"
	"github.com/caddy-llm/gateway/llmroute/limit/limithttp"
)

// Limits are the limits of the configuration, with what those of a source need to hold beside
// them. It is nil without any, and without a source that may have some.
type Limits struct {
	config limit.Config // as it was written; loading modules takes parts of it away
	engine *limit.Engine
	alone  *Live // of these alone
	logger *zap.Logger
}

// Live are the limits of snapshots: all that hold at one time are one set, since a
// request reserves of all that apply or of none. It is nil without any.
type Live struct {
	filter *limithttp.Filter
	spec   []*limit.Definition // the source's
	life   *life.Life          // nil if they are those of the configuration alone
}

// New makes a set of the configuration's limits. It is closed with Close.
func New(ctx caddy.Context, config *limit.Config, logger *zap.Logger) (*Limits, error) {
	l := &Limits{config: copyOf(config), engine: limit.Acquire(), logger: logger}
	f, err := limithttp.New(ctx, config, l.engine)
	if err != nil {
		return nil, errors.Join(err, limit.Release())
	}
	l.alone = &Live{filter: f}
	return l, nil
}

// copyOf returns limits that can be made a set of: the store of these can be loaded, and their
// keys be brought into the canonical form, without a change to the ones given.
func copyOf(c *limit.Config) limit.Config {
	out := limit.Config{StoreRaw: c.StoreRaw}
	for _, d := range c.Limits {
		d := *d
		d.Key = slices.Clone(d.Key)
		out.Limits = append(out.Limits, &d)
	}
	return out
}

// Close gives back what New acquired. last are the limits that hold.
func (l *Limits) Close(last *Live) error {
	if l == nil {
		return nil
	}
	if last != nil {
		last.filter.Close() // even if requests have it still: what they settle is counted, and is to be stored now
	}
	l.alone.filter.Close()
	return limit.Release()
}

// Engine returns what counts for the limits.
func (l *Limits) Engine() *limit.Engine { return l.engine }

// Definitions returns the configuration's limits.
func (l *Limits) Definitions() []*limit.Definition {
	if l == nil {
		return nil
	}
	return l.config.Limits
}

// Holds reports whether the store can hold limits; the error says what it cannot.
func (l *Limits) Holds(limits []*limit.Definition) error { return l.alone.filter.Holds(limits) }

// With returns the limits of a snapshot, whose source has those given: last, held once more, if
// nothing has changed. g is the snapshot's, and may be nil without limits of a source.
func (l *Limits) With(g *life.Generation, spec []*limit.Definition, last *Live) *Live {
	switch {
	case l == nil:
		return nil
	case len(spec) == 0:
		if len(l.config.Limits) == 0 {
			return nil
		}
		return l.alone
	}
	if last.hold() {
		if reflect.DeepEqual(last.spec, spec) {
			return last
		}
		defer last.life.Release()
	}
	made := &Live{spec: spec}
	held, ctx := g.Member(func() {
		if made.filter != nil {
			go made.filter.Close() // it may wait for the store, and is called while a request ends
		}
	})
	made.life = held
	config := l.usable(spec)
	var err error
	if made.filter, err = limithttp.New(ctx, &config, l.engine); err == nil {
		return made
	}
	held.Release()
	l.logger.Error("limits of the source cannot be set up; keeping the previous ones", zap.Error(err))
	if last.hold() {
		return last
	}
	return l.alone
}

// usable returns the limits of the configuration and, of the source's, those that can be used.
func (l *Limits) usable(spec []*limit.Definition) limit.Config {
	config := copyOf(&l.config)
	more := copyOf(&limit.Config{Limits: spec})
	for _, d := range more.Limits {
		err := d.Check()
		if err == nil && slices.ContainsFunc(config.Limits, func(other *limit.Definition) bool { return other.Name == d.Name }) {
			err = errors.New("there is another limit of this name, which holds")
		}
		if err == nil {
			err = l.Holds(append(config.Limits[:len(config.Limits):len(config.Limits)], d))
		}
		if err != nil {
			l.logger.Error("limit left out", zap.String("limit", d.Name), zap.Error(err))
			continue
		}
		config.Limits = append(config.Limits, d)
	}
	return config
}

// hold holds limits with those of a source once more. It reports false for others.
func (l *Live) hold() bool { return l != nil && l.life != nil && l.life.Hold() }

// Life returns how long the limits are in use, nil if they are the configuration's alone.
func (l *Live) Life() *life.Life {
	if l == nil {
		return nil
	}
	return l.life
}

// Filter returns the filter of the limits, nil without any.
func (l *Live) Filter() *limithttp.Filter {
	if l == nil {
		return nil
	}
	return l.filter
}

// Set returns the limits, nil without any.
func (l *Live) Set() *limit.Set {
	if l == nil {
		return nil
	}
	return l.filter.Set()
}
