package dialect

import (
	"net/http"
	"strconv"

	"github.com/caddy-llm/gateway/internal/jsonscan"
	"github.com/caddy-llm/gateway/llmprovider"
)

// readError reads the error that the response is.
func (t *Response) readError() *llmprovider.Error {
	var e *llmprovider.Error
	switch {
	case t.status < http.StatusBadRequest && len(t.start) == 0:
		e = Incomplete()
	case t.status < http.StatusBadRequest:
		e = Malformed("form")
	default:
		e = ReadError(t.status, t.start)
		e.Status = t.status
		if name := t.head.Header.Get("X-Amzn-Errortype"); name != "" {
			e = Named(e, name)
		}
		t.retry(e)
	}
	if e.RequestID == "" {
		e.RequestID = t.head.Header.Get(t.to.RequestIDHeader)
	}
	return e
}

// onlyMedia returns the error for a response of media alone.
func onlyMedia() *llmprovider.Error {
	return &llmprovider.Error{
		Status: http.StatusBadGateway, Type: llmprovider.TypeServer, Code: "untranslatable_response",
		Message: "the model responded with an image or another medium alone, which cannot be translated for this API; call the model through the provider's own API, or use a model that responds with text",
	}
}

// Failed implements llmprovider.Reader. It is false for a response whose status says
// that it is an error.
func (t *Response) Failed() bool { return t.failed != nil && t.status < http.StatusBadRequest }

// Failure implements llmprovider.Reader.
func (t *Response) Failure() []byte {
	if t.failed == nil {
		return nil
	}
	out := append([]byte(`{"error":{"code":`), jsonscan.AppendString(nil, t.failed.Code)...)
	out = append(out, `,"status":`...)
	out = strconv.AppendInt(out, int64(t.failed.Status), 10)
	out = append(out, `,"type":`...)
	out = jsonscan.AppendString(out, t.failed.Type)
	out = append(out, `,"message":`...)
	return append(jsonscan.AppendString(out, t.failed.Message), `}}`...)
}

// ErrorEvent implements llmprovider.Reader: it ends a response that cannot go on.
func (t *Response) ErrorEvent(err *llmprovider.Error) []byte {
	if t.over() {
		return nil
	}
	t.out = t.out[:0]
	t.fail(err)
	return t.out
}

// fail ends the response with an error: inside the body, or as the whole response if
// the client has nothing of it.
func (t *Response) fail(err *llmprovider.Error) {
	if t.over() {
		return
	}
	t.failed = told(err, t.to)
	if t.options.Stream && (t.begun || len(t.out) > 0) {
		t.out = t.writer.Append(t.out, &Event{Kind: Failure, Err: t.failed})
		return
	}
	t.out = append(t.out[:0], t.failed.JSON()...)
	if !t.begun {
		t.head.Status, t.head.Header["Content-Type"] = t.failed.Status, []string{"application/json"}
	}
}
