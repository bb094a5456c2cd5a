package llmroute

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"strings"
	"time"
	"unicode/utf8"

	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"

	"github.com/caddy-llm/gateway/llmprovider"
	"github.com/caddy-llm/gateway/llmroute/cooldown"
	"github.com/caddy-llm/gateway/llmroute/meter"
)

// errOutsidePool is a picker's fault: nothing that it named is an endpoint of the pool.
var errOutsidePool = errors.New("the endpoint picker named no endpoint of the pool")

// maxSaid is the most of a picker's own text that a client is told, in bytes.
const maxSaid = 1 << 10

// picking is what the exchange knows of the pool's endpoint picker.
type picking struct {
	session llmprovider.PickerSession
	evicted *llmprovider.Error // because the picker said so; guarded by the exchange's mu
}

// askPicker asks the pool's endpoint picker where the request is to go. With a failure the
// pool is done with: the picker has rejected the request, or it failed and its choice is
// needed. Without one the picker's endpoints come first, or the gateway is to choose.
func (x *exchange) askPicker(t *target) (done bool, answer *keptAnswer, failure *llmprovider.Error, err error) {
	a := &attempt{provider: t.provider, settings: t.settings(x.rule), sent: time.Now()}
	a.model, a.fixedModel = t.RequestModel(x.in, a.settings)
	x.attempt = a
	x.start(a)
	defer x.finish(a)
	refused, failed := x.openPicking(t, a)
	x.waited += time.Since(a.sent)
	var said *llmprovider.PickerRefusal
	switch {
	case refused != nil && refused.Status < 500:
		x.logAttempt(refused.Status, refused, 0)
		return true, nil, nil, x.refuse(refused)
	case refused != nil:
		x.logAttempt(refused.Status, refused, 0)
		return false, nil, refused, nil
	case failed == nil:
		return false, nil, nil, nil
	case x.clientGone():
		return true, nil, nil, x.refuse(errPicker(t.provider, failed))
	case errors.As(failed, &said):
		return x.rejected(said)
	case endedByGateway(a.ctx):
		return false, nil, attemptError(t.provider, a.ctx, failed), nil
	}
	open := t.servers.Picker.FailOpen()
	t.pool.PickerFailed()
	x.logPicker(failed, open)
	if open {
		return false, nil, nil, nil
	}
	failure = errPicker(t.provider, failed)
	pause := t.state.Pauses.Failed(a.sent, time.Now(), a.model, failure.Status, nil)
	x.h.app.metrics.Attempt(t.state.Provider, x.rule.Name, failure.Code)
	x.logAttempt(failure.Status, failure, pause)
	return false, nil, failure, nil
}

// openPicking shows the picker the request as an endpoint will get it, and has the endpoints
// that it names come first. refused is why there is no such request, and failed why there is
// no choice.
func (x *exchange) openPicking(t *target, a *attempt) (refused *llmprovider.Error, failed error) {
	x.knowsStreamOptions()
	out, refused := t.NewAttempt(a.ctx, x.in, a.settings)
	if refused != nil {
		return refused, nil
	}
	if body := out.Request.Body; body != nil {
		defer body.Close()
	}
	picked := new(picking)
	picked.session, failed = t.servers.Picker.Pick(a.ctx, &llmprovider.PickerRequest{
		Request: out.Request, Subset: x.visit.Hint(time.Now()),
		Evict: func(said *llmprovider.PickerRefusal) { x.evict(picked, rejection(t.provider, said)) },
	})
	if failed != nil {
		return nil, failed
	}
	x.mu.Lock()
	x.picked = picked
	x.mu.Unlock()
	if x.visit.Prefer(picked.session.Endpoints()) == 0 {
		x.endPicking()
		return nil, errOutsidePool
	}
	return nil, nil
}

// rejected treats what a picker says itself as if an endpoint had said it: a status to go
// on after leads to the rule's further backends.
func (x *exchange) rejected(said *llmprovider.PickerRefusal) (done bool, answer *keptAnswer, failure *llmprovider.Error, err error) {
	failure = rejection(x.provider, said)
	pause := time.Duration(0)
	if cooldown.IsFailure(said.Status, false) {
		pause = x.provider.state.Pauses.Failed(x.sent, time.Now(), x.model, said.Status, said.Header)
	}
	x.h.app.metrics.Attempt(x.provider.state.Provider, x.rule.Name, meter.StatusText(said.Status))
	x.logAttempt(said.Status, failure, pause)
	if json.Valid(said.Body) { // as the picker says it
		header := said.Header.Clone()
		header.Set("Content-Type", "application/json")
		answer = &keptAnswer{attempt: x.attempt, status: said.Status, header: header, body: said.Body}
	}
	switch {
	case x.rule.Retries(said.Status, false):
		return false, answer, failure, nil
	case answer != nil:
		return true, nil, nil, x.sendKept(answer)
	}
	return true, nil, nil, x.refuse(failure)
}

// newAttempt makes what an attempt sends, with the changes that the picker asked for.
func (x *exchange) newAttempt(a *attempt, settings llmprovider.Settings) (*llmprovider.Attempt, *llmprovider.Error) {
	out, refused := a.provider.NewAttempt(a.ctx, x.in, settings)
	if x.picked == nil || refused != nil {
		return out, refused
	}
	if body := x.picked.session.Prepare(out.Request.Header); body != nil {
		out.AddedStreamOptions = false // what is in the body is not the gateway's any more
		refused = out.ReplaceBody(x.in, body)
	}
	return out, refused
}

// tellPicker tells the picker of the response that the client gets, and has it changed.
func (x *exchange) tellPicker(a *attempt) {
	began := time.Now()
	x.picked.session.Respond(a.ctx, a.endpoint, a.res)
	x.waited += time.Since(began)
}

// evict ends the request because its picker says so.
func (x *exchange) evict(picked *picking, evicted *llmprovider.Error) {
	x.mu.Lock()
	defer x.mu.Unlock()
	picked.evicted = evicted
	if x.picked != picked { // it is about to be known
		return
	}
	x.cancelAttempts(evicted)
}

// evicted is why the picker has ended the request, nil if it has not. x.mu must be held.
func (x *exchange) evicted() *llmprovider.Error {
	if x.picked == nil {
		return nil
	}
	return x.picked.evicted
}

// endPicking ends what the picker knows of the request.
func (x *exchange) endPicking() {
	if x.picked == nil {
		return
	}
	x.picked.session.Close()
	x.mu.Lock()
	x.picked = nil
	x.mu.Unlock()
}

// endedByGateway reports whether an attempt was ended by the gateway, which says nothing of
// the provider: the process exits, a guard has denied the request meanwhile, or an endpoint
// picker has ended it.
func endedByGateway(ctx context.Context) bool {
	cause := context.Cause(ctx)
	var refused *llmprovider.Error
	return errors.Is(cause, errDrained) || errors.As(cause, &refused)
}

// logPicker logs that a picker failed. It is an error where requests fail with it.
func (x *exchange) logPicker(failed error, open bool) {
	level, message := zapcore.ErrorLevel, "endpoint picker failed"
	if open {
		level, message = zapcore.WarnLevel, "endpoint picker failed; the gateway chooses the endpoint"
	}
	if c := x.h.logger.Check(level, message); c != nil {
		c.Write(append(x.logFields(), zap.Error(failed))...)
	}
}

func errPicker(p *provider, cause error) *llmprovider.Error {
	return &llmprovider.Error{
		Status: http.StatusServiceUnavailable, Type: llmprovider.TypeServer, Code: "endpoint_picker_unavailable",
		Message: "the endpoint picker of the pool " + p.name + " is not available; try again, or ask the gateway's operator to look at it", Cause: cause,
	}
}

// rejection is what a picker says itself, as an error of the client's API.
func rejection(p *provider, said *llmprovider.PickerRefusal) *llmprovider.Error {
	out := &llmprovider.Error{
		Status: said.Status, Type: llmprovider.TypeServer, Code: "endpoint_picker_rejected", Header: said.Header, Cause: said,
		Message: "the endpoint picker of the pool " + p.name + " rejected the request; try again later",
	}
	if said.Status < 500 && said.Status != http.StatusTooManyRequests {
		out.Type, out.Message = llmprovider.TypeInvalidRequest, "the endpoint picker of the pool "+p.name+" rejected the request"
	}
	text := string(said.Body)
	if len(text) > maxSaid {
		text = text[:maxSaid]
	}
	if text = strings.TrimSpace(text); text != "" && utf8.ValidString(text) && !json.Valid(said.Body) {
		out.Message += ": " + text
	}
	return out
}
