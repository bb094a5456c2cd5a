package llmroute

import (
	"bytes"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"

	"github.com/caddy-llm/gateway/llmprovider/tap"
	"github.com/caddy-llm/gateway/llmroute/meter"
	"github.com/caddy-llm/gateway/llmroute/receive"
)

const (
	// rejectedExpiry is how long streams of a model are sent without
	// stream_options once its provider has rejected it.
	rejectedExpiry = time.Hour
	// maxRejected bounds the models that this is known of, for each provider.
	maxRejected = 256
)

// streamOptions is what is known of a provider's reading of stream_options.
type streamOptions struct {
	accepts atomic.Bool  // for some model
	known   atomic.Int32 // len(rejected)

	mu       sync.Mutex
	rejected map[string]time.Time // by model
}

// rejects reports whether the provider rejected it lately for the model.
func (s *streamOptions) rejects(model string, now time.Time) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	at, ok := s.rejected[model]
	return ok && now.Sub(at) < rejectedExpiry
}

// reject notes that the provider rejects it for the model. It returns false if
// that was known.
func (s *streamOptions) reject(model string, now time.Time) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if at, ok := s.rejected[model]; ok && now.Sub(at) < rejectedExpiry {
		return false
	}
	if s.rejected == nil {
		s.rejected = make(map[string]time.Time)
	}
	oldest, since := "", now
	for model, at := range s.rejected {
		if now.Sub(at) >= rejectedExpiry {
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

// knowsStreamOptions lets the attempt leave out stream_options if the provider is known
// to reject it.
func (x *exchange) knowsStreamOptions() {
	if known := &x.provider.state.streamOptions; known.known.Load() > 0 {
		model, _ := x.provider.RequestModel(x.in, x.settings)
		x.settings.WithoutStreamOptions = known.rejects(model, time.Now())
	}
}

// withoutStreamOptions sends an attempt that was rejected once more if the reason is the
// stream_options that the gateway added, then without them. It reports whether it did.
func (x *exchange) withoutStreamOptions(a *attempt) bool {
	if a.err != nil || !a.out.AddedStreamOptions {
		return false
	}
	known := &a.provider.state.streamOptions
	switch {
	case a.res.StatusCode < http.StatusBadRequest:
		if !known.accepts.Load() {
			known.accepts.Store(true)
		}
		return false
	case a.res.StatusCode != http.StatusBadRequest && a.res.StatusCode != http.StatusUnprocessableEntity, x.clientGone():
		return false
	}
	began := time.Now()
	a.dog.Restart(2*receive.PeekTime, receive.ErrFirstByte) // only so that none of before ends the attempt meanwhile
	blamed := blamesStreamOptions(a.res)
	x.waited += time.Since(began)
	if known.accepts.Load() && !blamed {
		return false // most often the client's own mistake
	}
	without := a.settings
	without.WithoutStreamOptions = true
	again, refused := x.newAttempt(a, without)
	if refused != nil {
		return false // the response is given as it is
	}
	_ = a.res.Body.Close()
	x.h.app.metrics.Attempt(a.provider.state.Provider, x.rule.Name, meter.StatusText(a.res.StatusCode))
	a.dog.Restart(a.provider.Timeouts().FirstByte, receive.ErrFirstByte)
	a.out = again
	if a.send(); a.err != nil || a.res.StatusCode >= http.StatusBadRequest {
		return true
	}
	if known.reject(again.Model, time.Now()) {
		if c := x.h.logger.Check(zapcore.WarnLevel, "provider rejects stream_options; streams of the model are sent without it, and may report no usage"); c != nil {
			c.Write(append(x.logFields(), zap.Duration("for", rejectedExpiry))...)
		}
	}
	return true
}

// blamesStreamOptions reports whether an error names stream_options. It reads receive.PeekSize
// of the body at most, or what comes of it in receive.PeekTime: a provider that stalls there
// must not take its error, or the next attempt, with it. The whole body is still to be
// read.
func blamesStreamOptions(res *http.Response) (blamed bool) {
	_, body, _ := receive.Peek(res.Body, func(text []byte, all bool) (v tap.Verdict, certain bool) {
		blamed = bytes.Contains(text, []byte("stream_options")) || bytes.Contains(text, []byte("include_usage"))
		return "", all // for the sake of the connection, which can then be used again
	})
	res.Body = body
	return blamed
}
