// Package cooldown knows for how long a provider is to be passed over: the pauses that it
// asked for, or that follow from its failures.
//
// It imports nothing of the gateway. Begin with Pauses.
package cooldown

import (
	"net/http"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

const (
	// rateLimitPause is the first cool-down after a 429 without Retry-After;
	// each further one doubles it, up to maxPause.
	rateLimitPause = time.Second
	maxPause       = time.Minute
	// failurePause is the cool-down after failuresInRow failed attempts.
	failurePause  = 10 * time.Second
	failuresInRow = 3
	// maxAsked bounds what a provider may ask for.
	maxAsked = time.Hour
)

// Pauses are the cool-downs of a provider. The zero value is one that has none. They are
// safe for concurrent use.
type Pauses struct {
	// began is the number of pauses so far.
	began atomic.Int64

	// paused reports whether all or limited may hold a pause, so that the usual
	// question costs no lock.
	paused atomic.Bool

	mu      sync.Mutex        // guards what follows
	all     pause             // for all models, after failures
	limited map[string]*pause // by model, after 429
}

// pause is a cool-down, and what it follows from.
type pause struct {
	row   int       // failures or 429 in a row
	since time.Time // the last of them
	long  time.Time // when a Retry-After of more than maxPause was said first
	until time.Time
}

// maxLimited bounds the models with pauses of their own: clients may name any.
// Those beyond share one.
const maxLimited = 64

// Began returns how many pauses began so far.
func (s *Pauses) Began() int64 { return s.began.Load() }

// Any reports whether there may be a pause for some model. It costs no lock.
func (s *Pauses) Any() bool { return s.paused.Load() }

// Forget ends all pauses, and forgets the failures so far.
func (s *Pauses) Forget() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.all, s.limited = pause{}, nil
	s.paused.Store(false)
}

// Cooling reports whether the provider asked for, or earned, a pause for requests
// with that model.
func (s *Pauses) Cooling(now time.Time, model string) bool {
	if !s.paused.Load() {
		return false
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if now.Before(s.all.until) {
		return true
	}
	p := s.limited[s.key(model)]
	return p != nil && now.Before(p.until)
}

// Until returns when the last pause ends of those that there are, for any
// model; zero without one.
func (s *Pauses) Until(now time.Time) (until time.Time) {
	if !s.paused.Load() {
		return until
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, p := range s.limited {
		if p.until.After(until) {
			until = p.until
		}
	}
	if s.all.until.After(until) {
		until = s.all.until
	}
	if !now.Before(until) {
		return time.Time{}
	}
	return until
}

// key is the name under which a model has its pause. The caller holds mu.
func (s *Pauses) key(model string) string {
	if s.limited[model] == nil && len(s.limited) >= maxLimited {
		return ""
	}
	return model
}

// Succeeded notes a response that came to its end, to an attempt that was sent then.
// It ends the pauses that were there already when it was sent.
func (s *Pauses) Succeeded(sent time.Time, model string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.all.since.Before(sent) {
		s.all = pause{}
	}
	if key := s.key(model); s.limited[key] != nil && s.limited[key].since.Before(sent) {
		delete(s.limited, key)
	}
	s.paused.Store(len(s.limited) > 0 || !s.all.until.IsZero())
}

// Failed notes an attempt, sent then, that gave no usable answer, and returns the
// pause that follows from it, or 0. header is the response's, nil if there was none.
func (s *Pauses) Failed(sent, now time.Time, model string, status int, header http.Header) time.Duration {
	s.mu.Lock()
	defer s.mu.Unlock()
	p, most := &s.all, time.Duration(0)
	if status == http.StatusTooManyRequests {
		p = s.limit(now, model)
		// Requests that were under way together say the same thing once.
		if p.row == 0 || !now.Before(p.until) {
			p.row++
		}
		most = min(rateLimitPause<<min(p.row-1, 6), maxPause)
	} else if p.row++; p.row >= failuresInRow {
		most = failurePause
	}
	if asked := RetryAfter(header, now); asked > 0 {
		if most = asked; asked > maxPause {
			if p.long.IsZero() || !p.long.Before(sent) { // nobody has said it to an earlier request
				most = maxPause
			}
			if p.long.IsZero() {
				p.long = now
			}
		}
	}
	p.since = now
	if until := now.Add(most); most > 0 && until.After(p.until) {
		if !now.Before(p.until) {
			s.began.Add(1)
		}
		p.until = until
		s.paused.Store(true)
	}
	return most
}

// limit returns the pause of a model after 429, a new one if it has none. The
// caller holds mu.
func (s *Pauses) limit(now time.Time, model string) *pause {
	if s.limited[model] == nil && len(s.limited) >= maxLimited {
		for name, p := range s.limited {
			if now.After(p.until.Add(maxPause)) {
				delete(s.limited, name)
			}
		}
	}
	key := s.key(model)
	p := s.limited[key]
	if p == nil {
		if s.limited == nil {
			s.limited = make(map[string]*pause)
		}
		p = new(pause)
		s.limited[key] = p
	}
	return p
}

// RetryAfter reads a Retry-After header (RFC 9110, section 10.2.3), or the
// retry-after-ms that some providers send beside it.
func RetryAfter(header http.Header, now time.Time) time.Duration {
	var d time.Duration
	if ms, err := strconv.ParseFloat(strings.TrimSpace(header.Get("Retry-After-Ms")), 64); err == nil && ms > 0 && ms < 1e9 {
		d = time.Duration(ms * float64(time.Millisecond))
	} else if value := strings.TrimSpace(header.Get("Retry-After")); value == "" {
		return 0
	} else if seconds, err := strconv.ParseFloat(value, 64); err == nil {
		if seconds > 0 { // a quota may be gone for weeks, or for ever
			d = time.Duration(min(seconds, 1e6) * float64(time.Second))
		}
	} else if at, err := http.ParseTime(value); err == nil {
		d = at.Sub(now)
	}
	return min(max(d, 0), maxAsked)
}
