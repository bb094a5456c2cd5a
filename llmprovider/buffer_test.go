package llmprovider

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/iotest"
	"time"
)

func TestReadBodyOfEverySize(t *testing.T) {
	const limit = 1 << 20
	for _, size := range []int{0, 1, minBuffer - 1, minBuffer, minBuffer + 1, 8<<10 - 1, 8 << 10, firstBuffer - 1, firstBuffer, firstBuffer + 1, 300_000, limit - 1, limit, limit + 1, limit + 5000} {
		body := bytes.Repeat([]byte("0123456789abcde"), size/15+1)[:size]
		for _, known := range []bool{true, false} {
			for name, wrap := range map[string]func(io.Reader) io.Reader{
				"whole": func(r io.Reader) io.Reader { return r }, "halves": iotest.HalfReader, "end with the data": iotest.DataErrReader,
			} {
				length := int64(-1)
				if known {
					length = int64(size)
				}
				buf, err := readBody(wrap(bytes.NewReader(body)), length, limit, nil)
				if size > limit {
					if !errors.Is(err, errTooLarge) {
						t.Errorf("%d bytes, known %v, %s: the error is %v", size, known, name, err)
					}
					continue
				}
				if err != nil || !bytes.Equal(buf.b, body) {
					t.Errorf("%d bytes, known %v, %s: %v", size, known, name, err)
					continue
				}
				if n := cap(buf.b); n > limit+1 && n > 2*(size+1) {
					t.Errorf("%d bytes, known %v, %s: a buffer of %d", size, known, name, n)
				}
				buf.release()
			}
		}
	}
}

func TestReadBodyTakesAnyLimit(t *testing.T) {
	const most = 1<<63 - 1
	body := strings.Repeat("x", 3*firstBuffer)
	for _, length := range []int64{-1, int64(len(body)), most} {
		buf, err := readBody(strings.NewReader(body), length, most, nil)
		if err != nil || len(buf.b) != len(body) {
			t.Errorf("length %d: %v", length, err)
		}
	}
}

func TestAnAnnouncedLengthAloneAllocatesLittle(t *testing.T) {
	seen := 0
	_, err := readBody(readerFunc(func(p []byte) (int, error) {
		seen = max(seen, len(p))
		return 0, errors.New("gone")
	}), 1<<30, 1<<31, nil)
	if err == nil || seen > firstBuffer {
		t.Errorf("a buffer of %d bytes for nothing (%v)", seen, err)
	}
}

type readerFunc func([]byte) (int, error)

func (f readerFunc) Read(p []byte) (int, error) { return f(p) }

func TestABodyAtTheLimitDoesNotQuadruple(t *testing.T) {
	const limit = 32 << 20
	buf, err := readBody(io.LimitReader(zeros{}, limit), -1, limit, nil)
	if err != nil || len(buf.b) != limit {
		t.Fatalf("read %v", err)
	}
	if n := cap(buf.b); n > limit+1 {
		t.Errorf("%d bytes are held for %d", n, limit)
	}
}

type zeros struct{}

func (zeros) Read(p []byte) (int, error) { clear(p); return len(p), nil }

func TestPoolIndexFitsTheSize(t *testing.T) {
	for n := 1; n <= maxPooled; n += 1 + n/7 {
		if buf := newBuffer(n); cap(buf.b) < n || cap(buf.b) >= 2*max(n, minBuffer) {
			t.Errorf("%d bytes asked for, %d given", n, cap(buf.b))
		} else {
			buf.release()
		}
	}
}

func TestABufferIsReusedOnlyAfterTheLastReference(t *testing.T) {
	text := strings.Repeat("x", maxJoined+1)
	buf, err := readBody(strings.NewReader(text), int64(len(text)), 1<<20, nil)
	if err != nil {
		t.Fatal(err)
	}
	var segs segments
	segs.add(buf.b)
	var a Attempt
	a.setBody(&segs, buf)
	body := a.request.Body
	second, err := a.request.GetBody()
	if err != nil {
		t.Fatal(err)
	}
	buf.release() // the handler is done
	if n := buf.refs.Load(); n != 2 {
		t.Fatalf("%d references, want 2", n)
	}
	if got, err := io.ReadAll(body); string(got) != text || err != nil {
		t.Errorf("read %q (%v)", got, err)
	}
	for range 3 {
		if err := body.Close(); err != nil {
			t.Fatal(err)
		}
	}
	if n := buf.refs.Load(); n != 1 {
		t.Fatalf("%d references after closing one reader three times, want 1", n)
	}
	if _, err := body.Read(make([]byte, 1)); !errors.Is(err, http.ErrBodyReadAfterClose) {
		t.Errorf("reading on gives %v", err)
	}
	if got, err := io.ReadAll(second); string(got) != text || err != nil {
		t.Errorf("read again %q (%v)", got, err)
	}
	_ = second.Close()
	if n := buf.refs.Load(); n != 0 {
		t.Errorf("%d references at the end", n)
	}
}

func TestSegmentsAreReadInPiecesOfAnySize(t *testing.T) {
	var segs segments
	for _, part := range []string{"{", "\"model\":", "", "\"x\"", "}"} {
		segs.add([]byte(part))
	}
	for size := 1; size < 16; size++ {
		r := newSegmentReader(&segs, newBuffer(1))
		var got []byte
		buf := make([]byte, size)
		for {
			n, err := r.Read(buf)
			got = append(got, buf[:n]...)
			if errors.Is(err, io.EOF) {
				break
			}
			if err != nil || n == 0 {
				t.Fatalf("pieces of %d: %d bytes, %v", size, n, err)
			}
		}
		if string(got) != `{"model":"x"}` {
			t.Errorf("pieces of %d: %s", size, got)
		}
	}
	var none segments
	if n, err := newSegmentReader(&none, newBuffer(1)).Read(make([]byte, 1)); n != 0 || !errors.Is(err, io.EOF) {
		t.Errorf("an empty body reads %d, %v", n, err)
	}
}

func TestASmallBodyNeedsNoBuffer(t *testing.T) {
	buf, err := readBody(strings.NewReader(`{"a":1}`), 7, 100, nil)
	if err != nil {
		t.Fatal(err)
	}
	var segs segments
	segs.add(buf.b[:1])
	segs.add(buf.b[1:])
	var a Attempt
	a.setBody(&segs, buf)
	if n := buf.refs.Load(); n != 1 {
		t.Errorf("%d references, want the handler's alone", n)
	}
	copy(buf.b, "#######") // the next request takes the memory
	if got, err := io.ReadAll(a.request.Body); string(got) != `{"a":1}` || err != nil {
		t.Errorf("read %q (%v)", got, err)
	}
}

// TestReadingWhileClosing has a transport close a body that it still reads, as
// HTTP/2 does when a stream is reset, while other requests take the memory.
func TestReadingWhileClosing(t *testing.T) {
	var wait sync.WaitGroup
	for worker := range 4 {
		wait.Go(func() {
			for i := range 300 {
				letter := byte('a' + (worker*7+i)%26)
				text := bytes.Repeat([]byte{letter}, 6000)
				buf, err := readBody(bytes.NewReader(text), int64(len(text)), 1<<20, nil)
				if err != nil {
					t.Error(err)
					return
				}
				var segs segments
				segs.add(buf.b)
				body := newSegmentReader(&segs, buf)
				done := make(chan struct{})
				go func() {
					defer close(done)
					p := make([]byte, 100)
					for {
						n, err := body.Read(p)
						if bytes.Count(p[:n], []byte{letter}) != n {
							t.Errorf("another request's bytes: %q", p[:n])
						}
						if err != nil {
							return
						}
					}
				}()
				if i%2 == 0 {
					_ = body.Close()
				}
				buf.release()
				if i%2 == 1 {
					_ = body.Close()
				}
				<-done
			}
		})
	}
	wait.Wait()
}

// TestBodiesAreNotMixedUp sends bodies through real transports to a server that
// often answers before it has read them, with handlers that let go of the
// memory at once.
func TestBodiesAreNotMixedUp(t *testing.T) {
	var whole, early atomic.Int64
	handler := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		mark := r.Header.Get("X-Mark")
		if len(mark)%2 == 0 { // answer early, and read nothing
			early.Add(1)
			w.WriteHeader(http.StatusTooManyRequests)
			return
		}
		body, err := io.ReadAll(r.Body)
		if err != nil {
			return // the client left
		}
		whole.Add(1)
		want := markedBody(mark)
		if string(body) != strings.Replace(want, `"client"`, `"qwen"`, 1) {
			t.Errorf("%s got a body of %d bytes that is not its own", mark, len(body))
		}
	})
	for _, http2 := range []bool{false, true} {
		server := httptest.NewUnstartedServer(handler)
		server.EnableHTTP2 = http2
		server.StartTLS()
		target := &url.URL{Scheme: "https", Host: server.Listener.Addr().String(), Path: "/"}
		client := server.Client()
		var wait sync.WaitGroup
		for worker := range 6 {
			wait.Go(func() {
				for i := range 60 {
					mark := fmt.Sprintf("%d-%d%s", worker, i, strings.Repeat("x", i%4))
					text := markedBody(mark)
					r := post("/", "application/json", text)
					r.Header.Set("X-Mark", mark)
					in := read(t, r)
					ctx, cancel := context.WithCancel(context.Background())
					a, refused := NewAttempt(ctx, in, &Outgoing{URL: target, Edits: Edits{Model: []byte(`"qwen"`)}}, r.Header)
					if refused != nil {
						t.Error(refused)
						cancel()
						return
					}
					if i%5 == 0 { // the client leaves in the middle
						time.AfterFunc(200*time.Microsecond, cancel)
					}
					res, err := client.Transport.RoundTrip(a.Request)
					in.Release()
					if err == nil {
						_, _ = io.Copy(io.Discard, res.Body)
						_ = res.Body.Close()
					}
					cancel()
				}
			})
		}
		wait.Wait()
		server.Close()
	}
	if whole.Load() == 0 || early.Load() == 0 {
		t.Errorf("%d bodies were read and %d were not", whole.Load(), early.Load())
	}
}

// markedBody is a body of some 100 KB that no other request has.
func markedBody(mark string) string {
	return `{"model":"client","mark":"` + strings.Repeat(mark+",", 100_000/(len(mark)+1)) + `"}`
}
