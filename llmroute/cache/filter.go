package cache

import (
	"context"
	"net/http"
	"strconv"
	"sync/atomic"
	"time"

	"go.uber.org/zap"

	"github.com/caddy-llm/gateway/llmprovider"
	"github.com/caddy-llm/gateway/llmroute/filter"
)

// Cache is the cache of a gateway, for rules that use it.
type Cache struct {
	config  *Config
	store   *guarded
	stats   *Stats
	flights flights
	room    atomic.Int64 // taken by responses that are on their way into the store, in bytes
}

// maxRoom bounds what is held of responses before they are stored, in bytes. Those beyond
// are not.
const maxRoom = 64 << 20

// New returns the cache with a store. What is counted goes into stats.
func New(config *Config, store Store, stats *Stats, logger *zap.Logger) (*Cache, error) {
	if err := config.Check(); err != nil {
		return nil, err
	}
	return &Cache{config: config, store: &guarded{Store: store, stats: stats, logger: logger}, stats: stats}, nil
}

// For returns the filter for the requests of a rule, with what the rule says of the cache.
func (c *Cache) For(rule string, r *Rule) *Filter {
	f := &Filter{cache: c, scope: r.Scope, ttl: time.Duration(r.TTL), stats: c.stats.rule(rule)}
	if f.scope == "" {
		f.scope = c.config.Scope
	}
	if f.scope == "" {
		f.scope = Client
	}
	if f.ttl == 0 {
		f.ttl = time.Duration(c.config.TTL)
	}
	if f.ttl == 0 {
		f.ttl = defaultTTL
	}
	return f
}

// Purge removes the responses that the tags select, and returns how many. Those that are
// on their way are not stored.
func (c *Cache) Purge(ctx context.Context, tags Tags) (int, error) {
	c.flights.clear()
	return c.store.Purge(ctx, tags)
}

// Use returns how full the store is.
func (c *Cache) Use() Use { return c.store.Use() }

// StoreName returns the name of the store's module.
func (c *Cache) StoreName() string { return c.store.CaddyModule().ID.Name() }

// StoreDown reports whether the store failed when it was last used.
func (c *Cache) StoreDown() bool { return c.store.broken.Load() }

// Filter answers the requests of one rule with stored responses, and stores others.
type Filter struct {
	cache *Cache
	scope Scope
	ttl   time.Duration
	stats *RuleStats
}

const (
	// statusHeader is RFC 9211's.
	statusHeader = "Cache-Status"
	// identifier is the cache's name in it.
	identifier = "llm"
)

// Begin implements filter.Filter.
func (f *Filter) Begin(ctx context.Context, c *filter.Call) (filter.Step, *llmprovider.Error) {
	ctl := readControl(c.Request.Header)
	why := bypass(f.cache.config, f.scope, c)
	if why == none && ctl.noStore {
		why = byNoStore
	}
	if why != none {
		f.stats.bypass(why)
		say(c, "fwd=bypass; detail="+string(why), "bypass", zap.String("llm_cache_reason", string(why)))
		if ctl.onlyIfCached {
			return nil, errNotCached()
		}
		return nil, nil
	}
	to := &filter.Target{Provider: c.Provider, Model: c.Model, Cost: c.Cost, Sent: c.Sent}
	s := &step{f: f, call: c, to: to}
	s.key = keyOf(f.cache.store.KeySecret(), f.scope, c, to)
	switch {
	case ctl.noCache && !ctl.onlyIfCached:
		s.look(ctx)
		f.stats.refreshed.Add(1)
		say(c, "fwd=request", "refresh")
		return s, nil
	case !f.cache.config.joins() || ctl.onlyIfCached || ctl.noCache:
		if e := s.look(ctx); e != nil && !ctl.noCache && f.takes(e, &ctl) {
			return s.hit(e, false), nil
		}
	default:
		switch refused := f.fly(ctx, s, &ctl); {
		case refused != nil:
			return nil, refused
		case s.found != nil:
			return s, nil
		}
	}
	f.stats.missed.Add(1)
	say(c, "fwd=miss", "miss")
	if ctl.onlyIfCached {
		return nil, errNotCached()
	}
	return s, nil
}

// fly leads the flight of the step's key, or waits for the one that there is.
func (f *Filter) fly(ctx context.Context, s *step, ctl *control) *llmprovider.Error {
	for {
		fl, leads := f.cache.flights.join(s.key)
		if leads {
			s.flight = fl
			if e := s.look(ctx); e != nil && f.takes(e, ctl) {
				fl.land(arrived, e)
				fl.close()
				s.flight = nil
				s.hit(e, false)
			}
			return nil
		}
		e, result := fl.wait(ctx)
		switch {
		case result == arrived && f.takes(e, ctl):
			s.hit(e, true)
			return nil
		case result == left:
			return &llmprovider.Error{Status: http.StatusServiceUnavailable, Type: llmprovider.TypeServer, Code: codeGone, Message: "the client left while it waited for an equal request"}
		case result != abandoned:
			s.look(ctx)
			return nil
		}
	}
}

func (f *Filter) takes(e *Entry, ctl *control) bool {
	now := time.Now()
	return ctl.takes(e.age(now), e.left(now, f.ttl))
}

// say tells the client and the log what the cache does.
func say(c *filter.Call, status, word string, more ...zap.Field) {
	c.Header[statusHeader] = []string{identifier + "; " + status}
	c.LogFields = append(append(c.LogFields, zap.String("llm_cache", word)), more...)
}

// codeGone is the code of an error that no client gets.
const codeGone = "client_gone"

// errNotCached is what RFC 9111, section 5.2.1.7, says of only-if-cached.
func errNotCached() *llmprovider.Error {
	return &llmprovider.Error{
		Status: http.StatusGatewayTimeout, Type: llmprovider.TypeInvalidRequest, Code: "not_cached", Header: http.Header{"X-Should-Retry": {"false"}},
		Message: "there is no stored response to this request, and its Cache-Control has only-if-cached; leave that out to have the provider asked",
	}
}

// wholeSeconds are those of a duration, as the headers have them.
func wholeSeconds(d time.Duration) string { return strconv.FormatInt(int64(d/time.Second), 10) }

// Interface guards
var _ filter.Filter = (*Filter)(nil)
