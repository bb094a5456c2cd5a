package llmroute

import (
	"errors"
	"io"
	"net/http"
	"slices"
	"strings"
	"time"

	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"

	"github.com/caddy-llm/gateway/internal/hopbyhop"
	"github.com/caddy-llm/gateway/llmprovider"
	"github.com/caddy-llm/gateway/llmprovider/tap"
	"github.com/caddy-llm/gateway/llmroute/receive"
)

const (
	// restTime bounds how long the rest of a complete stream is read when the
	// client has left, and restSize how much of it, in bytes.
	restTime = time.Second
	restSize = 64 << 10
)

var (
	noBuffering = []string{"no"}
	eventStream = []string{"text/event-stream"}
)

// errClientWrite marks a failure to write to the client.
type errClientWrite struct{ error }

// respond passes a provider's response on to the client, from its status to its
// end. Nothing that happens from here on leads to another attempt.
func (x *exchange) respond(a *attempt) error {
	if denied := x.verdictOn(a); denied != nil {
		return x.refuse(denied)
	}
	res, dog := a.res, a.dog
	defer res.Body.Close()
	if x.picked != nil {
		x.tellPicker(a)
	}
	dog.Restart(a.provider.Timeouts().Idle, receive.ErrIdle)
	events := llmprovider.IsEvents(res.Header)
	if !events && a.stream {
		began := time.Now()
		events = receive.SniffEvents(res, dog)
		x.waited += time.Since(began)
	}
	x.Compressed = llmprovider.Compressed(res.Header)
	reader := x.filtered(tap.NewReader(a.out, res, events && !x.Compressed))
	r := relay{
		x: x, body: res.Body, length: res.ContentLength, reader: reader, dog: dog,
		begin: llmprovider.Head{Status: res.StatusCode, Header: res.Header, Stream: events},
	}
	reader.Head(&r.begin)
	x.in.Release() // no further attempt needs the request's body, nor does the reader
	r.stream = r.begin.Stream
	if r.flushes = r.stream || res.ContentLength < 0; r.flushes {
		r.out = http.NewResponseController(x.w)
	}
	x.Overhead = time.Since(x.Began) - x.waited - x.in.Took
	err := r.run()
	x.Usage = *reader.Usage()
	if x.operation() == llmprovider.StoredResponse && !x.usageOfStored(&x.Usage) {
		x.Usage = llmprovider.Usage{Model: x.Usage.Model, FinishReason: x.Usage.FinishReason}
	}
	x.charge(&x.Usage)
	if x.Erred = reader.Failed(); x.Erred {
		if res.StatusCode < 400 { // else the status has told
			x.cool(a.ctx, receive.ErrorStatus(reader.Failure()), nil, true)
		}
		if c := x.h.logger.Check(zapcore.WarnLevel, "provider reported an error inside its response"); c != nil {
			c.Write(x.logFields()...)
		}
	}
	if err == nil && cutShort(res, reader) {
		err = io.ErrUnexpectedEOF
	}
	// What comes after the event that ends a stream is of no interest: the Go SDK
	// leaves at that event, and some providers cut the connection there.
	if err == nil {
		x.succeeded(res)
		return nil
	}
	var refused *llmprovider.Error
	if errors.As(err, &refused) && !x.clientGone() { // by a filter, whatever else has come
		return x.abort(a, &r, err)
	}
	if (r.lost != nil || x.clientGone()) && reader.Settled() && !reader.Ended() {
		x.succeeded(res)
		return nil // the client left at the finish reason, and the usage has come
	}
	if r.stream && reader.Ended() {
		x.succeeded(res)
		dog.Restart(restTime, receive.ErrIdle)
		_, _ = io.CopyN(io.Discard, res.Body, restSize) // for the connection's sake
		return nil
	}
	return x.abort(a, &r, err)
}

// streamed readies the header of a stream for what stands between here and the
// client.
func streamed(header http.Header) {
	header.Del("Content-Length") // an event may be hidden
	if !slices.ContainsFunc(header["Cache-Control"], func(v string) bool { return strings.Contains(v, "no-transform") }) {
		header.Add("Cache-Control", "no-transform") // or encode would hold events back
	}
	header["X-Accel-Buffering"] = noBuffering // or nginx in front would
	if len(header["Content-Type"]) == 0 {
		header["Content-Type"] = eventStream
	}
}

// succeeded notes for the provider that its response came to its end without an
// error. Its head alone says nothing: a provider may break off every time.
func (x *exchange) succeeded(res *http.Response) {
	if res.StatusCode < 300 && !x.Erred {
		x.provider.state.Pauses.Succeeded(x.sent, x.model)
		if x.visit != nil {
			x.visit.Endpoint().Succeeded(x.sent)
		}
	}
}

// cutShort reports whether a response whose end is the end of its connection broke
// off. It is whole if its connection ended in order (RFC 9112, section 8), unless
// it says otherwise itself.
func cutShort(res *http.Response, reader llmprovider.Reader) bool {
	if res.ContentLength >= 0 || res.ProtoMajor >= 2 || len(res.TransferEncoding) > 0 || res.StatusCode >= 400 {
		return false
	}
	return reader.Unfinished()
}

// abort ends a response that cannot be finished, so that the client sees that it is
// not whole: by an error if it has not begun, a stream by an error event, and the
// connection by being cut.
func (x *exchange) abort(a *attempt, r *relay, err error) error {
	x.Aborted = true
	var write errClientWrite
	if errors.As(err, &write) || x.clientGone() {
		x.Gone = true
		if c := x.h.logger.Check(zapcore.DebugLevel, "client left before the response ended"); c != nil {
			c.Write(append(x.logFields(), zap.Error(err))...)
		}
		panic(http.ErrAbortHandler)
	}
	if !errors.As(err, &x.Failure) { // of the gateway's own making, such as a filter's
		x.Failure = attemptError(a.provider, a.ctx, err)
		if !endedByGateway(a.ctx) {
			x.cool(a.ctx, 0, nil, true)
		}
	}
	level := zapcore.ErrorLevel
	if x.Failure.Status < 500 { // a guard denies it
		level = zapcore.InfoLevel
	}
	if c := x.h.logger.Check(level, "response broke off"); c != nil {
		c.Write(append(x.logFields(), zap.String("code", x.Failure.Code), zap.Duration("after", time.Since(x.Began)), zap.Error(err))...)
	}
	if !r.begun {
		x.Aborted = false
		return x.refuse(x.Failure)
	}
	if r.stream {
		_, _ = x.w.Write(r.reader.ErrorEvent(x.Failure))
	}
	_ = http.NewResponseController(x.w).Flush()
	panic(http.ErrAbortHandler)
}

// copyHeader adds a provider's response headers to the client's response, but
// for those of the provider's connection and Alt-Svc, which names other ports of
// the provider's host.
func copyHeader(to, from http.Header) {
	hopbyhop.Remove(from)
	delete(from, "Alt-Svc")
	for name, values := range from {
		if have := to[name]; len(have) > 0 && name != "Server" && name != "Date" {
			values = append(have[:len(have):len(have)], values...)
		}
		to[name] = values
	}
}
