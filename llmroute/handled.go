package llmroute

import (
	"errors"
	"net/http"

	"github.com/caddyserver/caddy/v2/modules/caddyhttp"

	"github.com/caddy-llm/gateway/llmprovider"
	"github.com/caddy-llm/gateway/llmroute/httproute"
)

// A rule with a handler in place of backends is served without a look at models: such as
// plain proxying to a Service, or a redirect. Policies, tokens and virtual keys hold for it
// as for all rules; guards and limits, which read LLM requests, do not.

// mayBeHandled reports whether the route for the request's host has rules with handlers.
func (x *exchange) mayBeHandled() bool {
	if len(x.h.Rules) > 0 {
		return x.h.handles
	}
	if x.table == "" {
		return false
	}
	t := x.snap.tables[x.table]
	if t == nil || !t.handles {
		return false
	}
	e := t.Find(x.r.Host)
	return e != nil && e.handles
}

// findHandler finds the rule for the request, if it is one with a handler: before anything
// asks whether it is an LLM request. Rules after one that matches by model are left to
// those who have read the request.
func (x *exchange) findHandler() (found bool, refused *llmprovider.Error) {
	rules, targets, _ := x.lookup() // none with an error, which is said in the API's own form later
	for i, rule := range rules {
		if rule.ReadsModel() {
			return false, nil
		}
		if rule.HasMatchers() {
			ok, err := x.matches(rule)
			if err != nil {
				return false, x.matcherError(rule, err)
			}
			if !ok {
				continue
			}
		}
		if !rule.HasHandler() {
			return false, nil
		}
		x.rule, x.targets = rule, targets[i]
		return true, nil
	}
	return false, nil
}

// serveHandler has the rule's handler serve the request.
func (x *exchange) serveHandler() error {
	x.holdTargets()
	x.leaveSnapshot()
	x.start(&x.first)
	defer x.finish(&x.first)
	x.w.Header().Del("Server") // of the one who responds
	call := new(httproute.Call)
	if len(x.ports) > 0 {
		call.Port = x.ports[0]
	}
	x.Handled = call
	err := x.rule.Handler().ServeHTTP(x.w, x.r.WithContext(httproute.With(x.first.ctx, call)), caddyhttp.HandlerFunc(notHandled))
	if err == nil {
		return nil
	}
	return x.refuse(handlerError(err))
}

// notHandled responds where a rule's handler leaves that to the next one.
func notHandled(http.ResponseWriter, *http.Request) error {
	return caddyhttp.Error(http.StatusNotFound, errors.New("the rule's handler does not respond"))
}

// handlerError is what the client is told of a handler's error.
func handlerError(err error) *llmprovider.Error {
	var own *llmprovider.Error
	if errors.As(err, &own) {
		return own
	}
	out := &llmprovider.Error{
		Status: http.StatusBadGateway, Type: llmprovider.TypeServer, Code: "service_unreachable",
		Message: "the service behind this route could not be reached, or broke off; try again", Cause: err,
	}
	if failed, ok := errors.AsType[caddyhttp.HandlerError](err); ok && failed.StatusCode >= 400 {
		out.Status = failed.StatusCode
	}
	return out
}
