package webhook

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"sync/atomic"
	"time"
)

const (
	// maxReview bounds a request, in bytes. API servers take no object of more than
	// 3 MiB.
	maxReview = 4 << 20
	// maxHeld bounds what is held of all requests, in bytes. A pod has about 10 KiB.
	maxHeld = 64 << 20
	// maxWorking bounds the requests that are worked on at a time.
	maxWorking = 8
	// bodyTime is how long the body of a request may take to arrive. API servers send
	// it at once.
	bodyTime = 3 * time.Second
)

// errBusy is what a request is refused with while others have taken all there is.
var errBusy = errors.New("too many requests are being read; ask again")

// intake bounds what requests take, of which nobody knows who sends them. Until it has
// come as a whole, a request holds nothing but its bytes so far: those that come slowly
// keep nobody waiting. It is safe for concurrent use.
type intake struct {
	bodyTime time.Duration
	free     atomic.Int64  // bytes
	working  chan struct{} // a token for each request that is worked on
}

func newIntake() *intake {
	in := &intake{bodyTime: bodyTime, working: make(chan struct{}, maxWorking)}
	in.free.Store(maxHeld)
	return in
}

// read reads the body of a request. The error comes with the HTTP status for it.
// release gives back what the body takes, and is to be called in any case.
func (in *intake) read(rw http.ResponseWriter, r *http.Request) (data []byte, release func(), status int, err error) {
	body := &heldBody{intake: in, body: http.MaxBytesReader(rw, r.Body, maxReview)}
	// It fails only where there is no connection, as in a test. net/http lifts it at
	// the end of the body.
	_ = http.NewResponseController(rw).SetReadDeadline(time.Now().Add(in.bodyTime))
	data, err = io.ReadAll(body)
	tooLarge := (*http.MaxBytesError)(nil)
	switch {
	case err == nil:
		return data, body.release, http.StatusOK, nil
	case errors.As(err, &tooLarge):
		status, err = http.StatusRequestEntityTooLarge, fmt.Errorf("the request is over the limit of %d bytes", tooLarge.Limit)
	case errors.Is(err, errBusy):
		status = http.StatusServiceUnavailable
	case errors.Is(err, os.ErrDeadlineExceeded):
		status, err = http.StatusRequestTimeout, fmt.Errorf("the request took longer than %v to arrive", in.bodyTime)
	default:
		status, err = http.StatusBadRequest, fmt.Errorf("reading the request: %w", err)
	}
	return nil, body.release, status, err
}

// enter waits until the request may be worked on, or tells that its client has left.
func (in *intake) enter(ctx context.Context) bool {
	select {
	case in.working <- struct{}{}:
		return true
	case <-ctx.Done():
		return false
	}
}

func (in *intake) leave() { <-in.working }

// heldBody is a body that takes from what is free as it comes.
type heldBody struct {
	intake *intake
	body   io.Reader
	held   int64
}

func (b *heldBody) Read(p []byte) (int, error) {
	n, err := b.body.Read(p)
	b.held += int64(n)
	if b.intake.free.Add(-int64(n)) < 0 {
		return n, errBusy
	}
	return n, err
}

func (b *heldBody) release() {
	b.intake.free.Add(b.held)
	b.held = 0
}
