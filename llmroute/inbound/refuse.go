package inbound

import (
	"io"
	"net/http"
	"time"

	"github.com/caddy-llm/gateway/llmprovider"
)

const (
	// lingerTime bounds how long a refused body is read after the response.
	lingerTime = 5 * time.Second
	// lingerSize bounds how much of it is read, in bytes.
	lingerSize = 64 << 20
)

// Refuse answers a request whose body is too large, and then reads on for a
// while. Many clients look for a response only when they have sent all they have,
// and a connection that is closed with unread data in it is reset: they would
// see that, and not the response.
func Refuse(w http.ResponseWriter, r *http.Request, refused *llmprovider.Error) error {
	if r.ProtoMajor != 1 {
		return refused.Write(w) // one stream ends, with a way to say so
	}
	w.Header().Set("Connection", "close") // or net/http would read a part of the body before it lets the response out
	if err := refused.Write(w); err != nil || r.Header.Get("Expect") != "" {
		return err // what waits to be asked for a body does not send it
	}
	control := http.NewResponseController(w)
	if control.Flush() != nil {
		return nil
	}
	stop := time.Now().Add(lingerTime)
	// The server sets deadlines of its own at each read, so that a single one
	// set here would not hold.
	timer := time.AfterFunc(lingerTime, func() { _ = control.SetReadDeadline(stop) })
	defer timer.Stop()
	for left := int64(lingerSize); left > 0 && time.Now().Before(stop); {
		n, err := io.CopyN(io.Discard, r.Body, min(left, 256<<10))
		if err != nil {
			break
		}
		left -= n
	}
	return nil
}
