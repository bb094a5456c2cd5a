package llmprovider

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"

	"github.com/tidwall/gjson"
)

// DefaultMaxBody is the largest request body taken unless configured
// otherwise, in bytes.
const DefaultMaxBody = 32 << 20

// Inbound is a client's request: its endpoint, its headers, and its body, read
// and scanned once. It is not changed afterwards, but by Replace before the first
// attempt, so that every attempt is built from the same and from nothing else. It
// serves one request and is not safe for concurrent use until Read has returned.
type Inbound struct {
	Endpoint Endpoint
	Header   http.Header

	// Model is the model the client asked for, in the path or in the body, empty if
	// it named none. It is the client's own text: never a metric label.
	Model string

	// Stream reports whether the client asked for a stream: of server-sent events, or
	// with Array as the elements of one JSON array.
	Stream, Array bool

	// TokenHeaders are the names of headers that carry a token which was verified
	// and is to be forwarded, or what such a token says. Only a provider without a key of its own gets them.
	TokenHeaders []string

	// Budget is what the body's memory is reserved of, nil without a bound. It is
	// set before Read.
	Budget *Budget

	// Meaning is what a translation has read of the body, kept for further attempts; nil
	// without one.
	Meaning any

	// Took is how long the body took to arrive.
	Took time.Duration

	body    *buffer
	sent    *buffer // what the last attempt sends, if it is not body
	held    int64   // of Budget, by Hold, in bytes
	members members
	isJSON  bool
	changed bool // the body is not the client's
	read    bool
	begun   bool
	whole   bool
	err     *Error
}

// NewInbound returns the request as it is known before its body is read. The
// error is a request that no provider could have.
func NewInbound(r *http.Request) (*Inbound, *Error) {
	endpoint := EndpointOf(r.Method, r.URL)
	if endpoint.Operation == Responses && r.Method != http.MethodPost && wantsWebSocket(r) {
		return nil, errUpgrade()
	}
	in := &Inbound{Endpoint: endpoint, Header: r.Header, Model: endpoint.Model}
	if endpoint.Suffix == StreamSuffix {
		in.Stream, in.Array = true, r.URL.Query().Get("alt") != "sse"
	}
	if endpoint.Operation == StoredResponse {
		in.Stream = r.URL.Query().Get("stream") == "true"
	}
	return in, nil
}

// Read reads r's body, at most limit bytes, and scans it. Later calls return
// what the first one found. The error is what the client is to be told.
func (in *Inbound) Read(r *http.Request, limit int64) *Error {
	if !in.read {
		in.read = true
		in.err = in.load(r, limit)
	}
	if in.err == nil && int64(len(in.Body())) > limit { // read earlier, under another limit
		return readError(errTooLarge, limit, "max_body")
	}
	return in.err
}

// ReadAny reads r's body, at most limit bytes, whatever it is: for a request that is passed on
// as it is. The body's memory stays valid after Release. The error is what the client is to be
// told.
func (in *Inbound) ReadAny(r *http.Request, limit int64) *Error {
	if !in.read {
		in.read = true
		in.err = in.take(r, limit)
	}
	if in.body != nil {
		in.body.lent = true
	}
	if in.err == nil && int64(len(in.Body())) > limit { // read earlier, under another limit
		return readError(errTooLarge, limit, "max_body")
	}
	return in.err
}

// SendInstead has SetBody send another body in place of the client's. Its memory counts
// against the budget until Release. The error is what the client is to be told.
func (in *Inbound) SendInstead(body []byte) *Error {
	_, err := in.holdSent(body)
	return err
}

// SetBody gives r, a request that is passed on as it is, the body that ReadAny has read, or
// that of SendInstead. Its memory counts until Release, and until r's body is closed; until
// Release the transport may send it again.
func (in *Inbound) SetBody(r *http.Request) {
	r.Body, r.GetBody, r.ContentLength, r.TransferEncoding = nil, nil, 0, nil
	buf := in.sending()
	if buf == nil || len(buf.b) == 0 {
		return
	}
	r.ContentLength, r.GetBody = int64(len(buf.b)), in.newBody
	r.Body, _ = in.newBody()
}

// newBody implements http.Request.GetBody.
func (in *Inbound) newBody() (io.ReadCloser, error) {
	buf := in.sending()
	if buf == nil {
		return nil, errBodyGone
	}
	var segs segments
	segs.add(buf.b)
	return newSegmentReader(&segs, buf), nil
}

// sending is what SetBody sends, nil after Release.
func (in *Inbound) sending() *buffer {
	if in.sent != nil {
		return in.sent
	}
	return in.body
}

// Begun reports whether Read has begun to read the body, so that no one else can.
func (in *Inbound) Begun() bool { return in.begun }

// Whole reports whether all of the body was read, whoever has it now.
func (in *Inbound) Whole() bool { return in.whole }

// IsJSON reports whether the body is a JSON object. Otherwise it is a form.
func (in *Inbound) IsJSON() bool { return in.isJSON }

// Body returns the body as the client sent it, or as Replace changed it, valid until
// Release or Replace.
func (in *Inbound) Body() []byte {
	if in.body == nil {
		return nil
	}
	return in.body.b
}

// Replace replaces the body, which is JSON, by the one that write appends: all attempts
// send it. It must not be called after the first attempt. The model, and whether the
// client asked for a stream, must stay. The error is what the client is to be told.
func (in *Inbound) Replace(write func(dst []byte) []byte) *Error {
	buf := newBuffer(len(in.Body()))
	buf.b = write(buf.b)
	if !buf.reserve(in.Budget, int64(len(buf.b))) {
		buf.release()
		return errOverloaded()
	}
	members, err := scanObject(buf.b)
	if err != nil {
		buf.release()
		return &Error{
			Status: http.StatusInternalServerError, Type: TypeServer, Code: "invalid_rewrite",
			Message: "the gateway could not change the request body as configured; please report this bug", Cause: err,
		}
	}
	in.body.release()
	in.body, in.members, in.changed, in.Meaning = buf, members, true, nil
	return nil
}

// Release lets go of the body's memory, of what was read of it, and of what the last
// attempt sends. Attempts that still send it keep it until they are done.
func (in *Inbound) Release() {
	in.Meaning = nil
	in.LetGo(in.held)
	if in.body != nil {
		in.body.release()
		in.body = nil
	}
	in.releaseSent()
}

// Hold reserves memory of the budget for what is made of the body, in bytes, until LetGo or
// Release. The error is what the client is to be told where there is no room for it.
func (in *Inbound) Hold(bytes int64) *Error {
	if all := in.Budget.Limit(); bytes > all-in.held-int64(len(in.Body())) { // it would never have room
		return &Error{
			Status: http.StatusRequestEntityTooLarge, Type: TypeInvalidRequest, Code: "request_too_large",
			Message: fmt.Sprintf("the request has more parts than the gateway has memory for (%d bytes); send fewer messages, or raise max_bodies in the gateway's configuration", all),
		}
	}
	if !in.Budget.reserve(bytes) {
		return errOverloaded()
	}
	in.held += bytes
	return nil
}

// LetGo gives back so many bytes of what Hold has reserved.
func (in *Inbound) LetGo(bytes int64) {
	in.Budget.release(bytes)
	in.held -= bytes
}

func (in *Inbound) releaseSent() {
	if in.sent != nil {
		in.sent.release()
		in.sent = nil
	}
}

// holdSent holds what an attempt sends in place of the body, within the budget, until
// the next attempt or Release.
func (in *Inbound) holdSent(body []byte) (*buffer, *Error) {
	in.releaseSent()
	if all := in.Budget.Limit(); int64(len(in.Body())+len(body)) > all { // it would never have room
		return nil, readError(errTooLarge, all, "max_bodies")
	}
	buf := &buffer{b: body, lent: true}
	buf.refs.Store(1)
	if !buf.reserve(in.Budget, int64(len(body))) {
		return nil, errOverloaded()
	}
	in.sent = buf
	return buf, nil
}

func (in *Inbound) load(r *http.Request, limit int64) *Error {
	if in.Endpoint.Operation == StoredResponse {
		return nil // which has no body, and needs none
	}
	if r.Method != http.MethodPost {
		return &Error{
			Status: http.StatusMethodNotAllowed, Type: TypeInvalidRequest, Code: "method_not_allowed",
			Message: "this endpoint takes POST requests, not " + r.Method,
		}
	}
	isJSON, boundary, refused := in.contentType(r.Header)
	if refused != nil {
		return refused
	}
	if refused := in.take(r, limit); refused != nil {
		return refused
	}
	buf, err := in.body, error(nil)
	in.isJSON = isJSON
	if !isJSON {
		fields, refused := readForm(buf.b, boundary)
		if refused != nil {
			return refused
		}
		if in.Model = fields.model; in.Endpoint.Model != "" {
			if in.Model != "" && in.Model != in.Endpoint.Model { // what is judged would not be what is sent
				return errTwoModels(in.Endpoint.Model)
			}
			in.Model = in.Endpoint.Model
		}
		in.Stream = fields.stream == "true"
		return nil
	}
	if in.members, err = scanObject(buf.b); err != nil {
		return &Error{Status: http.StatusBadRequest, Type: TypeInvalidRequest, Code: "invalid_json", Message: err.Error()}
	}
	if m := in.members.model; m.present() && in.Endpoint.Model == "" {
		in.Model = ShortText(buf.b[m.val:m.end])
	}
	if m := in.members.stream; m.present() && in.Endpoint.API != GeminiAPI {
		in.Stream = string(buf.b[m.val:m.end]) == "true"
	}
	return nil
}

// take reads the body.
func (in *Inbound) take(r *http.Request, limit int64) *Error {
	option := "max_body"
	if all := in.Budget.Limit(); all < limit {
		limit, option = all, "max_bodies" // it would never have room
	}
	in.begun = true
	began := time.Now()
	buf, err := readBody(r.Body, r.ContentLength, limit, in.Budget)
	in.Took = time.Since(began)
	if err != nil {
		return readError(err, limit, option)
	}
	in.body, in.whole = buf, true
	return nil
}

// errTwoModels is the error for a form, which is sent as it is, that names another
// model than the path.
func errTwoModels(deployment string) *Error {
	return &Error{
		Status: http.StatusBadRequest, Type: TypeInvalidRequest, Code: "two_models", Param: "model",
		Message: fmt.Sprintf("the path names the deployment %q and the form another model; send the same model in both, or none in the form", deployment),
	}
}

func readError(err error, limit int64, option string) *Error {
	var overServerLimit *http.MaxBytesError
	switch {
	case errors.Is(err, errTooLarge):
	case errors.Is(err, errNoRoom):
		return errOverloaded()
	case errors.Is(err, errTooSlow):
		return invalidRequest(http.StatusRequestTimeout, "body_too_slow", "the request body came too slowly while the gateway is busy; send it again, over a faster connection")
	case errors.As(err, &overServerLimit):
		limit = overServerLimit.Limit
	default:
		return &Error{
			Status: http.StatusBadRequest, Type: TypeInvalidRequest, Code: "unreadable_body",
			Message: "the request body ended early or could not be read; send it again", Cause: err,
		}
	}
	return &Error{
		Status: http.StatusRequestEntityTooLarge, Type: TypeInvalidRequest, Code: "request_too_large",
		Message: fmt.Sprintf("the request body is over the limit of %d bytes; shorten it, or raise %s in the gateway's configuration", limit, option),
		Cause:   err,
	}
}

// maxModelName bounds a model's name in memory, logs and matchers, in bytes.
const maxModelName = 256

// ShortText returns the text of a JSON string, or "" for another value and
// for a text too long to be a model's name.
func ShortText(val []byte) string {
	if len(val) < 2 || val[0] != '"' || len(val) > 6*maxModelName {
		return ""
	}
	text := string(val[1 : len(val)-1])
	for _, c := range []byte(text) {
		if c == '\\' || c >= 0x80 || c < ' ' {
			text = strings.ToValidUTF8(gjson.ParseBytes(val).String(), "\uFFFD")
			break
		}
	}
	if len(text) > maxModelName {
		return ""
	}
	return text
}
