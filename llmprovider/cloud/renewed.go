// Package cloud is what kinds of providers for clouds share: credentials that are
// fetched from somewhere and expire, and their way onto requests. How a cloud's
// credentials are fetched is the kinds' own, so that this package links no cloud's SDK. It
// imports llmprovider and the API of Anthropic, which clouds have in an envelope of their
// own. Start at Renewed, then bearer.go and envelope.go.
package cloud

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"time"

	"go.uber.org/zap"
)

const (
	// fetchTime bounds one fetch.
	fetchTime = 30 * time.Second
	// ahead is how long before its end a credential is renewed, or a quarter of its
	// lifetime if that is shorter.
	ahead = 5 * time.Minute
	// retry is the pause after a fetch that failed, while there is a credential that
	// still holds, and after one that brought nothing newer.
	retry = 10 * time.Second
	// retryWithout is the pause after a fetch that failed when there is none. Requests
	// meanwhile get the error of that fetch.
	retryWithout = time.Second
	// endless is the lifetime of a credential that names none: its source may have
	// another one by then.
	endless = time.Hour
)

// Fetch gets a credential and the time when it expires, or the zero time for one that
// does not. Its error is logged: it must not contain a credential.
type Fetch[T any] func(ctx context.Context) (value T, expires time.Time, err error)

// Renewed is a credential that is fetched when it is first needed, and renewed in the
// background before it expires. There is one fetch at a time, whoever waits for it. It
// is safe for concurrent use.
type Renewed[T any] struct {
	fetch  Fetch[T]
	logger *zap.Logger
	now    func() time.Time // replaced by tests

	held atomic.Pointer[held[T]]

	mu      sync.Mutex
	flight  chan struct{} // closed at the end of the fetch under way; nil without one
	again   time.Time     // no fetch before this
	lastErr error         // of the last fetch
}

// held is a credential that was fetched.
type held[T any] struct {
	value         T
	renew, expire time.Time
}

// NewRenewed returns a credential that fetch gets. It makes no connections. The logger is told
// when it cannot be renewed.
func NewRenewed[T any](fetch Fetch[T], logger *zap.Logger) *Renewed[T] {
	return &Renewed[T]{fetch: fetch, logger: logger, now: time.Now}
}

// Get returns the credential. It waits only if there is none that holds.
func (r *Renewed[T]) Get(ctx context.Context) (T, error) {
	now := r.now()
	if h := r.held.Load(); h != nil && now.Before(h.renew) {
		return h.value, nil
	}
	var none T
	r.mu.Lock()
	h := r.held.Load()
	holds := h != nil && now.Before(h.expire)
	if r.flight == nil && (h == nil || !now.Before(h.renew)) {
		switch {
		case !now.Before(r.again):
			r.flight = make(chan struct{})
			go r.run(r.flight)
		case !holds && r.lastErr != nil:
			err := r.lastErr
			r.mu.Unlock()
			return none, err
		}
	}
	flight := r.flight
	r.mu.Unlock()
	if holds {
		return h.value, nil
	}
	if flight != nil {
		select {
		case <-ctx.Done():
			return none, context.Cause(ctx)
		case <-flight:
		}
	}
	if h := r.held.Load(); h != nil && r.now().Before(h.expire) {
		return h.value, nil
	}
	if err := r.Check(); err != nil {
		return none, err
	}
	return none, errExpired
}

var errExpired = errors.New("the credential that was fetched has already expired; check this machine's clock")

// run fetches once. It is not bound to the request that began it, since others wait for
// it as well.
func (r *Renewed[T]) run(flight chan struct{}) {
	ctx, cancel := context.WithTimeout(context.Background(), fetchTime)
	defer cancel()
	value, expires, err := r.fetch(ctx)
	now := r.now()

	r.mu.Lock()
	before := r.lastErr
	r.lastErr = err
	old := r.held.Load()
	holds := old != nil && now.Before(old.expire)
	switch {
	case err == nil:
		if expires.IsZero() {
			expires = now.Add(endless)
		}
		life := expires.Sub(now)
		r.held.Store(&held[T]{value: value, renew: expires.Add(-min(ahead, life/4)), expire: expires})
		r.again = now.Add(min(retry, max(life/8, retryWithout)))
	case holds:
		r.again = now.Add(retry)
	default:
		r.again = now.Add(retryWithout)
	}
	r.flight = nil
	r.mu.Unlock()
	close(flight)

	switch {
	case err != nil && before == nil && holds:
		r.logger.Error("credential renewal failed; using the last one until it expires", zap.Time("expires", old.expire), zap.Error(err))
	case err != nil && before == nil:
		r.logger.Error("credential unavailable; requests to this provider get 503 until it is", zap.Error(err))
	case err == nil && before != nil:
		r.logger.Info("credential is available again")
	}
}

// Check reports why the last fetch failed, if it did. It makes no connections.
func (r *Renewed[T]) Check() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.lastErr
}
