package llmroute

import (
	"bytes"
	"errors"
	"io"
	"net/http"
	"time"

	"github.com/caddy-llm/gateway/llmprovider"
	"github.com/caddy-llm/gateway/llmprovider/upstream"
	"github.com/caddy-llm/gateway/llmroute/authz/jwt"
	"github.com/caddy-llm/gateway/llmroute/httproute"
	"github.com/caddy-llm/gateway/llmroute/receive"
	"github.com/caddy-llm/gateway/llmroute/spec"
)

// A rule that passes on leads to its pools whatever matches it: requests whose path is no LLM
// endpoint go to an endpoint of a pool as they are, chosen as for LLM requests. Policies and
// virtual keys hold for them as for all. Guards, prompts, limits and the cache cannot read
// them: where one of these looks at the rule's requests, nothing else is passed on.

// findPassing finds the rule for a request whose path is no endpoint, if it passes on.
func (x *exchange) findPassing() bool {
	rules, targets, _ := x.lookup() // none with an error
	for i, rule := range rules {
		if rule.ReadsModel() { // which such a request has none of
			return false
		}
		if rule.HasMatchers() {
			if ok, err := x.matches(rule); err != nil {
				return false
			} else if !ok {
				continue
			}
		}
		if !rule.PassOther || x.watched(rule, targets[i]) {
			return false
		}
		x.rule, x.targets = rule, targets[i]
		return true
	}
	return false
}

// watched reports whether something must be known of a request that only an LLM request says.
func (x *exchange) watched(rule *spec.Rule, targets []target) bool {
	return len(x.snap.chains.of(rule, x.client, targets)) > 0 || x.client != nil && len(x.client.Models) > 0
}

// passOn sends the request to one of the rule's pools.
func (x *exchange) passOn() error {
	x.holdTargets()
	x.leaveSnapshot()
	x.Handled = new(httproute.Call)
	if refused := checkPassed(x.r); refused != nil {
		return x.refuse(refused)
	}
	if refused := x.in.ReadAny(x.r, x.maxBody); refused != nil {
		return x.refuse(refused)
	}
	i, refused := x.pick()
	if refused != nil {
		return x.refuse(refused)
	}
	t := &x.targets[i]
	if t.pool == nil {
		return x.refuse(x.unsupported())
	}
	x.Handled.Service = t.name
	x.start(&x.first)
	defer x.finish(&x.first)
	x.visit = x.enter(t)
	defer func() {
		x.visit.Done()
		x.visit = nil
	}()
	defer x.endPicking()
	r := x.r.WithContext(httproute.With(x.first.ctx, x.Handled))
	r.Body, r.ContentLength, r.TransferEncoding = nil, 0, nil // each attempt has its own
	x.w.Header().Del("Server")                                // of the one who responds
	err := new(httproute.Handler).Pass(x.w, r, passing{x, t})
	var own *llmprovider.Error
	switch {
	case err == nil:
		return nil
	case errors.As(err, &own):
		return x.refuse(own)
	}
	return x.refuse(attemptError(t.provider, x.first.ctx, err))
}

// checkPassed returns the error for a request that is not passed on, before its body is read.
// Preflights, which need no token and no key, get no memory for one.
func checkPassed(r *http.Request) *llmprovider.Error {
	if jwt.IsPreflight(r) && r.ContentLength != 0 {
		return &llmprovider.Error{
			Status: http.StatusBadRequest, Type: llmprovider.TypeInvalidRequest, Code: "preflight_body",
			Message: "a CORS preflight, which is OPTIONS with Origin and Access-Control-Request-Method, has no body; send it without",
		}
	}
	return httproute.Check(r)
}

// passing sends a request that is passed on.
type passing struct {
	x *exchange
	t *target
}

// RoundTrip implements http.RoundTripper.
func (p passing) RoundTrip(r *http.Request) (*http.Response, error) {
	x, t := p.x, p.t
	if t.servers.Picker != nil && !t.pool.Empty() {
		if err := x.pickPassed(t, r); err != nil {
			return nil, err
		}
	}
	if x.picked == nil {
		x.readKey(t)
	} else if body := x.picked.session.Prepare(r.Header); body != nil {
		if refused := x.in.SendInstead(body); refused != nil {
			return nil, refused
		}
	}
	for {
		endpoint, ok := x.visit.Next(r.Context(), time.Now())
		if !ok {
			return nil, errNoEndpoint(t.provider)
		}
		res, err := p.send(r, endpoint.Address)
		now := time.Now()
		switch {
		case err == nil:
			x.visit.Endpoint().Succeeded(now)
			x.in.Release() // no further attempt needs the body
			if x.picked != nil {
				x.picked.session.Respond(r.Context(), endpoint.Address, res)
			}
			return res, nil
		case x.clientGone() || endedByGateway(r.Context()) || !upstream.NotConnected(err):
			return nil, err
		}
		x.visit.Endpoint().Failed(now, now, 0)
		if !x.visit.More(now) && !x.visit.Last() {
			return nil, err
		}
		x.visit.Done()
	}
}

// send makes one attempt at an endpoint.
func (p passing) send(r *http.Request, address string) (*http.Response, error) {
	out := r.Clone(r.Context())
	out.URL.Host = address
	p.x.in.SetBody(out)
	dog := receive.Watch(p.t.Timeouts().FirstByte, p.x.first.cancel)
	defer dog.Stop()
	return p.t.RoundTrip(out)
}

// pickPassed asks the pool's endpoint picker where the request is to go. Without an error the
// picker's endpoints come first, or the gateway is to choose.
func (x *exchange) pickPassed(t *target, r *http.Request) error {
	shown := r.WithContext(r.Context())
	if body := x.in.Body(); len(body) > 0 { // which the picker's stream may read even after Release
		shown.ContentLength = int64(len(body))
		shown.GetBody = func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(body)), nil }
		shown.Body, _ = shown.GetBody()
	}
	picked := new(picking)
	var err error
	picked.session, err = t.servers.Picker.Pick(r.Context(), &llmprovider.PickerRequest{
		Request: shown, Subset: x.visit.Hint(time.Now()),
		Evict: func(said *llmprovider.PickerRefusal) { x.evict(picked, rejection(t.provider, said)) },
	})
	if err == nil {
		x.mu.Lock()
		x.picked = picked
		x.mu.Unlock()
		if x.visit.Prefer(picked.session.Endpoints()) > 0 {
			return nil
		}
		x.endPicking()
		err = errOutsidePool
	}
	var said *llmprovider.PickerRefusal
	switch open := t.servers.Picker.FailOpen(); {
	case x.clientGone(), endedByGateway(r.Context()):
		return err
	case errors.As(err, &said):
		return rejection(t.provider, said)
	default:
		t.pool.PickerFailed()
		x.logPicker(err, open)
		if open {
			return nil
		}
		return errPicker(t.provider, err)
	}
}
