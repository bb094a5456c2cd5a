package llmroute

import (
	"errors"
	"math/rand/v2"
	"slices"
	"sync"
	"time"

	"github.com/caddyserver/caddy/v2"
	"go.uber.org/zap"
)

// errDrained is why a request ends when the drain time is over.
var errDrained = errors.New("the gateway is shutting down")

// serving are the apps whose requests may still be open: *App to nothing.
var serving sync.Map

// openRequests knows the requests that are being served, so that those which
// take too long at shutdown can be ended. It is split so that requests on many
// cores do not wait for each other.
type openRequests struct{ shards [openShards]openShard }

const openShards = 16

type openShard struct {
	mu    sync.Mutex
	first *exchange
	n     int
	_     [40]byte // keeps neighbours out of one cache line
}

// openLink is an exchange's place among the open requests.
type openLink struct {
	shard            *openShard
	earlier, further *exchange
}

func (o *openRequests) add(x *exchange) {
	s := &o.shards[rand.Uint32()%openShards]
	s.mu.Lock()
	x.shard, x.further = s, s.first
	if s.first != nil {
		s.first.earlier = x
	}
	s.first = x
	s.n++
	s.mu.Unlock()
}

func (o *openRequests) remove(x *exchange) {
	s := x.shard
	s.mu.Lock()
	if x.earlier != nil {
		x.earlier.further = x.further
	} else {
		s.first = x.further
	}
	if x.further != nil {
		x.further.earlier = x.earlier
	}
	s.n--
	s.mu.Unlock()
}

// count returns the number of requests being served.
func (o *openRequests) count() int {
	n := 0
	for i := range o.shards {
		s := &o.shards[i]
		s.mu.Lock()
		n += s.n
		s.mu.Unlock()
	}
	return n
}

// each calls f for each request being served. f must be quick: requests that
// begin or end meanwhile may have to wait for it.
func (o *openRequests) each(f func(*exchange)) {
	for i := range o.shards {
		s := &o.shards[i]
		s.mu.Lock()
		for x := s.first; x != nil; x = x.further {
			f(x)
		}
		s.mu.Unlock()
	}
}

// drain ends all requests being served, and returns their number.
func (o *openRequests) drain() int {
	n := 0
	o.each(func(x *exchange) {
		x.drain()
		n++
	})
	return n
}

// drainOnExit waits for the process to be told to exit, and ends what is still
// open when the drain time is over. The apps are stopped one after another and
// in no fixed order, and the http app's Stop waits for its requests, so it is
// not Stop that this can begin with.
func (a *App) drainOnExit() {
	defer serving.Delete(a)
	tick := time.NewTicker(200 * time.Millisecond)
	defer tick.Stop()
	for !caddy.Exiting() {
		select {
		case <-a.done:
			// Replaced by another configuration. Requests begun with this one go
			// on, and are still ours when the process exits.
			if a.open.count() == 0 {
				return
			}
			<-tick.C
		case <-tick.C:
		}
	}
	if n := a.open.count(); n > 0 {
		a.logger.Info("waiting for open requests to end", zap.Int("open", n), zap.Duration("drain_timeout", time.Duration(a.DrainTimeout)))
	}
	// Not only what is open now: a site may take requests for a while yet, as
	// Caddy's shutdown_delay has it. This ends with the process.
	time.Sleep(time.Duration(a.DrainTimeout))
	// Clients get this long to be told; then what still blocks is cut off. A tick
	// left over from the sleep would do that at once.
	tick.Reset(time.Second)
	for told := false; ; <-tick.C {
		if n := a.open.drain(); n > 0 && !told {
			told = true
			a.logger.Warn("drain_timeout reached; ended the requests still open", zap.Int("ended", n))
		}
	}
}

func sorted(s []string) []string {
	slices.Sort(s)
	return s
}
