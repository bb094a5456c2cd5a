package authz

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"

	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
	"go.uber.org/zap"

	"github.com/caddy-llm/gateway/internal/hopbyhop"
	"github.com/caddy-llm/gateway/internal/host"
	"github.com/caddy-llm/gateway/llmprovider"
	"github.com/caddy-llm/gateway/llmprovider/headername"
)

const (
	// partialHeader tells the service whether it has the beginning of the body only.
	partialHeader = "X-Envoy-Auth-Partial-Body"

	// endpointHeader tells the service which endpoint will be called, whatever the path
	// is that the client writes it as. Without it the path is no endpoint.
	endpointHeader = "X-Llm-Endpoint"
)

// check asks the service. endpoint is what the request will call, empty if it is no
// endpoint. It puts what the service wants into the request and into the header of the
// answer, and returns nil if the request may pass. merged are further readings of the path,
// all of which the service must let pass.
func (e *external) check(answer http.Header, r *http.Request, endpoint string, logger *zap.Logger, merged ...reading) *Refusal {
	body, partial, refusal := e.body(r)
	if refusal != nil {
		return refusal
	}
	for _, one := range merged { // first: nothing of the request has changed
		if _, refusal := e.decide(r, one, body, partial, logger); refusal != nil {
			return refusal
		}
	}
	header, refusal := e.decide(r, reading{sentPath(r.URL), endpoint}, body, partial, logger)
	for name, values := range header {
		if ofMessage(name) {
			continue
		}
		if e.upstream.has(name) {
			r.Header[name] = slices.Clone(values)
		}
		if e.downstream.has(name) {
			answer[name] = append(slices.Clip(answer[name]), values...)
		}
	}
	return refusal
}

// decide asks the service about one reading of the path. The header is that of its response
// if it lets the request pass.
func (e *external) decide(r *http.Request, as reading, body []byte, partial bool, logger *zap.Logger) (http.Header, *Refusal) {
	ctx, cancel := context.WithTimeout(r.Context(), e.timeout)
	defer cancel()
	res, err := e.ask(ctx, r, as, body, partial)
	if err != nil {
		return nil, e.failed(r, err, logger)
	}
	defer res.Body.Close()
	hopbyhop.RemoveNamed(res.Header)
	if res.StatusCode != http.StatusOK {
		return nil, e.refusal(res)
	}
	if res.ContentLength > 0 && res.ContentLength <= maxRefusalBody {
		_, _ = io.Copy(io.Discard, res.Body) // so that the connection can be used again
	}
	return res.Header, nil
}

// ask sends the request that asks. It names the host, the path and the endpoint as
// policies and the router read them: the host in its normal form, the path with its dot
// segments resolved, and the endpoint in a header. A response of 500 or more is an error,
// for Envoy too.
func (e *external) ask(ctx context.Context, r *http.Request, as reading, body []byte, partial bool) (*http.Response, error) {
	name, _ := host.Name(r.Host)
	plain, err := url.PathUnescape(as.path)
	if err != nil {
		return nil, fmt.Errorf("path: %w", err)
	}
	to := &url.URL{
		Scheme: "http", Host: e.address, Path: e.plainPrefix + plain, RawPath: e.PathPrefix + as.path,
		RawQuery: r.URL.RawQuery, ForceQuery: r.URL.ForceQuery,
	}
	question, err := http.NewRequestWithContext(ctx, r.Method, "http://"+e.address, bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	question.URL, question.Host = to, host.InURL(name)
	e.header(question.Header, r)
	question.Header[headername.Loop] = llmprovider.MarkLoop(r.Header) // it may be behind the gateway that asks it
	delete(question.Header, endpointHeader)                           // the client's own
	if as.endpoint != "" {
		question.Header[endpointHeader] = []string{(&url.URL{Path: as.endpoint}).EscapedPath()}
	}
	if e.IncludeRequestBodyInCheck != nil {
		question.Header[partialHeader] = []string{"false"}
		if partial {
			question.Header[partialHeader] = []string{"true"}
		}
	}
	res, err := e.transport.RoundTrip(question) // which follows no redirects
	if err != nil {
		return nil, err
	}
	if res.StatusCode < 200 || res.StatusCode >= 500 {
		res.Body.Close()
		return nil, fmt.Errorf("the service answers with status %d", res.StatusCode)
	}
	return res, nil
}

// header is what the service gets of the request's header. Authorization is
// always a part of it, as in Envoy.
func (e *external) header(to http.Header, r *http.Request) {
	to["User-Agent"] = nil // not Go's own
	// Asking twice does no harm, for instance on a connection that the service
	// has just closed. The header itself is not sent.
	to["X-Idempotency-Key"] = nil
	trusted := e.trustsPeer(r)
	for name, values := range r.Header {
		switch {
		case name != "Authorization" && !e.asked.has(name), headername.IsConnection(name), name == partialHeader:
		case isVouchedFor(name) && !trusted, headername.IsMesh(name):
		default:
			to[name] = values
		}
	}
	e.way(to, r)
	for name, values := range e.added {
		to[name] = values
	}
}

// isVouchedFor reports whether a header tells of the way that a request came, so that a
// service believes what the proxies that it knows say in it.
func isVouchedFor(name string) bool {
	return name == "Forwarded" || strings.HasPrefix(name, "X-Forwarded-")
}

// trustsPeer reports whether a request comes from a proxy that may say whom it came from.
func (e *external) trustsPeer(r *http.Request) bool {
	trusted, _ := caddyhttp.GetVar(r.Context(), caddyhttp.TrustedProxyVarKey).(bool)
	return e.behindProxies || trusted
}

// way adds what the gateway itself says of the way that the request came, as Envoy does: the
// address of the connection's other end, after what trusted proxies say, and the scheme.
func (e *external) way(to http.Header, r *http.Request) {
	if e.asked.has("X-Forwarded-For") {
		to["X-Forwarded-For"] = []string{strings.Join(append(slices.Clone(to["X-Forwarded-For"]), PeerOf(r)), ", ")}
	}
	if e.asked.has("X-Forwarded-Proto") && to["X-Forwarded-Proto"] == nil {
		scheme := "http"
		if r.TLS != nil {
			scheme = "https"
		}
		to["X-Forwarded-Proto"] = []string{scheme}
	}
}

// body reads as much of the body as the service gets, and puts it back for later
// handlers. What is held meanwhile counts against the bound on bodies.
func (e *external) body(r *http.Request) (body []byte, partial bool, refusal *Refusal) {
	config := e.IncludeRequestBodyInCheck
	if config == nil || r.Body == nil || r.Body == http.NoBody {
		return nil, false, nil
	}
	limit, length := int64(config.MaxRequestBytes), r.ContentLength
	if length > limit && !config.AllowPartialMessage {
		return nil, false, errTooLarge
	}
	// One byte more reports whether there is more, unless the length does.
	most := limit
	if length < 0 {
		most++
	}
	read, in := *r, &llmprovider.Inbound{Budget: e.bodies}
	read.Body, read.ContentLength = io.NopCloser(io.LimitReader(r.Body, most)), min(length, limit)
	if err := in.ReadAny(&read, most); err != nil {
		in.Release()
		return nil, false, errBody(err)
	}
	body = in.Body()
	partial = length > limit || int64(len(body)) > limit
	reread := &rereadBody{rest: r.Body, release: sync.OnceFunc(in.Release)}
	reread.first.Reset(body)
	if r.Body = reread; len(body) == 0 {
		reread.release()
	}
	context.AfterFunc(r.Context(), reread.release) // the server closes its own body, and not this one
	if partial && !config.AllowPartialMessage {
		return nil, false, errTooLarge
	}
	return body[:min(int64(len(body)), limit)], partial, nil
}

// errTooLarge is Envoy's answer to a request whose body is too large to be shown.
var errTooLarge = &Refusal{Status: http.StatusRequestEntityTooLarge, Body: "Payload Too Large"}

// errBody is the answer to a request whose body cannot be read.
func errBody(err *llmprovider.Error) *Refusal {
	if err.Status == http.StatusRequestEntityTooLarge {
		return errTooLarge
	}
	refusal := &Refusal{Status: err.Status, Body: err.Message}
	if err.RetryAfter > 0 {
		refusal.Header = http.Header{"Retry-After": {err.RetrySeconds()}}
	}
	return refusal
}

// rereadBody is a body whose beginning was read before. release is called once that was read
// again, or nobody will.
type rereadBody struct {
	first   bytes.Reader
	rest    io.ReadCloser
	release func()
}

// Read implements io.Reader.
func (b *rereadBody) Read(p []byte) (int, error) {
	if b.first.Len() == 0 {
		return b.rest.Read(p)
	}
	n, err := b.first.Read(p)
	if b.first.Len() == 0 {
		b.first.Reset(nil)
		b.release()
	}
	return n, err
}

// Close implements io.Closer.
func (b *rereadBody) Close() error {
	b.release()
	return b.rest.Close()
}

// failed is what becomes of a request while the service fails. Envoy's answer
// has no body either.
func (e *external) failed(r *http.Request, err error, logger *zap.Logger) *Refusal {
	refusal := &Refusal{Status: e.statusOnError}
	if r.Context().Err() != nil { // the client has gone
		return refusal
	}
	if errors.Is(err, context.DeadlineExceeded) {
		err = fmt.Errorf("the service did not answer within %s", e.timeout)
	}
	fields := []zap.Field{zap.String("service", e.name), zap.String("address", e.address), zap.Error(err)}
	if e.FailOpen {
		logger.Error("external authorization failed; request allowed by fail_open", fields...)
		return nil
	}
	logger.Error("external authorization failed; request refused", fields...)
	return refusal
}

// refusal is the service's answer for the client.
func (e *external) refusal(res *http.Response) *Refusal {
	refusal := &Refusal{Status: res.StatusCode, Header: make(http.Header, len(res.Header))}
	for name, values := range res.Header {
		// With a list, Envoy adds what a refusal cannot do without.
		listed := len(e.refused) == 0 || e.refused.has(name) || name == "Www-Authenticate" || name == "Location"
		if listed && !headername.IsConnection(name) {
			refusal.Header[name] = values
		}
	}
	// A response that breaks off is a refusal nevertheless.
	body, _ := io.ReadAll(io.LimitReader(res.Body, maxRefusalBody))
	refusal.Body = string(body)
	return refusal
}
