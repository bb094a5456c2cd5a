package picker

import (
	"context"
	"errors"
	"io"
	"net/http"
	"sync"
	"time"

	core "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	extproc "github.com/envoyproxy/go-control-plane/envoy/service/ext_proc/v3"
	"google.golang.org/protobuf/types/known/structpb"
)

const (
	// respondWait is how long a response waits for what the picker says of its header.
	respondWait = time.Second
	// silence is how long a picker may keep the pieces of a response. Then the response
	// goes on without it.
	silence = 5 * time.Second
	// maxPending is how much of a response the picker may have at once.
	maxPending = 256 << 10
	// readSize is how much of a response is read at once.
	readSize = 32 << 10
)

// Respond implements llmprovider.PickerSession.
func (s *session) Respond(ctx context.Context, served string, res *http.Response) {
	select {
	case <-s.ended:
		return
	case <-s.sent: // all of the request, or the picker has closed its side
	case <-time.After(respondWait):
		return
	}
	if s.skip {
		return
	}
	see := s.see && res.Body != nil && res.Body != http.NoBody && res.ContentLength != 0
	err := s.send(&extproc.ProcessingRequest{
		Request: &extproc.ProcessingRequest_ResponseHeaders{ResponseHeaders: &extproc.HttpHeaders{Headers: &core.HeaderMap{Headers: responseHeaders(res)}}},
		MetadataContext: &core.Metadata{FilterMetadata: map[string]*structpb.Struct{
			lbNamespace: {Fields: map[string]*structpb.Value{servedKey: structpb.NewStringValue(served)}},
		}},
	})
	if err != nil {
		return
	}
	timer := time.NewTimer(respondWait)
	defer timer.Stop()
	select {
	case said := <-s.response:
		mutate(res.Header, said.GetResponse().GetHeaderMutation())
	case <-s.ended:
		select {
		case said := <-s.response: // before it ended
			mutate(res.Header, said.GetResponse().GetHeaderMutation())
		default:
		}
		return
	case <-timer.C:
		return // a response waits no longer, and its body is not sent to a picker that is so slow
	case <-ctx.Done():
		return
	}
	if !see {
		return
	}
	tap := &responseBody{s: s, from: res.Body}
	tap.more = sync.NewCond(&tap.mu)
	s.mu.Lock()
	s.tap = tap
	s.mu.Unlock()
	select {
	case <-s.ended:
		tap.bypass()
	default:
	}
	res.Body, res.ContentLength = tap, -1
	res.Header.Del("Content-Length")
	go tap.pump()
}

// responseBody is a response's body that goes through the picker. What the picker has not
// given back when its stream ends is passed on as it came.
type responseBody struct {
	s    *session
	from io.ReadCloser

	mu       sync.Mutex
	more     *sync.Cond
	pending  [][]byte // sent to the picker, and not given back
	size     int      // of pending
	ready    []byte   // to be read
	bypassed bool
	finished bool  // by the picker
	err      error // of from
	timer    *time.Timer
}

// pump sends the body to the picker.
func (b *responseBody) pump() {
	buf := make([]byte, readSize)
	for {
		n, err := b.from.Read(buf)
		if n > 0 && !b.put(append([]byte(nil), buf[:n]...)) {
			return
		}
		if err == nil {
			continue
		}
		if errors.Is(err, io.EOF) && !b.isBypassed() {
			b.mu.Lock()
			b.arm()
			b.mu.Unlock()
			if b.s.send(&extproc.ProcessingRequest{Request: &extproc.ProcessingRequest_ResponseBody{ResponseBody: &extproc.HttpBody{EndOfStream: true}}}) != nil {
				b.bypass()
			}
		}
		b.mu.Lock()
		b.err = err
		if !errors.Is(err, io.EOF) {
			b.bypassLocked()
		}
		b.more.Broadcast()
		b.mu.Unlock()
		return
	}
}

// put hands a piece over. It returns false if nobody reads any more.
func (b *responseBody) put(piece []byte) bool {
	b.mu.Lock()
	for !b.bypassed && !b.finished && b.size > maxPending {
		b.more.Wait()
	}
	switch {
	case b.finished:
		b.mu.Unlock()
		return false
	case b.bypassed:
		b.ready = append(b.ready, piece...)
		for b.more.Broadcast(); len(b.ready) > maxPending && !b.finished; {
			b.more.Wait()
		}
		b.mu.Unlock()
		return true
	}
	b.pending, b.size = append(b.pending, piece), b.size+len(piece)
	b.arm()
	b.mu.Unlock()
	if b.s.send(&extproc.ProcessingRequest{Request: &extproc.ProcessingRequest_ResponseBody{ResponseBody: &extproc.HttpBody{Body: piece}}}) != nil {
		b.bypass()
	}
	return true
}

// arm begins to wait for the picker. b.mu must be held.
func (b *responseBody) arm() {
	if b.timer == nil {
		b.timer = time.AfterFunc(silence, b.bypass)
	} else {
		b.timer.Reset(silence)
	}
}

// take takes what the picker gives back.
func (b *responseBody) take(c *extproc.CommonResponse) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.bypassed || b.finished {
		return
	}
	switch m := c.GetBodyMutation().GetMutation().(type) {
	case *extproc.BodyMutation_StreamedResponse:
		b.ready = append(b.ready, m.StreamedResponse.GetBody()...)
		b.drop(len(m.StreamedResponse.GetBody()))
		b.finished = m.StreamedResponse.GetEndOfStream()
	case *extproc.BodyMutation_Body:
		b.ready = append(b.ready, m.Body...)
		b.shift(false)
	case *extproc.BodyMutation_ClearBody:
		b.shift(!m.ClearBody)
	default:
		b.shift(true)
	}
	switch {
	case b.timer == nil:
	case len(b.pending) == 0 && b.err == nil:
		b.timer.Stop()
	default:
		b.timer.Reset(silence)
	}
	if b.err != nil && len(b.pending) == 0 {
		b.finished = true
	}
	b.more.Broadcast()
}

// shift ends the wait for the first piece, which is passed on as it was or left out.
func (b *responseBody) shift(keep bool) {
	if len(b.pending) == 0 {
		return
	}
	if keep {
		b.ready = append(b.ready, b.pending[0]...)
	}
	b.size -= len(b.pending[0])
	b.pending = b.pending[1:]
}

// drop leaves out what the picker has given back in pieces of its own.
func (b *responseBody) drop(n int) {
	for n > 0 && len(b.pending) > 0 {
		if first := b.pending[0]; n < len(first) {
			b.pending[0], b.size = first[n:], b.size-n
			return
		}
		n -= len(b.pending[0])
		b.size -= len(b.pending[0])
		b.pending = b.pending[1:]
	}
}

func (b *responseBody) isBypassed() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.bypassed
}

// bypass has the rest of the body go on without the picker.
func (b *responseBody) bypass() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.bypassLocked()
}

func (b *responseBody) bypassLocked() {
	if b.bypassed || b.finished {
		return
	}
	b.bypassed = true
	for _, piece := range b.pending {
		b.ready = append(b.ready, piece...)
	}
	b.pending, b.size = nil, 0
	b.more.Broadcast()
}

// Read implements io.Reader.
func (b *responseBody) Read(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for len(b.ready) == 0 {
		switch {
		case b.finished:
			return 0, io.EOF
		case b.bypassed && b.err != nil:
			return 0, b.err
		}
		b.more.Wait()
	}
	n := copy(p, b.ready)
	b.ready = b.ready[n:]
	b.more.Broadcast()
	return n, nil
}

// Close implements io.Closer.
func (b *responseBody) Close() error {
	b.mu.Lock()
	if b.timer != nil {
		b.timer.Stop()
	}
	b.bypassed, b.finished = true, true
	b.more.Broadcast()
	b.mu.Unlock()
	return b.from.Close()
}
