package llmroute

import (
	"errors"
	"sync"
	"time"

	"github.com/caddyserver/caddy/v2"
	"go.uber.org/zap"
)

// errDrained is why a request ends when the drain time is over.
var errDrained = errors.New("the gateway is shutting down")

// serving are the apps whose requests may still be open: *App to nothing.
var serving sync.Map

// drainOpen ends all requests being served, and returns their number.
func (a *App) drainOpen() int {
	n := 0
	a.open.Each(func(x *exchange) {
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
			if a.open.Count() == 0 {
				return
			}
			<-tick.C
		case <-tick.C:
		}
	}
	if n := a.open.Count(); n > 0 {
		a.logger.Info("waiting for open requests to end", zap.Int("open", n), zap.Duration("drain_timeout", time.Duration(a.DrainTimeout)))
	}
	// Not only what is open now: a site may take requests for a while yet, as
	// Caddy's shutdown_delay has it. This ends with the process.
	time.Sleep(time.Duration(a.DrainTimeout))
	// Clients get this long to be told; then what still blocks is cut off. A tick
	// left over from the sleep would do that at once.
	tick.Reset(time.Second)
	for told := false; ; <-tick.C {
		if n := a.drainOpen(); n > 0 && !told {
			told = true
			a.logger.Warn("drain_timeout reached; ended the requests still open", zap.Int("ended", n))
		}
	}
}
