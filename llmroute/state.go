package llmroute

import (
	"net/http"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/caddyserver/caddy/v2"
)

const (
	// rateLimitPause is the first cool-down after a 429 without Retry-After;
	// each further one doubles it, up to maxPause.
	rateLimitPause = time.Second
	maxPause       = time.Minute
	// failurePause is the cool-down after failuresInRow failed attempts.
	failurePause  = 10 * time.Second
	failuresInRow = 3
	// maxRetryAfter bounds what a provider may ask for.
	maxRetryAfter = time.Hour
)

// states holds what is known of each provider by its name. It outlives
// configurations and snapshots: a provider that asked for a pause keeps it.
var states = caddy.NewUsagePool()

// providerState is what attempts have shown of a provider.
type providerState struct {
	// inFlight is the number of attempts under way.
	inFlight atomic.Int64

	// usage are the provider's metrics.
	usage providerMetrics

	// coolUntil is when the provider is to be preferred again, in Unix
	// nanoseconds; 0 when it is not cooling down.
	coolUntil atomic.Int64

	// coolDowns is the number of pauses so far.
	coolDowns atomic.Int64

	mu          sync.Mutex // guards what follows
	failures    int        // in a row
	rateLimited int        // 429 in a row
	models      modelList
}

// acquireState returns the state of the provider of that name. Each call is
// paired with one of releaseState.
func acquireState(name string) *providerState {
	value, _ := states.LoadOrStore(name, new(providerState))
	return value.(*providerState)
}

func releaseState(name string) {
	_, _ = states.Delete(name) // its value has no destructor that could fail
}

// cooling tells whether the provider asked for, or earned, a pause.
func (s *providerState) cooling(now time.Time) bool {
	until := s.coolUntil.Load()
	return until != 0 && now.UnixNano() < until
}

// succeeded notes an answer.
func (s *providerState) succeeded() {
	s.mu.Lock()
	s.failures, s.rateLimited = 0, 0
	s.mu.Unlock()
}

// failed notes an attempt that gave no usable answer, and returns the pause
// that follows from it, or 0. header is the answer's, nil if there was none.
func (s *providerState) failed(now time.Time, status int, header http.Header) time.Duration {
	s.mu.Lock()
	defer s.mu.Unlock()
	var pause time.Duration
	if status == http.StatusTooManyRequests {
		// Requests that were under way together say the same thing once.
		if s.rateLimited == 0 || !s.cooling(now) {
			s.rateLimited++
		}
		pause = min(rateLimitPause<<min(s.rateLimited-1, 6), maxPause)
	} else if s.failures++; s.failures >= failuresInRow {
		pause = failurePause
	}
	if asked := retryAfter(header, now); asked > 0 {
		pause = asked
	}
	if until := now.Add(pause).UnixNano(); pause > 0 && until > s.coolUntil.Load() {
		if !s.cooling(now) {
			s.coolDowns.Add(1)
		}
		s.coolUntil.Store(until)
	}
	return pause
}

// retryAfter reads a Retry-After header (RFC 9110, section 10.2.3), or the
// retry-after-ms that some providers send beside it.
func retryAfter(header http.Header, now time.Time) time.Duration {
	var d time.Duration
	if ms, err := strconv.ParseFloat(strings.TrimSpace(header.Get("Retry-After-Ms")), 64); err == nil && ms > 0 && ms < 1e9 {
		d = time.Duration(ms * float64(time.Millisecond))
	} else if value := strings.TrimSpace(header.Get("Retry-After")); value == "" {
		return 0
	} else if seconds, err := strconv.ParseFloat(value, 64); err == nil {
		if seconds > 0 && seconds < 1e6 {
			d = time.Duration(seconds * float64(time.Second))
		}
	} else if at, err := http.ParseTime(value); err == nil {
		d = at.Sub(now)
	}
	return min(max(d, 0), maxRetryAfter)
}
