package receive

import (
	"bytes"
	"io"
	"net/http"

	"github.com/caddy-llm/gateway/llmprovider"
)

// sniffLength is how much of a body is looked at, in bytes.
const sniffLength = 512

// eventFields are what a stream of server-sent events begins with: a field or a
// comment.
var eventFields = [...]string{"data:", "event:", "id:", "retry:", ":"}

// SniffEvents reports whether a response that was asked for as a stream is one
// under another content type. It waits for the first bytes of the body and puts
// them back.
func SniffEvents(res *http.Response, dog *Watchdog) bool {
	if res.StatusCode >= http.StatusBadRequest || res.ContentLength == 0 || llmprovider.Compressed(res.Header) {
		return false
	}
	buf := make([]byte, 0, sniffLength)
	like, certain := false, false
	for !certain && len(buf) < cap(buf) {
		dog.Wait()
		n, err := res.Body.Read(buf[len(buf):cap(buf)])
		dog.Rest()
		buf = buf[:len(buf)+n]
		like, certain = readsLikeEvents(buf)
		if err != nil { // it comes again from the body
			break
		}
	}
	res.Body = struct {
		io.Reader
		io.Closer
	}{io.MultiReader(bytes.NewReader(buf), res.Body), res.Body}
	return like
}

// readsLikeEvents reports whether b begins like server-sent events. certain is
// false as long as more of it may tell otherwise.
func readsLikeEvents(b []byte) (like, certain bool) {
	mark := []byte("\ufeff")
	if len(b) < len(mark) && bytes.HasPrefix(mark, b) {
		return false, false
	}
	b = bytes.TrimLeft(bytes.TrimPrefix(b, mark), "\r\n")
	for _, field := range eventFields {
		if bytes.HasPrefix(b, []byte(field)) {
			return true, true
		}
		if bytes.HasPrefix([]byte(field), b) { // so far
			return false, false
		}
	}
	return false, true
}
