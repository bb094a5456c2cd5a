// Package known remembers what attempts have shown of a provider, beside what meter counts.
//
// It imports nothing of the gateway. Begin with StreamOptions.
package known

import (
	"sync"
	"sync/atomic"
	"time"
)

const (
	// RejectedExpiry is how long streams of a model are sent without
	// stream_options once its provider has rejected it.
	RejectedExpiry = time.Hour
	// maxRejected bounds the models that this is known of, for each provider.
	maxRejected = 256
)

// StreamOptions is what is known of a provider's reading of stream_options.
type StreamOptions struct {
	accepts atomic.Bool  // for some model
	known   atomic.Int32 // len(rejected)

	mu       sync.Mutex
	rejected map[string]time.Time // by model
}

// Any reports whether the provider rejected it for some model.
func (s *StreamOptions) Any() bool { return s.known.Load() > 0 }

// Accept notes that the provider takes it for some model.
func (s *StreamOptions) Accept() {
	if !s.accepts.Load() {
		s.accepts.Store(true)
	}
}

// Accepted reports whether the provider took it for some model.
func (s *StreamOptions) Accepted() bool { return s.accepts.Load() }

// Rejects reports whether the provider rejected it lately for the model.
func (s *StreamOptions) Rejects(model string, now time.Time) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	at, ok := s.rejected[model]
	return ok && now.Sub(at) < RejectedExpiry
}

// Reject notes that the provider rejects it for the model. It returns false if
// that was known.
func (s *StreamOptions) Reject(model string, now time.Time) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if at, ok := s.rejected[model]; ok && now.Sub(at) < RejectedExpiry {
		return false
	}
	if s.rejected == nil {
		s.rejected = make(map[string]time.Time)
	}
	oldest, since := "", now
	for model, at := range s.rejected {
		if now.Sub(at) >= RejectedExpiry {
			delete(s.rejected, model)
		} else if !at.After(since) {
			oldest, since = model, at
		}
	}
	if len(s.rejected) >= maxRejected {
		delete(s.rejected, oldest)
	}
	s.rejected[model] = now
	s.known.Store(int32(len(s.rejected)))
	return true
}
