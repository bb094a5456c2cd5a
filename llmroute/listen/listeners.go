package listen

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

// App is the llm app, as far as its listeners depend on it.
type App interface {
	// ServerFor returns the server that the listener at an address has for the name in a
	// handshake, or nil. It is safe for concurrent use.
	ServerFor(address, name string) *Server
}

// Options say what to listen on, and with what.
type Options struct {
	Context caddy.Context
	App     App
	Logger  *zap.Logger

	// StatusListen is where the status listener is, or off.
	StatusListen string

	// Wanted returns the listeners that are wanted now, by address. Failed, if it is not
	// nil, is told at which of them nothing can listen, each time that may have changed.
	Wanted func() (listeners map[string]*Live, failed func(map[string]bool))

	// Drain is called when the process exits, and returns when what has no HTTP request
	// has ended.
	Drain func()
}

// Listeners are the running listeners that are wanted. The zero value has none.
type Listeners struct {
	mu      sync.Mutex
	options *Options // nil before begin and after end
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
	*Running
	headers []string
}

// Begin starts the listeners that are wanted.
func (g *Listeners) Begin(o *Options) {
	g.mu.Lock()
	g.options, g.running, g.failed = o, make(map[listenerKey]*runningListener), make(map[string]string)
	g.mu.Unlock()
	g.Change()
}

// Change starts and stops listeners as they are wanted now. One that cannot be started keeps
// no other from it.
func (g *Listeners) Change() {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.options == nil {
		return
	}
	logger := g.options.Logger
	wanted, failed := make(map[listenerKey]bool), make(map[string]string)
	var replaced []*runningListener
	live, report := g.options.Wanted()
	for _, l := range live {
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
		started, err := g.options.start(l.Listener, headers)
		if err != nil {
			failed[l.Address] = err.Error()
			if g.failed[l.Address] != err.Error() {
				logger.Error("cannot listen for a Gateway or sidecar; retrying", zap.String("address", l.Address), zap.Duration("every", listenRetry), zap.Error(err))
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
		if err := l.Stop(); err != nil {
			logger.Error("failed to close a listener", zap.Error(err))
		}
	}
	g.failed = failed
	if report != nil {
		addresses := make(map[string]bool, len(failed))
		for address := range failed {
			addresses[address] = true
		}
		report(addresses)
	}
	if g.retry != nil {
		g.retry.Stop()
	}
	if len(failed) > 0 {
		g.retry = time.AfterFunc(listenRetry, g.Change)
	}
}

// Problem says why nothing listens at an address that is wanted.
func (g *Listeners) Problem(address string) string {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.failed[address]
}

// End closes all listeners. Requests go on; Wait waits for them.
func (g *Listeners) End() {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.options == nil {
		return
	}
	if g.retry != nil {
		g.retry.Stop()
	}
	logger := g.options.Logger
	if caddy.Exiting() {
		g.ended.Go(g.options.Drain)
	}
	g.options = nil
	for key, l := range g.running {
		stop := func() {
			if err := l.Stop(); err != nil {
				logger.Error("failed to close a listener", zap.String("address", key.address), zap.Error(err))
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

// Wait waits for the requests that were open at the end.
func (g *Listeners) Wait() { g.ended.Wait() }

// union is sorted and has each entry once.
func union(a, b []string) []string {
	out := slices.Concat(a, b)
	slices.Sort(out)
	return slices.Compact(out)
}
