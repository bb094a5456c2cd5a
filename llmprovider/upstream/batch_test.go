package upstream

import (
	"bytes"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// gatedConn is a connection whose writes wait to be let through, one by one.
type gatedConn struct {
	net.Conn
	gate   chan error // what the next write returns
	writes chan []byte
	closed chan struct{}
	once   sync.Once
}

func newGatedConn() *gatedConn {
	return &gatedConn{gate: make(chan error), writes: make(chan []byte, 100), closed: make(chan struct{})}
}

func (c *gatedConn) Write(p []byte) (int, error) {
	select {
	case err := <-c.gate:
		if err != nil {
			return 0, err
		}
	case <-c.closed:
		return 0, net.ErrClosed
	}
	c.writes <- bytes.Clone(p)
	return len(p), nil
}

func (c *gatedConn) Close() error {
	c.once.Do(func() { close(c.closed) })
	return nil
}

// busyBatch is a shared connection with several requests under way.
func busyBatch(t *testing.T, conn net.Conn) *batchConn {
	busy := new(atomic.Int32)
	busy.Store(2)
	c := newBatchConn(conn, busy)
	c.shared = true
	t.Cleanup(func() { c.Close() })
	return c
}

func write(t *testing.T, c net.Conn, text string) {
	t.Helper()
	if n, err := c.Write([]byte(text)); n != len(text) || err != nil {
		t.Fatalf("wrote %d of %d bytes: %v", n, len(text), err)
	}
}

func TestWhatIsWrittenMeanwhileGoesOutTogether(t *testing.T) {
	under := newGatedConn()
	c := busyBatch(t, under)
	write(t, c, "one")
	under.gate <- nil // the goroutine that writes is in its first write at the latest now
	if got := string(<-under.writes); got != "one" {
		t.Fatalf("wrote %q first", got)
	}
	write(t, c, "two")
	waitFor(t, func() bool { c.mu.Lock(); defer c.mu.Unlock(); return c.writing })
	write(t, c, "three")
	write(t, c, "four")
	under.gate <- nil
	under.gate <- nil
	if a, b := string(<-under.writes), string(<-under.writes); a != "two" || b != "threefour" {
		t.Errorf("wrote %q and %q", a, b)
	}
}

func TestOneRequestAloneWritesByItself(t *testing.T) {
	for _, test := range []struct {
		name   string
		shared bool
		busy   int32
	}{{"one request", true, 1}, {"none", true, 0}, {"a connection for each", false, 9}} {
		t.Run(test.name, func(t *testing.T) {
			under := newGatedConn()
			c := busyBatch(t, under)
			c.shared = test.shared
			c.busy.Store(test.busy)
			go func() { under.gate <- nil; under.gate <- errors.New("broken") }()
			write(t, c, "one")
			if len(under.writes) != 1 || c.started {
				t.Errorf("%d writes done when Write returned, goroutine %v", len(under.writes), c.started)
			}
			if _, err := c.Write([]byte("two")); err == nil || err.Error() != "broken" {
				t.Errorf("the error of a write is %v", err)
			}
		})
	}
}

func TestWritersWaitForASlowPeer(t *testing.T) {
	under := newGatedConn()
	c := busyBatch(t, under)
	const record = 16 << 10
	var written atomic.Int32
	go func() {
		for {
			if _, err := c.Write(make([]byte, record)); err != nil {
				return
			}
			written.Add(1)
		}
	}()
	waitFor(t, func() bool { return written.Load() >= maxBatch/record })
	time.Sleep(20 * time.Millisecond)               // a writer that did not wait would go on
	if n := written.Load(); n > 2*maxBatch/record { // what is being written, and what waits
		t.Errorf("%d bytes are held for a peer that takes none", n*record)
	}
	for written.Load() < 20 {
		under.gate <- nil
		<-under.writes
	}
}

func TestAFailedWriteEndsTheConnection(t *testing.T) {
	under := newGatedConn()
	c := busyBatch(t, under)
	write(t, c, "one")
	under.gate <- errors.New("broken")
	<-under.closed // so that who reads from it ends as well
	if _, err := c.Write([]byte("two")); err == nil || err.Error() != "broken" {
		t.Errorf("a later write gives %v", err)
	}
}

func TestClosingEndsWritersThatWait(t *testing.T) {
	c := busyBatch(t, newGatedConn())
	ended := make(chan error)
	go func() {
		for {
			if _, err := c.Write(make([]byte, 16<<10)); err != nil {
				ended <- err
				return
			}
		}
	}()
	waitFor(t, func() bool { c.mu.Lock(); defer c.mu.Unlock(); return c.writing && c.pending != nil })
	_ = c.Close()
	if err := <-ended; !errors.Is(err, net.ErrClosed) {
		t.Errorf("a writer that waited got %v", err)
	}
	if _, err := c.Write([]byte("x")); !errors.Is(err, net.ErrClosed) {
		t.Errorf("a write afterwards gives %v", err)
	}
}

// TestEverythingIsWrittenInOrder changes between both ways of writing all the
// time.
func TestEverythingIsWrittenInOrder(t *testing.T) {
	here, there := net.Pipe()
	c := busyBatch(t, here)
	var want []byte
	got := make(chan []byte)
	go func() {
		all, _ := io.ReadAll(there)
		got <- all
	}()
	for i := range 2000 {
		c.busy.Store(int32(i / 7 % 3))
		p := bytes.Repeat([]byte{byte(i), byte(i >> 8)}, 1+i*i%3000)
		want = append(want, p...)
		if _, err := c.Write(p); err != nil {
			t.Fatal(err)
		}
	}
	waitFor(t, func() bool { c.mu.Lock(); defer c.mu.Unlock(); return c.pending == nil && !c.writing })
	_ = c.Close()
	if all := <-got; !bytes.Equal(all, want) {
		t.Errorf("%d bytes arrived of %d, or in another order", len(all), len(want))
	}
}

// waitFor waits until the condition holds.
func waitFor(t *testing.T, holds func() bool) {
	t.Helper()
	for deadline := time.Now().Add(30 * time.Second); !holds(); time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("it has not come about")
		}
	}
}

func TestRequestsThatShareAConnection(t *testing.T) {
	for _, versions := range []string{`["1.1"]`, `["1.1","2"]`} {
		echo := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			body, err := io.ReadAll(r.Body)
			if err != nil {
				panic(http.ErrAbortHandler)
			}
			_, _ = w.Write(body)
		}))
		echo.EnableHTTP2 = true
		echo.StartTLS()
		defer echo.Close()
		tr := acquire(t, `{"tls":{"insecure_skip_verify":true},"versions":`+versions+`}`, true, 0)
		var wait sync.WaitGroup
		for i := range 24 {
			wait.Go(func() {
				for n := range 12 {
					body := bytes.Repeat([]byte{byte('a' + i)}, 1+(i*7919+n*104729)%200_000)
					r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, echo.URL, bytes.NewReader(body))
					if err != nil {
						t.Error(err)
						return
					}
					res, err := tr.RoundTrip(r)
					if err != nil {
						t.Error(err)
						return
					}
					if got, err := io.ReadAll(res.Body); err != nil || !bytes.Equal(got, body) {
						t.Errorf("%s: %d bytes came back of %d: %v", res.Proto, len(got), len(body), err)
					}
					res.Body.Close()
				}
			})
		}
		wait.Wait()
		if n := tr.busy.Load(); n != 0 {
			t.Errorf("%d requests under way at the end", n)
		}
	}
}
