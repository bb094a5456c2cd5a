package llmprovider

import (
	"context"
	"encoding/json"
	"net/http"
	"strings"

	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
)

// RequestModel implements Provider.
func (p *OpenAI) RequestModel(in *Inbound, rule string) (model string, fixed bool) {
	if in.Endpoint.takesModel() {
		if f := p.ready.forRule(rule); f.model != "" {
			return f.model, true
		}
	}
	return in.Model, false
}

// NewAttempt implements Provider.
func (p *OpenAI) NewAttempt(ctx context.Context, in *Inbound, rule string) (*Attempt, *Error) {
	f := p.ready.forRule(rule)
	target := p.ready.urls[in.Endpoint.Suffix]
	if target == nil {
		return nil, &Error{
			Status: http.StatusNotFound, Type: TypeInvalidRequest, Code: "unsupported_endpoint",
			Message: "the provider's path does not end in /chat/completions, so the place of its " + in.Endpoint.Suffix + " endpoint is not known",
		}
	}
	a := &Attempt{Stream: in.Stream, operation: in.Endpoint.Operation}
	a.Model, a.FixedModel = p.RequestModel(in, rule)

	segs := segments{}
	var e edits
	if in.isJSON {
		e = p.edits(in, f, a)
		segs = splice(in.body.b, &in.members, &e)
	} else {
		segs.add(in.body.b)
	}
	out := outbound{
		forward: p.ready.forward, keyed: f.key != nil || p.ready.keyed, changed: e.change(), extra: len(p.ready.headers) + len(p.ready.secrets),
	}
	header := out.header(in.Header)
	if in.isJSON && in.Header.Get("Content-Type") == "" {
		header["Content-Type"] = contentJSON
	}
	if p.ready.trace != nil {
		p.ready.trace.Inject(ctx, traceHeader{header, p.ready.forward})
	}
	for _, name := range in.TokenHeaders {
		if out.keyed {
			delete(header, name)
		} else {
			header[name] = in.Header[name]
		}
	}
	if err := p.authorize(header, f); err != nil {
		return nil, err
	}
	a.request = *(&http.Request{
		Method: http.MethodPost, URL: target, Host: p.ready.hostport, Header: header,
		Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1, ContentLength: segs.size,
	}).WithContext(ctx)
	a.Request = &a.request
	a.setBody(&segs, in.body)
	return a, nil
}

var contentJSON = []string{"application/json"}

// edits works out what the configuration changes in the body.
func (p *OpenAI) edits(in *Inbound, f *filled, a *Attempt) edits {
	var e edits
	if in.Endpoint.Model != "" { // the body may name another one, which nothing has judged
		e.model, _ = json.Marshal(in.Endpoint.Model) // a string always marshals
	}
	if in.Endpoint.takesModel() && f.modelJSON != nil {
		e.model = f.modelJSON
	}
	if !in.Endpoint.takesStream() {
		return e
	}
	if e.stream = f.streamJSON; f.stream != nil {
		a.Stream = *f.stream
	}
	switch {
	case in.Stream && !a.Stream:
		e.dropOptions, a.StreamForced = true, true
	case a.Stream && in.Endpoint.asksStreamUsage() && !p.KeepStreamOptions && !asksUsage(in.body.b, in.members.streamOptions):
		e.includeUsage, a.hideUsage = true, true
	}
	return e
}

// authorize sets the provider's own headers. No credential of another provider
// can be in header: it is made from the client's alone.
func (p *OpenAI) authorize(header http.Header, f *filled) *Error {
	for _, h := range p.ready.headers {
		header[h.name] = h.value
	}
	for _, h := range p.ready.secrets {
		value, err := h.value.headerValue()
		if err != nil {
			return missingKey(err)
		}
		header[h.name] = value
	}
	if f.key != nil {
		value, err := f.key.headerValue()
		if err != nil {
			return missingKey(err)
		}
		header["Authorization"] = value
	}
	if p.ready.plainGuarded {
		header["Sec-Fetch-Mode"] = fetchMode
	}
	return nil
}

// missingKey is the answer when a provider's credential cannot be had. The
// reason names files and variables, so it is logged and not sent.
func missingKey(err error) *Error {
	return &Error{
		Status: http.StatusServiceUnavailable, Type: TypeServer, Code: "provider_key_missing",
		Message: "the gateway has no key for this provider; its operator finds the reason in the log", Cause: err,
	}
}

// Has implements Provider.
func (p *OpenAI) Has(e Endpoint) bool {
	target := p.ready.urls[e.Suffix]
	if e.Operation == ListModels {
		target = p.ready.urls[modelsSuffix]
	}
	return target != nil && strings.TrimSuffix(target.EscapedPath(), "/") == e.Own
}

// ModelsRequest implements Provider.
func (p *OpenAI) ModelsRequest(ctx context.Context, loop []string) (*http.Request, *Error) {
	target := p.ready.urls[modelsSuffix]
	if target == nil {
		return nil, &Error{Status: http.StatusNotFound, Type: TypeInvalidRequest, Code: "unsupported_endpoint", Message: "the place of the provider's models endpoint is not known"}
	}
	header := http.Header{"Accept": {"application/json"}, "Accept-Encoding": identityEncoding, LoopHeader: loop, "User-Agent": noUserAgent}
	if err := p.authorize(header, p.ready.base); err != nil {
		return nil, err
	}
	// The transport notes in these variables which proxy it uses. Several
	// providers may be asked at once on behalf of one client, and a map is not
	// safe for that.
	ctx = context.WithValue(ctx, caddyhttp.VarsCtxKey, make(map[string]any))
	return (&http.Request{
		Method: http.MethodGet, URL: target, Host: p.ready.hostport, Header: header, Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1,
	}).WithContext(ctx), nil
}
