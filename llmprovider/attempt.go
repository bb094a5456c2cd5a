package llmprovider

import (
	"bytes"
	"cmp"
	"context"
	"net/http"
	"net/url"
)

// Attempt is one request to one provider.
type Attempt struct {
	Request *http.Request

	// Endpoint is what is asked of the provider: the client's endpoint, or that of
	// another API into which the request was translated.
	Endpoint Endpoint

	// Model is the model sent, empty if the body names none.
	Model string
	// FixedModel reports whether Model comes from the configuration, so that it may
	// be a metric label.
	FixedModel bool
	// Stream reports whether the provider is asked for server-sent events.
	Stream bool
	// AddedStreamOptions reports whether the body has stream_options that the client
	// did not send.
	AddedStreamOptions bool
	// StreamForced reports whether the configuration turned a client's stream off.
	StreamForced bool
	// Translation is how the request was translated, nil if it was not.
	Translation *Translation

	// HideUsage has the usage of a stream kept from the client, which did not ask
	// for it.
	HideUsage bool

	newReader func(res *http.Response, events bool) Reader // nil to pass responses on
	request   http.Request                                 // Request, in the same piece of memory
	joined    bytes.Reader                                 // its body, if it is small
	segs      segments                                     // its body, if it is not, until there is a response
	buf       *buffer                                      // what they are of
}

// Translation is what a translation between APIs has to say of a request.
type Translation struct {
	// From is the name of the client's API and To of the provider's, such as messages.
	From, To string
	// Dropped and Approximated are the fields of the client's API that the provider is
	// not told, and those that it is told otherwise. The names come from tables.
	Dropped, Approximated []string
}

// Outgoing is what a kind makes of a client's request: all but the headers and the
// connection, which Connection has.
type Outgoing struct {
	// URL is where the request goes, from upstream.Connection's URL. It is shared and not
	// changed.
	URL *url.URL

	// Address is the host and port that the request goes to instead of the URL's: of a
	// pool's endpoint. Empty for the URL's.
	Address string

	// Model, FixedModel, Stream and StreamForced are those of the Attempt.
	Model                            string
	FixedModel, Stream, StreamForced bool

	// Edits are the changes of the client's JSON body. Everything else of it stays
	// as it is, byte for byte.
	Edits Edits

	// Endpoint is that of the Attempt. Default: the client's.
	Endpoint Endpoint

	// NewReader makes the reader of a response that the client is not to get as it is;
	// see Attempt.OwnReader. Without one, and where it returns nil, the response passes
	// through.
	NewReader func(res *http.Response, events bool) Reader

	// Body is the JSON to send in place of the client's, nil for that with Edits. With
	// it, headers that belong to the client's API are left out. It is not changed; its
	// memory counts against Inbound.Budget.
	Body []byte

	// Header are further headers, by their names in canonical form; one without values
	// keeps the client's from being sent. They are not changed.
	Header http.Header

	// Translation and AddedStreamOptions are those of the Attempt.
	Translation        *Translation
	AddedStreamOptions bool

	// HideUsage is that of the Attempt.
	HideUsage bool

	// Auth is the provider's credential; nil without one. Then a client's own may be
	// forwarded, if the configuration says so.
	Auth Authorizer
}

// Changed reports whether the body that is sent is not the client's, byte for byte.
func (out *Outgoing) Changed(in *Inbound) bool {
	return out.Body != nil || in.changed || in.isJSON && out.Edits.change()
}

// NewAttempt builds the request that out describes from in, with the header, which is the
// attempt's from then on. It depends on its arguments alone, never on an earlier attempt.
func NewAttempt(ctx context.Context, in *Inbound, out *Outgoing, header http.Header) (*Attempt, *Error) {
	a := &Attempt{
		Model: out.Model, FixedModel: out.FixedModel, Stream: out.Stream, StreamForced: out.StreamForced,
		HideUsage: out.HideUsage, newReader: out.NewReader, Endpoint: out.Endpoint, Translation: out.Translation,
		AddedStreamOptions: out.AddedStreamOptions,
	}
	if a.Endpoint.Operation == "" {
		a.Endpoint = in.Endpoint
	}
	if out.Edits.IncludeUsage && !in.members.streamOptions.present() {
		a.AddedStreamOptions = true
	}
	var segs segments
	switch {
	case out.Body != nil:
		segs.add(out.Body)
	case in.isJSON:
		segs = splice(in.body.b, &in.members, &out.Edits)
	default:
		segs.add(in.Body())
	}
	target := out.URL
	if out.Address != "" {
		target = At(out.Address, target)
	}
	a.request = *(&http.Request{
		Method: cmp.Or(in.Endpoint.Method, http.MethodPost), URL: target, Host: target.Host, Header: header,
		Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1, ContentLength: segs.size,
	}).WithContext(ctx)
	a.Request = &a.request
	if out.Auth != nil {
		if err := out.Auth.Authorize(a.Request, Body{segs}); err != nil {
			return nil, err
		}
	}
	buf := in.body
	if out.Body != nil {
		var err *Error
		if buf, err = in.holdSent(out.Body); err != nil {
			return nil, err
		}
	}
	if buf != nil {
		a.setBody(&segs, buf)
	}
	return a, nil
}

// OwnReader returns the reader that the attempt's kind has for a response, nil if the
// client is to get the response as it is. events reports whether it is a stream of
// server-sent events, whatever its content type says. It is called once, when there is a
// response: the attempt then lets go of the request, which is not to be held for as long
// as a stream is open.
func (a *Attempt) OwnReader(res *http.Response, events bool) Reader {
	newReader := a.newReader
	a.newReader, a.segs, a.buf = nil, segments{}, nil
	if newReader == nil {
		return nil
	}
	return newReader(res, events)
}

// ReplaceBody has the attempt send another body, whose memory counts against the budget of
// in. The error is what the client is to be told.
func (a *Attempt) ReplaceBody(in *Inbound, body []byte) *Error {
	if a.request.Body != nil {
		_ = a.request.Body.Close()
	}
	buf, err := in.holdSent(body)
	if err != nil {
		return err
	}
	var segs segments
	segs.add(body)
	a.request.ContentLength = segs.size
	a.setBody(&segs, buf)
	return nil
}
