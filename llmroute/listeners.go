package llmroute

import (
	"slices"
	"sync"
	"time"

	"github.com/caddyserver/caddy/v2"
	"go.uber.org/zap"
)

// listenRetry is how long to wait before a listener that could not be started is
// tried again.
const listenRetry = 5 * time.Second

// listeners are the running listeners that snapshots ask for.
type listeners struct {
	mu      sync.Mutex
	app     *App // nil before begin and after end
	running map[listenerKey]*runningListener
	failed  map[string]string // by address: why there is none, or not the one that is wanted
	retry   *time.Timer
	ended   sync.WaitGroup
}

// listenerKey tells running listeners apart.
type listenerKey struct {
	address string
	tls     bool
}

// runningListener is a listener, with the headers that its server expects.
type runningListener struct {
	*listener
	headers []string
}

// begin starts the listeners of the snapshot in use, and keeps to later ones.
func (g *listeners) begin(a *App) {
	g.mu.Lock()
	g.app, g.running, g.failed = a, make(map[listenerKey]*runningListener), make(map[string]string)
	g.mu.Unlock()
	g.change()
}

// change starts and stops listeners as the snapshot in use has it. One that
// cannot be started keeps no other from it.
func (g *listeners) change() {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.app == nil {
		return
	}
	logger := g.app.logger
	wanted, failed := make(map[listenerKey]bool), make(map[string]string)
	var replaced []*runningListener
	snap := g.app.current.Load()
	for _, l := range snap.listeners {
		key := listenerKey{l.Address, l.TLS}
		wanted[key] = true
		headers, old := l.Headers, g.running[key]
		if old != nil {
			// A header that is no longer matched by does no harm; another server
			// would close connections.
			if headers = union(old.headers, headers); len(headers) == len(old.headers) {
				continue
			}
		}
		started, err := g.app.startGateway(l.Listener, headers)
		if err != nil {
			failed[l.Address] = err.Error()
			if g.failed[l.Address] != err.Error() {
				logger.Error("cannot listen for a gateway; trying again", zap.String("address", l.Address), zap.Duration("every", listenRetry), zap.Error(err))
			}
			continue // with the old one, if there is one
		}
		logger.Info("listening for a gateway", zap.String("address", l.Address), zap.Bool("tls", l.TLS), zap.Strings("expected_headers", headers))
		g.running[key] = &runningListener{started, headers}
		if old != nil {
			replaced = append(replaced, old)
		}
	}
	// After the new ones are there, so that no address is without a listener.
	for key, l := range g.running {
		if !wanted[key] {
			delete(g.running, key)
			logger.Info("no longer listening for a gateway", zap.String("address", key.address), zap.Bool("tls", key.tls))
			replaced = append(replaced, l)
		}
	}
	for _, l := range replaced {
		if err := l.stop(); err != nil {
			logger.Error("closing a listener", zap.Error(err))
		}
	}
	g.failed = failed
	if snap.state != nil && snap.state.Observer != nil {
		addresses := make(map[string]bool, len(failed))
		for address := range failed {
			addresses[address] = true
		}
		snap.state.Observer.Listening(addresses)
	}
	if g.retry != nil {
		g.retry.Stop()
	}
	if len(failed) > 0 {
		g.retry = time.AfterFunc(listenRetry, g.change)
	}
}

// problem says why nothing listens at an address that a snapshot asks for.
func (g *listeners) problem(address string) string {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.failed[address]
}

// end closes all listeners. Requests go on; wait waits for them.
func (g *listeners) end() {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.app == nil {
		return
	}
	if g.retry != nil {
		g.retry.Stop()
	}
	logger := g.app.logger
	if app := g.app; caddy.Exiting() {
		g.ended.Go(func() { app.outbound.drain(time.Duration(app.DrainTimeout)) })
	}
	g.app = nil
	for key, l := range g.running {
		stop := func() {
			if err := l.stop(); err != nil {
				logger.Error("closing a listener", zap.String("address", key.address), zap.Error(err))
			}
		}
		if caddy.Exiting() {
			// Stopping waits for open requests then, and the apps that are stopped
			// after this one must not be kept open by that.
			g.ended.Go(stop)
		} else {
			stop()
		}
	}
	g.running = nil
}

// wait waits for the requests that were open at the end.
func (g *listeners) wait() { g.ended.Wait() }

// union is sorted and has each entry once.
func union(a, b []string) []string {
	out := slices.Concat(a, b)
	slices.Sort(out)
	return slices.Compact(out)
}
