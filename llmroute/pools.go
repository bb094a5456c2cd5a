package llmroute

import (
	"context"
	"net/http"
	"time"

	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
	"go.uber.org/zap"

	"github.com/caddy-llm/gateway/llmprovider"
	"github.com/caddy-llm/gateway/llmprovider/upstream"
	"github.com/caddy-llm/gateway/llmroute/cooldown"
	"github.com/caddy-llm/gateway/llmroute/pool"
	"github.com/caddy-llm/gateway/llmroute/selection"
)

// newPool returns the pool of a provider with several servers, nil for others. It
// contacts nobody before its Start.
func (a *App) newPool(name string, module llmprovider.Provider, state *providerState, endpoints []string) (*pool.Pool, *upstream.Servers) {
	pooled, ok := module.(upstream.Pooled)
	if !ok {
		return nil, nil
	}
	servers := pooled.Servers()
	if servers == nil {
		return nil, nil
	}
	options := pool.Options{Addresses: servers.Addresses, Source: servers.Lookup, Origin: servers.Origin, Scrape: servers.Scrape, Logger: a.logger.With(zap.String("provider", name))}
	if servers.Fed {
		options.Addresses = endpoints
	}
	return pool.New(&state.Endpoints, options), servers
}

// setEndpoints gives a pool the endpoints that a source found.
func (p *provider) setEndpoints(addresses []string) {
	if p.pool != nil && p.servers.Fed {
		p.pool.Set(addresses)
	}
}

// attemptAt makes one attempt of the rule: in a pool at one endpoint after the other,
// until one answers or none is left.
func (x *exchange) attemptAt(t *target) (done bool, answer *keptAnswer, failure *llmprovider.Error, err error) {
	x.Attempts++
	if t.pool == nil {
		return x.try(t, "")
	}
	x.visit = x.enter(t)
	defer func() {
		x.visit.Done()
		x.visit = nil
	}()
	if t.servers.Picker != nil && !t.pool.Empty() {
		defer x.endPicking()
		if done, answer, failure, err = x.askPicker(t); done || failure != nil {
			return done, answer, failure, err
		}
	}
	if x.picked == nil {
		x.readKey(t)
	}
	for {
		endpoint, ok := x.visit.Next(x.waiting(), time.Now())
		if denied := x.denied(); denied != nil { // while the first endpoints were waited for
			return false, answer, denied, nil
		}
		if !ok {
			if failure == nil {
				x.attempt = &attempt{provider: t.provider, settings: t.settings(x.rule)}
				failure = errNoEndpoint(t.provider)
				x.logAttempt(failure.Status, failure, 0)
			}
			return false, answer, failure, nil
		}
		x.again = false
		done, answer, failure, err = x.try(t, endpoint.Address)
		if done || !x.again {
			return done, answer, failure, err
		}
		x.visit.Done()
		if refused := x.retarget(t); refused != nil { // filters charge what each attempt used
			return false, answer, refused, nil
		}
	}
}

// enter begins the way through a pool.
func (x *exchange) enter(t *target) *pool.Visit {
	affinity := t.servers.Affinity
	return t.pool.Visit(affinity == upstream.AffinityPrefix || affinity == upstream.AffinityHeader)
}

// readKey reads what the endpoint is chosen by, where the gateway itself chooses.
func (x *exchange) readKey(t *target) {
	affinity, v := t.servers.Affinity, x.visit
	model, _ := t.RequestModel(x.in, t.settings(x.rule))
	v.Key.Model = model
	if affinity == upstream.AffinityOff || !v.Many(x.waiting()) {
		return
	}
	switch affinity {
	case upstream.AffinityClient:
		v.Key.Session = pool.SessionHash(x.clientKey())
		return
	case upstream.AffinityHeader:
		if session := x.r.Header.Get(t.servers.AffinityHeader); session != "" {
			v.Key.Session = pool.SessionHash(session)
			return
		}
	}
	if x.in.IsJSON() && x.in.Endpoint.TakesStream() {
		v.Key.Prefix.Read(x.in.Body(), model)
	}
}

// clientKey is what a client is known by: the name of its virtual key, or its address.
func (x *exchange) clientKey() string {
	if x.client != nil {
		return "key " + x.client.Name
	}
	if ip, ok := caddyhttp.GetVar(x.r.Context(), caddyhttp.ClientIPVarKey).(string); ok && ip != "" {
		return ip
	}
	return x.r.RemoteAddr
}

// failedAt notes at an endpoint that an attempt failed with that status, 0 without a
// response. others reports whether the pool has endpoints that do not cool down: then the
// failure is not the pool's. It sets x.again if this request can go on to one of them.
func (x *exchange) failedAt(ctx context.Context, status int, header http.Header, taken bool) (pause time.Duration, others bool) {
	now := time.Now()
	switch status {
	case http.StatusInternalServerError, http.StatusRequestTimeout: // one alone says nothing of the next request
		pause = x.visit.Endpoint().Erred(x.sent, now)
	default:
		pause = x.visit.Endpoint().Failed(x.sent, now, cooldown.RetryAfter(header, now))
	}
	others = x.visit.Others(now)
	if status == 0 || status == http.StatusServiceUnavailable {
		x.goOn(ctx, now, taken)
	} else if taken {
		x.visit.Taken()
	}
	return pause, others
}

// goOn sets x.again if the request can go on to another endpoint of the pool. taken
// reports whether the one in use took the request. If it did not, and nothing else is left,
// endpoints that cool down are tried as well.
func (x *exchange) goOn(ctx context.Context, now time.Time, taken bool) {
	if taken {
		x.visit.Taken()
	}
	more := x.visit.More(now) || !taken && x.visit.Last() && !x.hasOthers(now)
	x.again = more && !x.clientGone() && !endedByGateway(ctx)
}

// hasOthers reports whether the rule may go on to another backend.
func (x *exchange) hasOthers(now time.Time) bool {
	var room [8]selection.Candidate
	return x.Attempts < x.rule.Attempts && len(x.candidates(room[:0], now, false)) > 0
}

func errNoEndpoint(p *provider) *llmprovider.Error {
	return &llmprovider.Error{
		Status: http.StatusServiceUnavailable, Type: llmprovider.TypeServer, Code: "no_endpoint",
		Message: "the pool " + p.name + " has no endpoint; try again, or ask the gateway's operator to look at the pool on the status page",
	}
}

// usableNow reports whether a target is no pool that has nothing to send requests to.
func (t *target) usableNow(now time.Time) bool {
	return t.pool == nil || !t.pool.Empty() && !t.pool.Cooling(now)
}
