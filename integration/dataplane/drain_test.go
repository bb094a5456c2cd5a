package dataplane_test

import (
	"errors"
	"io"
	"net"
	"net/http"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/caddy-llm/gateway/integration/fakeprovider"
)

const drainConfig = `{
	shutdown_delay {{.Delay}}
	llm {
		status_listen 127.0.0.1:{{.Status}}
		drain_timeout {{.Drain}}
		provider a {{.URL}}/v1/chat/completions {
			tls_trusted_ca_certs {{.CA}}
		}
	}
}
http://:{{.Port}} {
	header X-Mark {{.Mark}}
	llm_route {
		rule all {
			to a
		}
	}
}
`

func startDrain(t *testing.T, timeout string) (*site, *fakeprovider.Server) {
	t.Helper()
	a := newNamed(t, "a")
	return startSite(t, drainConfig, map[string]any{"Drain": timeout, "URL": a.URL(), "CA": a.CAFile(), "Mark": "one", "Delay": "0s"}), a
}

// drainCases are the two kinds of open streams that an exit meets.
var drainCases = []struct {
	name   string
	reload bool
}{
	{"streams of the running configuration", false},
	{"streams opened before a reload", true},
}

// watchReadyz asks /readyz over and over until the gateway is gone. unready
// counts the responses 503, lost those that did not come while keep was true, and
// others all else after the first 503.
func watchReadyz(s *site, keep *atomic.Bool) (unready, lost, others *atomic.Int64, done chan struct{}) {
	unready, lost, others, done = new(atomic.Int64), new(atomic.Int64), new(atomic.Int64), make(chan struct{})
	go func() {
		defer close(done)
		for {
			select {
			case <-s.Exited():
				return
			case <-time.After(50 * time.Millisecond):
			}
			open := keep.Load()
			status, _, err := s.getStatus("/readyz")
			switch {
			case err != nil:
				if open && keep.Load() {
					lost.Add(1)
				}
			case status == http.StatusServiceUnavailable:
				unready.Add(1)
			case unready.Load() > 0:
				others.Add(1)
			}
		}
	}()
	return unready, lost, others, done
}

// waitRefused waits until the site takes no new connection.
func waitRefused(t *testing.T, s *site, timeout time.Duration) {
	t.Helper()
	var last error
	if !eventually(timeout, func() bool {
		c, err := net.Dial("tcp", strings.TrimPrefix(s.url, "http://"))
		if err == nil {
			_ = c.Close()
		}
		last = err
		return errors.Is(err, syscall.ECONNREFUSED)
	}) {
		t.Errorf("%v after SIGTERM a new connection gives %v, want it refused", timeout, last)
	}
}

func TestDrainLetsStreamsFinish(t *testing.T) {
	for _, tc := range drainCases {
		t.Run(tc.name, func(t *testing.T) {
			const streams, events = 20, 40
			s, a := startDrain(t, "1m")
			a.Script(fakeprovider.Always(numbered(events, 150*time.Millisecond)))
			c := newClient(t)
			results := finishNumbered(openAll(t, c, s.url, "", streams), events)
			if tc.reload {
				s.reload(map[string]any{"Mark": "two"})
			}
			if status, _, err := s.getStatus("/readyz"); status != http.StatusOK {
				t.Fatalf("GET /readyz before SIGTERM: %d %v", status, err)
			}
			var keep atomic.Bool
			keep.Store(true)
			s.Signal(syscall.SIGTERM)
			unready, lost, others, watched := watchReadyz(s, &keep)
			waitRefused(t, s, 2*time.Second)
			if n := a.InFlight(); n != streams {
				t.Errorf("%d streams are open after SIGTERM, want %d: the test proves nothing, or streams were cut", n, streams)
			}
			for i := range streams {
				if i == streams-1 {
					keep.Store(false)
				}
				if err := <-results; err != nil {
					t.Errorf("a stream open at SIGTERM: %v", err)
				}
			}
			ended := time.Now()
			code := s.WaitExit(15 * time.Second)
			if code != 0 {
				t.Errorf("exit code %d, want 0", code)
			}
			if took := time.Since(ended); took > 5*time.Second {
				t.Errorf("the gateway exited %v after the last stream", took)
			}
			<-watched
			t.Logf("/readyz said 503 %d times; exit %v after the last stream", unready.Load(), time.Since(ended).Round(time.Millisecond))
			if unready.Load() == 0 || lost.Load() > 0 || others.Load() > 0 {
				t.Errorf("while streams were open /readyz answered 503 %d times, did not answer %d times, and answered otherwise %d times; want 503 throughout",
					unready.Load(), lost.Load(), others.Load())
			}
			if n := a.Cancelled(); n > 0 {
				t.Errorf("the provider saw %d streams cancelled", n)
			}
		})
	}
}

func TestDrainTimeoutEndsStreams(t *testing.T) {
	for _, tc := range drainCases {
		t.Run(tc.name, func(t *testing.T) {
			s, a := startDrain(t, "2s")
			a.Script(func(_ int, r *fakeprovider.Recorded) fakeprovider.Reply {
				if r.Stream {
					return fakeprovider.EndlessEvents(numberedEvent(0), 100*time.Millisecond)
				}
				return fakeprovider.JSON(200, "{}").HangBeforeHead()
			})
			c := newClient(t)
			open := mustOpen(t, c, s.url, "")
			if _, err := open.next(); err != nil {
				t.Fatalf("the first event: %v", err)
			}
			waiting := make(chan answer, 1)
			go func() { waiting <- post(c, s.url, "") }()
			a.WaitCount(2, 10*time.Second)
			if tc.reload {
				s.reload(map[string]any{"Mark": "two"})
			}
			s.Signal(syscall.SIGTERM)
			began := time.Now()
			events, err := open.rest()
			took := time.Since(began)
			if len(events) < 5 || !strings.Contains(events[len(events)-1], `"error"`) || !strings.Contains(events[len(events)-1], "shutting_down") {
				t.Errorf("the stream ended after %d events, the last of which is %q; want an error event that says the gateway is shutting down", len(events), events[max(len(events)-1, 0):])
			}
			if !errors.Is(err, io.ErrUnexpectedEOF) {
				t.Errorf("the stream's body ended with %v, want it cut: %v", err, io.ErrUnexpectedEOF)
			}
			if took < 1500*time.Millisecond || took > 5*time.Second {
				t.Errorf("the stream was ended %v after SIGTERM, want 2s", took)
			}
			got := <-waiting
			if got.err != nil || got.status != http.StatusServiceUnavailable || !strings.Contains(string(got.body), `"shutting_down"`) {
				t.Errorf("a request without a response so far got %v, want 503 that says the gateway is shutting down", &got)
			}
			ended := time.Now()
			if code := s.WaitExit(15 * time.Second); code != 0 {
				t.Errorf("exit code %d, want 0", code)
			}
			if late := time.Since(ended); late > 3*time.Second {
				t.Errorf("the gateway exited %v after the last stream was ended", late)
			}
			if a.Cancelled() != 2 {
				t.Errorf("the provider saw %d requests cancelled, want 2", a.Cancelled())
			}
			s.WaitLog("drain_timeout reached")
		})
	}
}

// TestIdleGatewayExitsAtOnce has connections that are kept alive, and nothing
// to wait for.
func TestIdleGatewayExitsAtOnce(t *testing.T) {
	s, _ := startDrain(t, "1m")
	c := newClient(t)
	mustPost(t, c, s.url, "")
	began := time.Now()
	s.Signal(syscall.SIGTERM)
	if code := s.WaitExit(15 * time.Second); code != 0 {
		t.Errorf("exit code %d, want 0", code)
	}
	if took := time.Since(began); took > 5*time.Second {
		t.Errorf("the gateway took %v to exit", took)
	}
}

// TestDrainTimeoutEndsStuckClients has a client that does not read: a write to
// it blocks for as long as the site's write_idle says, a minute, and must not
// keep the process that long.
func TestDrainTimeoutEndsStuckClients(t *testing.T) {
	s, a := startDrain(t, "1s")
	a.Script(fakeprovider.Always(fakeprovider.EndlessEvents(strings.Repeat(numberedEvent(0), 100), 0)))
	openAll(t, newClient(t), s.url, "", 1)
	// The provider can send no more once every buffer on the way is full.
	sent := int64(-1)
	if !eventually(20*time.Second, func() bool {
		time.Sleep(200 * time.Millisecond)
		before := sent
		sent = a.Last().Sent()
		return sent == before
	}) {
		t.Fatal("the gateway reads on from the provider while the client does not")
	}
	began := time.Now()
	s.Signal(syscall.SIGTERM)
	if code := s.WaitExit(30 * time.Second); code != 0 {
		t.Errorf("exit code %d, want 0", code)
	}
	took := time.Since(began)
	t.Logf("exit %v after SIGTERM", took.Round(time.Millisecond))
	if took > 7*time.Second {
		t.Errorf("the gateway took %v to exit, want 1s of drain_timeout and a little", took)
	}
}

// TestDrainCoversLateRequests has a site that takes requests for a while after
// SIGTERM, as load balancers need it. Those end with the drain time as well.
func TestDrainCoversLateRequests(t *testing.T) {
	s, a := startDrain(t, "3s")
	s.reload(map[string]any{"Delay": "2s"})
	a.Script(fakeprovider.Always(fakeprovider.EndlessEvents(numberedEvent(0), 100*time.Millisecond)))
	began := time.Now()
	s.Signal(syscall.SIGTERM)
	time.Sleep(700 * time.Millisecond)
	open := mustOpen(t, newClient(t), s.url, "")
	events, err := open.rest()
	took := time.Since(began)
	if len(events) == 0 || !strings.Contains(events[len(events)-1], "shutting_down") || !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Errorf("the stream ended with %v after %d events, the last of which is %q; want it cut after an error event", err, len(events), events[max(len(events)-1, 0):])
	}
	if took < 2500*time.Millisecond || took > 6*time.Second {
		t.Errorf("the stream was ended %v after SIGTERM, want 3s", took)
	}
	if code := s.WaitExit(15 * time.Second); code != 0 {
		t.Errorf("exit code %d, want 0", code)
	}
}
