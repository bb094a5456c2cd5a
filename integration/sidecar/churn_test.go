//go:build linux

package sidecar_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"
)

// client is an application in the pod, with connections of its own.
func (s *site) client() *http.Client {
	return &http.Client{Timeout: 20 * time.Second, Transport: &http.Transport{
		DialContext: func(ctx context.Context, _, address string) (net.Conn, error) {
			host, port, err := net.SplitHostPort(address)
			if err != nil {
				return nil, err
			}
			for _, line := range names {
				if ip, name, _ := strings.Cut(line, " "); name == host {
					host = ip
				}
			}
			return s.dial(ctx, net.JoinHostPort(host, port))
		},
	}}
}

// outcomes counts how requests ended.
type outcomes struct {
	mu    sync.Mutex
	count map[string]int
}

func (o *outcomes) add(what string) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.count[what]++
}

// failure names what a client saw.
func failure(err error) string {
	switch {
	case errors.Is(err, syscall.ECONNREFUSED):
		return "refused" // there is no listener: the gateway is not back yet
	case errors.Is(err, syscall.ECONNRESET), errors.Is(err, syscall.EPIPE):
		return "reset" // it had been accepted by the kernel, or was idle, when the listener closed
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF), strings.Contains(err.Error(), "server closed idle connection"):
		return "closed" // an idle connection was used again in the moment of its end
	}
	return err.Error()
}

// TestChurn sends 10,000 requests over connections that live for one to eight of
// them, a quarter to a host without a route, and restarts the sidecar in the
// middle. Nothing fails but what meets the time without a gateway.
func TestChurn(t *testing.T) {
	const workers, requests = 16, 10_000
	p := newPod(t, "documented-weighted-split")
	p.start(gatewayUID, settings{})
	p.capture()
	go http.Serve(p.listen(otherIP4+":80"), http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { //nolint:errcheck // ends with the listener
		_, _ = io.Copy(w, r.Body)
	}))
	var sent atomic.Int64
	var down atomic.Bool // from before the gateway is told to stop until it is ready again
	halfway, back := make(chan struct{}), make(chan struct{})
	calm, restart := &outcomes{count: map[string]int{}}, &outcomes{count: map[string]int{}}
	began := time.Now()
	var working sync.WaitGroup
	for w := range workers {
		working.Go(func() {
			c, life := p.client(), 1
			for i := w; ; i++ {
				n := sent.Add(1)
				if n > requests {
					return
				}
				if n == requests/2 {
					close(halfway)
				}
				body := fmt.Sprintf(`{"messages":[{"role":"user","content":"%d"}]}`, n)
				url, want := "http://dashscope.aliyuncs.com/", `"model":"qwen1.5-72b-chat"`
				if i%4 == 0 {
					url, want = "http://other.example.com/", body
				}
				before := down.Load()
				got, err := post(c, url, body)
				result := "fine"
				switch {
				case err != nil:
					result = failure(err)
				case !strings.HasPrefix(got, "200 ") || !strings.Contains(got, want):
					result = got
				}
				if before || down.Load() {
					restart.add(result)
				} else {
					calm.add(result)
				}
				if result != "fine" && result != "closed" {
					time.Sleep(20 * time.Millisecond)
				}
				if life--; life <= 0 {
					c.CloseIdleConnections()
					life = 1 + i%8
				}
			}
		})
	}
	go func() {
		defer close(back)
		<-halfway
		down.Store(true)
		p.gateway.end(syscall.SIGTERM)
		p.start(gatewayUID, settings{})
		down.Store(false)
	}()
	working.Wait()
	<-back
	t.Logf("%d requests in %v; in calm: %v; around the restart: %v", requests, time.Since(began).Round(time.Millisecond), calm.count, restart.count)
	if len(calm.count) != 1 || calm.count["fine"] < requests*8/10 {
		t.Errorf("outside of the restart: %v", calm.count)
	}
	for what, n := range restart.count {
		if what != "fine" && what != "refused" && what != "reset" && what != "closed" {
			t.Errorf("around the restart, %d: %s", n, what)
		}
	}
	if restart.count["refused"] == 0 {
		t.Error("nothing was refused: there was no restart")
	}
	if broken := restart.count["reset"] + restart.count["closed"]; broken > 2*workers {
		t.Errorf("%d requests broke off, more than the clients had connections", broken)
	}
	if n := p.direct(); n != "0" || p.plain.count() != 0 {
		t.Errorf("%s packets left the pod for port 80, and %d connections came there", n, p.plain.count())
	}
}

// post returns the status and the body of a response.
func post(c *http.Client, url, body string) (string, error) {
	res, err := c.Post(url, "application/json", strings.NewReader(body))
	if err != nil {
		return "", err
	}
	defer res.Body.Close()
	answer, err := io.ReadAll(res.Body)
	return res.Status + " " + string(answer), err
}
