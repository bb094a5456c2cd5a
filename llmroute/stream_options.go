package llmroute

import (
	"bytes"
	"net/http"
	"time"

	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"

	"github.com/caddy-llm/gateway/llmprovider/tap"
	"github.com/caddy-llm/gateway/llmroute/known"
	"github.com/caddy-llm/gateway/llmroute/meter"
	"github.com/caddy-llm/gateway/llmroute/receive"
)

// knowsStreamOptions lets the attempt leave out stream_options if the provider is known
// to reject it.
func (x *exchange) knowsStreamOptions() {
	if options := &x.provider.state.streamOptions; options.Any() {
		model, _ := x.provider.RequestModel(x.in, x.settings)
		x.settings.WithoutStreamOptions = options.Rejects(model, time.Now())
	}
}

// withoutStreamOptions sends an attempt that was rejected once more if the reason is the
// stream_options that the gateway added, then without them. It reports whether it did.
func (x *exchange) withoutStreamOptions(a *attempt) bool {
	if a.err != nil || !a.out.AddedStreamOptions {
		return false
	}
	options := &a.provider.state.streamOptions
	switch {
	case a.res.StatusCode < http.StatusBadRequest:
		options.Accept()
		return false
	case a.res.StatusCode != http.StatusBadRequest && a.res.StatusCode != http.StatusUnprocessableEntity, x.clientGone():
		return false
	}
	began := time.Now()
	a.dog.Restart(2*receive.PeekTime, receive.ErrFirstByte) // only so that none of before ends the attempt meanwhile
	blamed := blamesStreamOptions(a.res)
	x.waited += time.Since(began)
	if options.Accepted() && !blamed {
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
	if options.Reject(again.Model, time.Now()) {
		if c := x.h.logger.Check(zapcore.WarnLevel, "provider rejects stream_options; streams of the model are sent without it, and may report no usage"); c != nil {
			c.Write(append(x.logFields(), zap.Duration("for", known.RejectedExpiry))...)
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
