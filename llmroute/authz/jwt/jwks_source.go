package jwt

import (
	"context"
	"crypto/sha256"
	"errors"
	"net/url"
	"sync"
	"sync/atomic"
	"time"

	"go.uber.org/zap"

	"github.com/caddy-llm/gateway/internal/shared"
)

const (
	// keysMaxAge is how old fetched keys may be before they are fetched again.
	keysMaxAge = 20 * time.Minute
	// keysOnDemand is how often tokens that the keys do not verify may have them
	// fetched, and keysBurst how often at once. In between they wait: a fetch is for
	// all who wait, so that no client can use it up.
	keysOnDemand = time.Second
	keysBurst    = 10
	// keysRetry is how long a server that failed is left alone, doubled with
	// each further failure up to keysMaxRetry.
	keysRetry    = time.Second
	keysMaxRetry = time.Minute
	// keysTimeout is how long a fetch may take if nothing else is said.
	keysTimeout = 5 * time.Second
)

// keySource fetches an issuer's keys and keeps them. It is shared by the rules
// and sets that have the same keyAddress, and safe for concurrent use.
type keySource struct {
	address keyAddress
	now     func() time.Time

	current atomic.Pointer[fetchedKeys]

	mu       sync.Mutex
	running  chan struct{} // closed when the fetch under way is done; nil without one
	started  time.Time     // when it began
	tried    time.Time     // when the last fetch ended
	demanded time.Time     // until when the fetches that tokens had made are paid for
	failures int           // in a row
	sum      [sha256.Size]byte
}

// fetchedKeys are keys, and when they were last fetched.
type fetchedKeys struct {
	set *keySet
	at  time.Time
}

// keyAddress is where keys come from, and how.
type keyAddress struct {
	uri     string // of the keys, or
	issuer  string // whose configuration says where they are
	ca      string // a file
	guarded bool   // from an object, which may not name every address
	timeout time.Duration
}

var keySources shared.Values[keyAddress, keySource]

func sourceOf(address keyAddress) *keySource {
	return keySources.Get(address, func() *keySource {
		return &keySource{address: address, now: time.Now}
	})
}

// keys returns the keys, nil if there are none. It waits only for the first
// ones.
func (s *keySource) keys(ctx context.Context, logger *zap.Logger) *keySet {
	fetched := s.current.Load()
	if fetched == nil {
		s.wait(ctx, s.fetch(logger))
		if fetched = s.current.Load(); fetched == nil {
			return nil
		}
	}
	if s.now().Sub(fetched.at) > keysMaxAge {
		s.fetch(logger)
	}
	return fetched.set
}

// demand fetches the keys for a token that tried does not verify, because it names
// another key or a key was replaced under its name. It returns the keys that verify
// the token, or the last ones with the error.
func (s *keySource) demand(ctx context.Context, logger *zap.Logger, tried *keySet, verify func(*keySet) error) (*keySet, error) {
	began := s.now()
	for {
		if set := s.current.Load().set; set != tried {
			tried = set
			if verify(set) == nil {
				return set, nil
			}
		}
		done, wait := s.onDemand(logger, began)
		switch {
		case wait > 0:
			timer := time.NewTimer(wait)
			select {
			case <-timer.C:
			case <-ctx.Done():
				timer.Stop()
				return tried, ctx.Err()
			}
		case done == nil: // fetched since, or the server failed a moment ago
			set := s.current.Load().set
			return set, verify(set)
		default:
			s.wait(ctx, done)
			if ctx.Err() != nil {
				return tried, ctx.Err()
			}
		}
	}
}

// onDemand begins to fetch the keys unless that was begun since, and returns what to
// wait for: the end of a fetch, or a time. Both are none if there is nothing more to
// come.
func (s *keySource) onDemand(logger *zap.Logger, since time.Time) (done <-chan struct{}, wait time.Duration) {
	s.mu.Lock()
	now := s.now()
	switch {
	case s.running != nil:
		done = s.running
	case s.started.After(since):
	default:
		if s.demanded.Before(now) {
			s.demanded = now
		}
		if wait = max(0, s.demanded.Sub(now)-(keysBurst-1)*keysOnDemand); wait > 0 {
			break
		}
		s.demanded = s.demanded.Add(keysOnDemand)
		s.mu.Unlock()
		return s.fetch(logger), 0
	}
	s.mu.Unlock()
	return done, wait
}

// fetch begins to fetch the keys, unless that is under way, or failed a moment
// ago. The channel is closed when it is done, and nil in the last case.
func (s *keySource) fetch(logger *zap.Logger) <-chan struct{} {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.running != nil {
		return s.running
	}
	if s.failures > 0 {
		pause := min(keysRetry<<min(s.failures-1, 10), keysMaxRetry)
		if s.now().Sub(s.tried) < pause {
			return nil
		}
	}
	s.running, s.started = make(chan struct{}), s.now()
	go s.run(s.running, logger)
	return s.running
}

// run fetches the keys. It has a time of its own, because others than the
// request that caused it wait for it too.
func (s *keySource) run(done chan struct{}, logger *zap.Logger) {
	ctx, cancel := context.WithTimeout(context.Background(), s.address.timeout)
	defer cancel()
	data, err := s.address.fetch(ctx)
	var set *keySet
	sum := sha256.Sum256(data)
	last := s.current.Load()
	if err == nil {
		if last != nil && sum == s.sum { // s.sum is written here only, and by one at a time
			set = last.set // so that tokens that it verified stay verified
		} else {
			set, err = parseKeySet(data)
		}
	}
	if err == nil {
		s.current.Store(&fetchedKeys{set: set, at: s.now()})
		s.sum = sum
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.report(last, set, err, logger)
	s.running, s.tried = nil, s.now()
	close(done)
}

// report logs what has changed, and counts failures.
func (s *keySource) report(last *fetchedKeys, set *keySet, err error, logger *zap.Logger) {
	failed := s.failures > 0
	where := zap.String("server", s.address.name())
	switch {
	case err != nil && last != nil && !failed:
		logger.Warn("cannot fetch a token issuer's keys; keeping the last ones", where, zap.Error(err))
	case err != nil && !failed:
		logger.Warn("cannot fetch a token issuer's keys; its tokens are refused", where, zap.Error(err))
	case err == nil && (failed || last == nil || last.set != set):
		logger.Info("fetched a token issuer's keys", where, zap.Int("keys", len(set.keys)), zap.Int("unused", set.unused))
	}
	if err != nil {
		s.failures++
	} else {
		s.failures = 0
	}
}

func (s *keySource) wait(ctx context.Context, done <-chan struct{}) {
	if done == nil {
		return
	}
	select {
	case <-done:
	case <-ctx.Done():
	}
}

// name is the address for logs, without a query, which may hold a secret.
func (a keyAddress) name() string {
	text := a.uri
	if text == "" {
		text = a.issuer
	}
	u, err := url.Parse(text)
	if err != nil {
		return ""
	}
	return u.Scheme + "://" + u.Host + u.EscapedPath()
}

// plainError is an error of an HTTP client without the address, which logs have.
func plainError(err error) error {
	var failed *url.Error
	if errors.As(err, &failed) {
		return failed.Err
	}
	return err
}
