// Package sources runs the sources of providers and routes: one for all configurations with the
// same settings, whose states go to each of them.
//
// It imports spec. Begin with Running.
package sources

import (
	"context"
	"sync"
	"sync/atomic"

	"github.com/caddyserver/caddy/v2"

	"github.com/caddy-llm/gateway/llmroute/spec"
)

// Follower is told of the states of a source: the llm app of a configuration.
type Follower interface {
	// SourceChanged is called when there is a new Latest.
	SourceChanged()
}

// all holds the sources by settings.
var all = caddy.NewUsagePool()

// Running is a source and the last state it reported.
type Running struct {
	latest atomic.Pointer[spec.State]

	mu        sync.Mutex
	started   bool
	cancel    context.CancelFunc
	followers map[Follower]struct{}
}

// Acquire returns the source with those settings, started or not. Each call is paired with
// one of Release.
func Acquire(settings string) *Running {
	value, _ := all.LoadOrStore(settings, &Running{followers: make(map[Follower]struct{})})
	return value.(*Running)
}

// Release gives back what Acquire returned. A source that nobody has any more stops.
func Release(settings string) error {
	_, err := all.Delete(settings)
	return err
}

// Destruct implements caddy.Destructor. It only signals: whoever waits for a
// source while Caddy holds its configuration lock can wait forever.
func (r *Running) Destruct() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.cancel != nil {
		r.cancel()
	}
	return nil
}

// Start starts the source unless it runs, and tells the follower of its states from now on.
func (r *Running) Start(follower Follower, source spec.Source) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.followers[follower] = struct{}{}
	if r.started {
		return nil
	}
	ctx, cancel := context.WithCancel(context.Background())
	// What is reported while the lock is held is only kept; the follower takes it when
	// the source has started.
	var started atomic.Bool
	err := source.Start(ctx, func(s *spec.State) {
		r.latest.Store(s)
		if started.Load() {
			r.publish()
		}
	})
	if err != nil {
		cancel()
		delete(r.followers, follower)
		return err
	}
	started.Store(true)
	r.started, r.cancel = true, cancel
	return nil
}

func (r *Running) publish() {
	r.mu.Lock()
	followers := make([]Follower, 0, len(r.followers))
	for f := range r.followers {
		followers = append(followers, f)
	}
	r.mu.Unlock()
	for _, f := range followers {
		f.SourceChanged()
	}
}

// Latest returns the last state that was reported, nil before the first.
func (r *Running) Latest() *spec.State { return r.latest.Load() }

// Leave ends the reports to the follower.
func (r *Running) Leave(follower Follower) {
	r.mu.Lock()
	delete(r.followers, follower)
	r.mu.Unlock()
}

// Interface guards
var _ caddy.Destructor = (*Running)(nil)
