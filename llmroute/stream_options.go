package llmroute

import (
	"bytes"
	"context"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"

	"github.com/caddy-llm/gateway/llmprovider"
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

// knowsStreamOptions lets the next attempt leave out stream_options if the
// provider is known to reject it.
func (x *exchange) knowsStreamOptions(p *provider) {
	if known := &p.state.streamOptions; known.known.Load() > 0 {
		model, _ := p.RequestModel(x.in, x.settings)
		x.settings.WithoutStreamOptions = known.rejects(model, time.Now())
	}
}

// send sends the attempt. If the provider rejects it because of the
// stream_options that the gateway added, it is sent once more without; the
// attempt that was answered is returned with its response.
func (x *exchange) send(ctx context.Context, attempt *llmprovider.Attempt, dog *watchdog) (*http.Response, *llmprovider.Attempt, error) {
	p := x.provider
	res, err := p.RoundTrip(attempt.Request)
	if err != nil || !attempt.AddedStreamOptions {
		return res, attempt, err
	}
	known := &p.state.streamOptions
	switch {
	case res.StatusCode < http.StatusBadRequest:
		if !known.accepts.Load() {
			known.accepts.Store(true)
		}
		return res, attempt, nil
	case res.StatusCode != http.StatusBadRequest && res.StatusCode != http.StatusUnprocessableEntity, x.clientGone():
		return res, attempt, nil
	}
	dog.restart(2*peekTime, errFirstByte) // only so that none of before ends the attempt meanwhile
	if blamed := blamesStreamOptions(res); known.accepts.Load() && !blamed {
		return res, attempt, nil // most often the client's own mistake
	}
	without := x.settings
	without.WithoutStreamOptions = true
	again, refused := p.NewAttempt(ctx, x.in, without)
	if refused != nil {
		return res, attempt, nil //nolint:nilerr // the answer is given as it is
	}
	_ = res.Body.Close()
	x.h.app.metrics.attempt(p, x.rule.Name, statusText(res.StatusCode))
	dog.restart(p.Timeouts().FirstByte, errFirstByte)
	if res, err = p.RoundTrip(again.Request); err != nil || res.StatusCode >= http.StatusBadRequest {
		return res, again, err
	}
	if known.reject(again.Model, time.Now()) {
		if c := x.h.logger.Check(zapcore.WarnLevel, "provider rejects stream_options; streams of the model are sent without it, and may report no usage"); c != nil {
			c.Write(append(x.logFields(), zap.Duration("for", rejectedExpiry))...)
		}
	}
	return res, again, nil
}

// blamesStreamOptions reports whether an error names stream_options. It reads peekSize
// of the body at most, or what comes of it in peekTime: a provider that stalls there
// must not take its error, or the next attempt, with it. The whole body is still to be
// read.
func blamesStreamOptions(res *http.Response) (blamed bool) {
	_, body, _ := peek(res.Body, func(text []byte, all bool) (v llmprovider.Verdict, certain bool) {
		blamed = bytes.Contains(text, []byte("stream_options")) || bytes.Contains(text, []byte("include_usage"))
		return "", all // for the sake of the connection, which can then be used again
	})
	res.Body = body
	return blamed
}
