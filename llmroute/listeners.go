package llmroute

import (
	"maps"
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
	running map[listenerSettings]*listener
	failed  map[string]string // by address: why there is none
	retry   *time.Timer
	ended   sync.WaitGroup
}

// begin starts the listeners of the snapshot in use, and keeps to later ones.
func (g *listeners) begin(a *App) {
	g.mu.Lock()
	g.app, g.running, g.failed = a, make(map[listenerSettings]*listener), make(map[string]string)
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
	wanted := make(map[listenerSettings]*Listener)
	for _, l := range g.app.current.Load().listeners {
		wanted[l.settings()] = l.Listener
	}
	failed := make(map[string]string)
	for settings, l := range wanted {
		if g.running[settings] != nil {
			continue
		}
		started, err := g.app.startGateway(l)
		if err != nil {
			failed[l.Address] = err.Error()
			if g.failed[l.Address] != err.Error() {
				g.app.logger.Error("cannot listen for a gateway; trying again", zap.String("address", l.Address), zap.Duration("every", listenRetry), zap.Error(err))
			}
			continue
		}
		g.app.logger.Info("listening for a gateway", zap.String("address", l.Address), zap.Bool("tls", l.TLS))
		g.running[settings] = started
	}
	// After the new ones are there, so that no address is without a listener.
	for settings, l := range g.running {
		if wanted[settings] != nil {
			continue
		}
		delete(g.running, settings)
		g.app.logger.Info("no longer listening for a gateway", zap.String("address", settings.address))
		if err := l.stop(); err != nil {
			g.app.logger.Error("closing a listener", zap.String("address", settings.address), zap.Error(err))
		}
	}
	g.failed = failed
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
	g.app = nil
	for _, settings := range slices.Collect(maps.Keys(g.running)) {
		l := g.running[settings]
		stop := func() {
			if err := l.stop(); err != nil {
				logger.Error("closing a listener", zap.String("address", settings.address), zap.Error(err))
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
