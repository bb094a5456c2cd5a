package llmroute

import (
	"context"
	"errors"
	"io"
	"net/http"
	"sync"
	"time"

	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"

	"github.com/caddy-llm/gateway/llmprovider"
	"github.com/caddy-llm/gateway/llmprovider/tap"
	"github.com/caddy-llm/gateway/llmprovider/upstream"
	"github.com/caddy-llm/gateway/llmroute/cooldown"
	"github.com/caddy-llm/gateway/llmroute/meter"
	"github.com/caddy-llm/gateway/llmroute/receive"
	"github.com/caddy-llm/gateway/llmroute/selection"
)

// maxKept is the largest error response that is kept while another provider is
// tried, in bytes.
const maxKept = 256 << 10

// keptTime bounds how long an error response that is to be kept may take.
const keptTime = 5 * time.Second

// keptAnswer is a response that was passed over in favour of another attempt.
type keptAnswer struct {
	attempt *attempt
	status  int
	header  http.Header
	body    []byte
}

// forward tries the rule's backends until one answers or none is left.
func (x *exchange) forward() error {
	var kept *keptAnswer
	var refused *llmprovider.Error
	if x.next, refused = x.pick(); refused != nil {
		return x.refuse(refused)
	}
	for first := true; ; first = false {
		t := &x.targets[x.next]
		refused, final := x.admit(t, first)
		if refused != nil {
			x.tried |= 1 << x.next
			x.next = -1
			switch {
			case final:
			case x.more():
				continue
			case kept != nil:
				return x.sendKept(kept)
			}
			return x.refuse(refused)
		}
		if x.cached != nil {
			return x.respondCached()
		}
		if denied := x.denied(); denied != nil { // while a store was asked, or another request waited for
			return x.refuse(denied)
		}
		if x.provider != nil {
			x.h.app.metrics.FellBack(x.rule.Name, x.provider.name, t.name)
			x.traced.FallsBack(x.provider.name, x.span, t.name)
		}
		x.tried |= 1 << x.next
		x.next = -1 // of a further attempt; found out only when it is needed
		done, answer, failure, err := x.attemptAt(t)
		if done {
			return err
		}
		if answer != nil {
			kept = answer
		}
		if x.next < 0 && (failure == nil || !x.more()) {
			if kept != nil {
				return x.sendKept(kept)
			}
			return x.refuse(failure)
		}
	}
}

// more picks the backend of a further attempt, and reports whether there is one.
func (x *exchange) more() bool {
	if x.Attempts < x.rule.Attempts && !x.clientGone() && x.denied() == nil {
		if i, none := x.pick(); none == nil {
			x.next = i
		}
	}
	return x.next >= 0
}

// candidateRooms are for the candidates of most rules.
var candidateRooms = sync.Pool{New: func() any { return new([8]selection.Candidate) }}

// pick chooses a backend that was not tried yet. The error says why there is
// none.
func (x *exchange) pick() (int, *llmprovider.Error) {
	if len(x.targets) == 1 {
		t := &x.targets[0]
		switch {
		case x.tried != 0, !t.usable():
			return -1, errNoBackend(x.rule.Name)
		case !x.allowed(t):
			return -1, x.notAllowed(t)
		}
		return 0, nil
	}
	now := time.Now()
	room := candidateRooms.Get().(*[8]selection.Candidate)
	defer candidateRooms.Put(room)
	candidates := x.candidates(room[:0], now, true)
	if len(candidates) == 0 {
		candidates = x.candidates(room[:0], now, false)
	}
	switch len(candidates) {
	case 0:
		for i := range x.targets {
			if t := &x.targets[i]; t.usable() && !x.allowed(t) {
				return -1, x.notAllowed(t)
			}
		}
		return -1, errNoBackend(x.rule.Name)
	case 1:
		return candidates[0].Index, nil
	}
	i := x.rule.Policy().Select(x.r, candidates)
	if i < 0 || i >= len(candidates) {
		i = 0
	}
	return candidates[i].Index, nil
}

// candidates appends the backends of the lowest priority that can be used.
func (x *exchange) candidates(out []selection.Candidate, now time.Time, skipCooling bool) []selection.Candidate {
	lowest := 0
	for i := range x.targets {
		t := &x.targets[i]
		if x.tried&(1<<i) != 0 || !t.usable() || skipCooling && x.cooling(t, now) || !x.allowed(t) {
			continue
		}
		switch {
		case len(out) == 0 || t.Priority < lowest:
			out, lowest = out[:0], t.Priority
		case t.Priority > lowest:
			continue
		}
		out = append(out, selection.Candidate{Provider: t.name, Weight: t.Share(), InFlight: t.state.InFlight.Load(), Index: i})
	}
	return out
}

// cooling reports whether the target is to be passed over for now.
func (x *exchange) cooling(t *target, now time.Time) bool {
	if !t.usableNow(now) {
		return true
	}
	if !t.state.Pauses.Any() {
		return false
	}
	model, _ := t.RequestModel(x.in, t.settings(x.rule))
	return t.state.Pauses.Cooling(now, model)
}

// allowed reports whether the client may use the model it would get.
func (x *exchange) allowed(t *target) bool {
	if x.client == nil || len(x.client.Models) == 0 {
		return true
	}
	model, _ := t.RequestModel(x.in, t.settings(x.rule))
	return x.client.Allows(model)
}

func (x *exchange) notAllowed(t *target) *llmprovider.Error {
	model, _ := t.RequestModel(x.in, t.settings(x.rule))
	return errModelNotAllowed(x.client.Name, model)
}

// try makes one attempt at a target, in a pool at that endpoint. done tells that the
// client has its response, with err as the handler's result. Otherwise answer is what the
// provider said, if it said anything, and failure what is to be told if nothing better
// comes.
func (x *exchange) try(t *target, endpoint string) (done bool, answer *keptAnswer, failure *llmprovider.Error, err error) {
	a, refused := x.begin(t, endpoint)
	defer x.finish(a)
	if refused != nil {
		a.span.Failed(refused.Code, 0)
		x.logAttempt(refused.Status, refused, 0)
		if refused.Status < 500 {
			return true, nil, nil, x.refuse(refused)
		}
		return false, nil, refused, nil
	}
	x.tries++
	a.send()
	x.waited += a.took
	if x.withoutStreamOptions(a) {
		x.waited += a.took
	}
	return x.conclude(a)
}

// conclude decides what an attempt that was sent comes to: it counts it, cools its
// provider down, logs it, and passes a response on. It returns what try does.
func (x *exchange) conclude(a *attempt) (done bool, answer *keptAnswer, failure *llmprovider.Error, err error) {
	x.attempt = a
	if a.err != nil {
		return x.concludeError(a)
	}
	status := a.res.StatusCode
	x.h.app.metrics.Attempt(a.provider.state.Provider, x.rule.Name, meter.StatusText(status))
	a.span.Answered(status)
	switch {
	case status < 300:
		if denied := x.verdictOn(a); denied != nil {
			return true, nil, nil, x.refuse(denied)
		}
		if x.judges() {
			if good, answer, failure := x.judge(a); !good {
				return false, answer, failure, nil
			}
		}
		return true, nil, nil, x.respond(a)
	case status == http.StatusNotModified: // no redirect, and nobody's error
		return true, nil, nil, x.respond(a)
	case status < 400:
		_ = a.res.Body.Close()
		failure = errRedirected(a.provider)
		pause := x.cool(a.ctx, failure.Status, nil, true)
		a.span.Failed(failure.Code, pause)
		x.logAttempt(status, failure, pause)
		if x.rule.Retries(failure.Status, x.ownKey()) {
			return false, nil, failure, nil
		}
		return true, nil, nil, x.refuse(failure)
	}

	if status == http.StatusUnauthorized || status == http.StatusForbidden {
		x.logRejectedKey(status)
	}
	pause := x.cool(a.ctx, status, a.res.Header, true)
	x.logAttempt(status, nil, pause)
	if x.again {
		a.span.Failed(meter.StatusText(status), pause)
		return false, x.keepFor(a), nil, nil
	}
	if x.rule.Retries(status, x.ownKey()) {
		a.span.Failed(meter.StatusText(status), pause)
		if x.more() {
			return false, x.keepFor(a), nil, nil
		}
	}
	return true, nil, nil, x.respond(a)
}

// concludeError is conclude for an attempt without a response.
func (x *exchange) concludeError(a *attempt) (done bool, answer *keptAnswer, failure *llmprovider.Error, err error) {
	p := a.provider
	failure = attemptError(p, a.ctx, a.err)
	if x.clientGone() {
		x.Gone = true
		return true, nil, nil, x.refuse(failure)
	}
	if x.cutBy(a, failure) {
		return false, nil, failure, nil
	}
	if failure.Status == http.StatusGatewayTimeout && !upstream.NotConnected(a.err) {
		x.timedOut++
	}
	var pause time.Duration
	switch {
	case receive.HeadersTooLarge(a.err):
		failure = errHeadersTooLarge(p, a.err)
	case endedByGateway(a.ctx):
	case context.Cause(a.ctx) == nil && receive.IsOversized(a.out.Request) && receive.BrokeOff(a.err) && x.visit == nil:
	default:
		pause = x.cool(a.ctx, 0, nil, !upstream.NotConnected(a.err))
	}
	x.h.app.metrics.Attempt(p.state.Provider, x.rule.Name, failure.Code)
	a.span.Failed(failure.Code, pause)
	x.logAttempt(0, a.err, pause)
	return false, nil, failure, nil
}

// cool notes that the attempt failed with that status, 0 without a response, and
// returns the cool-down that follows from it. taken reports whether the request had
// reached the provider. In a pool it is noted at the endpoint, and the pool cools down
// only when no other endpoint is asked.
func (x *exchange) cool(ctx context.Context, status int, header http.Header, taken bool) time.Duration {
	if status != 0 && !cooldown.IsFailure(status, x.ownKey()) {
		return 0
	}
	if x.visit != nil {
		if pause, others := x.failedAt(ctx, status, header, taken); others {
			return pause
		}
	}
	return x.provider.state.Pauses.Failed(x.sent, time.Now(), x.model, status, header)
}

// ownKey reports whether the provider is sent a credential of the gateway's own.
func (x *exchange) ownKey() bool { return x.provider.CredentialRef(x.settings.Rule) != "" }

// keepFor is keep within the time for it.
func (x *exchange) keepFor(a *attempt) *keptAnswer {
	a.dog.Restart(keptTime, receive.ErrFirstByte)
	began := time.Now()
	defer func() { x.waited += time.Since(began) }()
	return x.keep(a, meter.StatusText(a.res.StatusCode))
}

// keep reads an error response whole, so that its connection can be used again,
// and counts the tokens that it reports: they are paid for. failure is why it is passed over,
// as metrics have it. What it returns is as the client would get it.
func (x *exchange) keep(a *attempt, failure string) *keptAnswer {
	res := a.res
	defer res.Body.Close()
	body, err := io.ReadAll(io.LimitReader(res.Body, maxKept+1))
	answer := &keptAnswer{attempt: a}
	reader := tap.NewReader(a.out, res, llmprovider.IsEvents(res.Header))
	head := llmprovider.Head{Status: res.StatusCode, Header: res.Header}
	reader.Head(&head)
	pass := func(p []byte) error {
		answer.body = append(answer.body, p...)
		return nil
	}
	if reader.Write(body, pass) != nil || err == nil && reader.Finish(pass) != nil {
		return nil
	}
	if u := reader.Usage(); u.Known && !u.Zero() {
		x.h.app.metrics.Count(x.settle(), u, failure)
		x.Discarded.Add(u)
		a.span.Discarded(u)
		x.charge(u)
	}
	if err != nil || len(body) > maxKept {
		return nil
	}
	answer.status, answer.header = head.Status, head.Header
	return answer
}

// sendKept answers with the last error that a provider gave. The filters see it as they
// see any other.
func (x *exchange) sendKept(k *keptAnswer) error {
	if denied := x.verdict(); denied != nil {
		return x.refuse(denied)
	}
	x.attempt = k.attempt
	head := llmprovider.Head{Status: k.status, Header: k.header}
	head.Header.Del("Content-Length")
	reader := x.filtered(tap.Plain())
	reader.Head(&head)
	var body []byte
	pass := func(p []byte) error {
		body = append(body, p...)
		return nil
	}
	err := reader.Write(k.body, pass)
	if err == nil {
		err = reader.Finish(pass)
	}
	if refused := (*llmprovider.Error)(nil); errors.As(err, &refused) {
		return x.refuse(refused)
	}
	copyHeader(x.w.Header(), head.Header)
	x.Status = head.Status
	x.w.WriteHeader(head.Status)
	_, err = x.w.Write(body)
	return err
}

// logAttempt logs an attempt that failed. It is a warning, since the client may
// still get a response.
func (x *exchange) logAttempt(status int, err error, pause time.Duration) {
	level := zapcore.WarnLevel
	if status >= 400 && status < 500 && status != http.StatusTooManyRequests {
		level = zapcore.DebugLevel // most often the client's own mistake
	}
	if c := x.h.logger.Check(level, "attempt failed"); c != nil {
		fields := x.logFields()
		if status != 0 {
			fields = append(fields, zap.Int("status", status))
		}
		if err != nil {
			fields = append(fields, zap.Error(err))
		}
		if pause > 0 {
			fields = append(fields, zap.Duration("cool_down", pause))
		}
		c.Write(fields...)
	}
}

func (x *exchange) logRejectedKey(status int) {
	if c := x.h.logger.Check(zapcore.ErrorLevel, "provider rejected the gateway's key; check the key's source"); c != nil {
		c.Write(append(x.logFields(), zap.Int("status", status), zap.String("key_from", x.provider.CredentialRef(x.settings.Rule)))...)
	}
}
