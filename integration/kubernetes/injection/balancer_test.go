package injection_test

import (
	"io"
	"net"
	"slices"
	"sync"
	"testing"
	"time"
)

// balancer passes connections on to a replica, as a Service does: always the first one,
// so that a test knows which. API servers keep a connection for all their requests.
type balancer struct {
	listener net.Listener

	mu       sync.Mutex
	replicas []string
	taken    int // connections so far
}

func newBalancer(t *testing.T) *balancer {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	b := &balancer{listener: l}
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go b.pass(c)
		}
	}()
	return b
}

func (b *balancer) address() string { return b.listener.Addr().String() }

func (b *balancer) add(address string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.replicas = append(b.replicas, address)
}

// prefer sends new connections to a replica.
func (b *balancer) prefer(address string) {
	b.remove(address)
	b.mu.Lock()
	defer b.mu.Unlock()
	b.replicas = slices.Insert(b.replicas, 0, address)
}

// remove sends no new connection to a replica. Those there are stay.
func (b *balancer) remove(address string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.replicas = slices.DeleteFunc(b.replicas, func(a string) bool { return a == address })
}

// connections is how many connections there have been.
func (b *balancer) connections() int {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.taken
}

func (b *balancer) next() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.taken++
	if len(b.replicas) == 0 {
		return ""
	}
	return b.replicas[0]
}

func (b *balancer) pass(from net.Conn) {
	defer from.Close()
	to, err := net.DialTimeout("tcp", b.next(), 5*time.Second)
	if err != nil {
		return
	}
	defer to.Close()
	go func() {
		_, _ = io.Copy(to, from)
		_ = to.Close()
		_ = from.Close()
	}()
	_, _ = io.Copy(from, to)
}
