package llmroute

import (
	"bytes"
	"errors"
	"net/http"
	"slices"
	"strconv"

	"github.com/caddy-llm/gateway/llmprovider"
	"github.com/caddy-llm/gateway/llmprovider/tap"
)

// replayPiece is how much of a stored response readers get at a time, in bytes.
const replayPiece = largeBuffer

// respondCached answers with a response that a filter has. The filters before it see it as
// they see a provider's, and the client gets it when they have seen all of it. What it used
// was paid for by the request that it is the response to.
func (x *exchange) respondCached() error {
	if denied := x.verdict(); denied != nil {
		return x.refuse(denied)
	}
	s := x.cached
	x.in.Release()
	head := llmprovider.Head{Status: http.StatusOK, Header: s.Header, Stream: s.Stream}
	body := s.Body
	if len(x.steps) > 1 {
		var err error
		if body, err = x.replay(&head); err != nil {
			var refused *llmprovider.Error
			if errors.As(err, &refused) {
				return x.refuse(refused)
			}
			return x.refuse(errCached(err))
		}
	}
	header := x.w.Header()
	if head.Stream {
		streamed(head.Header)
	} else {
		head.Header["Content-Length"] = []string{strconv.Itoa(len(body))}
	}
	copyHeader(header, head.Header)
	if s.Given != nil {
		s.Given()
	}
	x.Status = head.Status
	x.w.WriteHeader(head.Status)
	if _, err := x.w.Write(body); err != nil {
		x.Gone, x.Aborted = true, true
		panic(http.ErrAbortHandler)
	}
	return nil
}

// replay passes a stored response through the readers of the filters, and returns what the
// client gets.
func (x *exchange) replay(head *llmprovider.Head) ([]byte, error) {
	res := &http.Response{StatusCode: head.Status, Header: head.Header}
	reader := x.filtered(tap.NewReader(&llmprovider.Attempt{Endpoint: x.in.Endpoint}, res, head.Stream))
	reader.Head(head)
	out := bytes.NewBuffer(make([]byte, 0, len(x.cached.Body)))
	pass := func(p []byte) error {
		_, err := out.Write(p)
		return err
	}
	for piece := range slices.Chunk(slices.Clone(x.cached.Body), replayPiece) { // readers may work in what they get
		if err := reader.Write(piece, pass); err != nil {
			return nil, err
		}
	}
	err := reader.Finish(pass)
	return out.Bytes(), err
}

func errCached(cause error) *llmprovider.Error {
	return &llmprovider.Error{
		Status: http.StatusInternalServerError, Type: llmprovider.TypeServer, Code: "cached_response",
		Message: "the gateway could not read a response that it had stored; send the request again with the header Cache-Control: no-cache", Cause: cause,
	}
}
