package llmroute

import (
	"context"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"

	"github.com/caddy-llm/gateway/llmprovider"
	"github.com/caddy-llm/gateway/llmroute/authz"
	"github.com/caddy-llm/gateway/llmroute/authz/jwt"
	"github.com/caddy-llm/gateway/llmroute/crosssite"
	"github.com/caddy-llm/gateway/llmroute/filter"
	"github.com/caddy-llm/gateway/llmroute/inbound"
	"github.com/caddy-llm/gateway/llmroute/inflight"
	"github.com/caddy-llm/gateway/llmroute/life"
	"github.com/caddy-llm/gateway/llmroute/listen"
	"github.com/caddy-llm/gateway/llmroute/meter"
	"github.com/caddy-llm/gateway/llmroute/pool"
	"github.com/caddy-llm/gateway/llmroute/spec"
	"github.com/caddy-llm/gateway/llmroute/virtualkey"
)

// exchange is one client request and what became of it.
type exchange struct {
	h         *Handler
	w         http.ResponseWriter
	r         *http.Request
	in        *llmprovider.Inbound
	snap      *snapshot
	snapLife  *life.Life // of snap, held
	maxBody   int64
	table     string             // to route by, empty without one
	gateway   string             // that the request came in by, empty without one
	ports     []int              // that clients know the listener by, none if that is its own
	live      *listen.Live       // the listener of the gateway's own that the request came in at, or nil
	refused   *llmprovider.Error // because the request cannot be read in one way
	governs   bool               // policies of the source hold for the request
	client    *virtualkey.Client // known by its virtual key, or nil
	shared    inbound.Held       // what matchers can find of this exchange
	crossSite bool               // a page of another site sent the request without asking
	traced    *meter.Traced      // its spans, or nil
	filters   []filter.Filter    // that look at the request, in their order
	steps     []filter.Step      // what they do with it
	decision  *decision          // that one of them makes while a provider is asked, or nil

	filterCall *filter.Call     // what filters see of the request, and what they log of it
	cached     *filter.Response // that a filter has in place of a provider's, or nil

	place inflight.Place[exchange] // among the open requests

	mu       sync.Mutex // guards underWay, drained and shown, why the request was denied, and whose picker ended it
	underWay *attempt   // the one that began last of those under way
	drained  bool
	shown    shown

	rule    *spec.Rule
	targets []target
	holds   bool       // rule, targets and limits are held
	limits  *life.Life // of the limits among the filters
	tried   uint64     // a bit for each target
	next    int        // the target to try, -1 if none was picked

	visit  *pool.Visit // of the pool that is being tried, or nil
	again  bool        // the attempt is to be made at another endpoint of the pool
	tries  int         // attempts that were sent, each endpoint of a pool counted
	picked *picking    // by the pool's endpoint picker, nil without one

	*attempt         // that is judged, or was last; without a provider before the first
	first    attempt // room for one
	timedOut int     // of these: they reached a provider that did not respond in time

	complete  atomic.Bool   // all content of a stream has come
	firstByte time.Duration // from Began to the first byte of a body
	waited    time.Duration // for the request's body and for providers
	token     *jwt.Token    // that was verified, or nil

	meter.Outcome // what became of it, for what counts, traces and logs it
}

func newExchange(h *Handler, w http.ResponseWriter, r *http.Request) *exchange {
	x := &exchange{h: h, w: w, r: r, Outcome: meter.Outcome{Began: time.Now()}, maxBody: h.MaxBody, table: h.Table, traced: meter.TracedRequest(r)}
	x.snap, x.snapLife = h.app.use()
	if x.table != listen.MeshTable {
		x.gateway = x.table
	}
	x.attempt = &x.first
	x.refused = llmprovider.Prepare(r)
	x.crossSite = crosssite.Sent(r, h.origins)
	x.governs = x.snap.authz != nil && x.snap.governed(x.table)
	return x
}

// serve answers the request.
func (x *exchange) serve() error {
	// A page may send what it likes to a Service, which spends no key of a provider's.
	mayBeHandled := x.mayBeHandled()
	if x.crossSite && !mayBeHandled {
		return x.refuse(crosssite.Refusal(x.r))
	}
	if x.token == nil {
		x.token = authz.TokenOf(x.r)
	}
	x.client = virtualkey.ClientOf(x.r)
	if x.h.keys != nil {
		var refused *llmprovider.Error
		if x.client, refused = x.admitted(x.h.keys); refused != nil {
			return x.refuse(refused)
		}
	}
	if mayBeHandled {
		switch found, refused := x.findHandler(); {
		case refused != nil:
			return x.refuse(refused)
		case found:
			return x.serveHandler()
		case x.crossSite:
			return x.refuse(crosssite.Refusal(x.r))
		}
	}
	if x.in = inbound.Take(x.r); x.in != nil {
		x.in.Header = x.r.Header // which may be another one since, without what must not be passed on
	} else {
		var refused *llmprovider.Error
		if x.in, refused = llmprovider.NewInbound(x.r); refused != nil {
			return x.refuse(refused)
		}
	}
	if x.token != nil {
		x.in.TokenHeaders = x.token.Forwarded()
	}
	x.waited = -x.in.Took // what was read before does not count
	if repl, ok := x.r.Context().Value(caddy.ReplacerCtxKey).(*caddy.Replacer); ok {
		repl.Map(x.placeholder)
	}
	if x.in.Endpoint.Operation == llmprovider.ListModels {
		return x.serveModels()
	}
	x.in.Budget = &x.h.app.bodies.All
	refused := x.route()
	if refused != nil && refused.Status == http.StatusNotFound && x.in.Endpoint == (llmprovider.Endpoint{}) && x.findPassing() {
		return x.passOn()
	}
	if refused == nil && x.rule.HasHandler() {
		return x.serveHandler()
	}
	if refused == nil && x.in.Endpoint.Operation == llmprovider.StoredResponse {
		x.guardStored()
	}
	x.filters = x.snap.chains.of(x.rule, x.client, x.targets)
	x.holdTargets()
	x.leaveSnapshot()
	if refused != nil {
		return x.refuse(refused)
	}
	if err := x.in.Read(x.r, x.maxBody); err != nil {
		return x.refuse(err)
	}
	if err := x.checkStored(); err != nil {
		return x.refuse(err)
	}
	return x.forward()
}

// refuse answers with an error of the gateway's own.
func (x *exchange) refuse(err *llmprovider.Error) error {
	denied := x.verdict()
	if x.clientGone() && err.Status != http.StatusGatewayTimeout {
		x.Gone = true
		return caddyhttp.Error(statusClientGone, context.Cause(x.r.Context()))
	}
	if denied != nil && !x.clientGone() { // whose guard has failed with it
		err = denied
	}
	if api := x.api(); api != err.API {
		shaped := *err
		shaped.API, err = api, &shaped
	}
	x.Failure = err
	level := zapcore.DebugLevel
	if err.Status >= 500 {
		level = zapcore.ErrorLevel
	}
	if c := x.h.logger.Check(level, "request refused"); c != nil {
		c.Write(append(x.logFields(), zap.Int("status", err.Status), zap.String("code", err.Code), zap.Error(err))...)
	}
	header := x.w.Header()
	switch {
	case err.Status == http.StatusMethodNotAllowed:
		header.Set("Allow", http.MethodPost)
	case err.Status == http.StatusUpgradeRequired:
		if x.r.ProtoMajor == 1 { // the headers of one connection do not exist in later versions
			header.Set("Upgrade", "HTTP/1.1") // required by RFC 9110, section 15.5.22
			header.Set("Connection", "Upgrade")
		}
	case err.Status == http.StatusLoopDetected:
		header.Set("X-Should-Retry", "false") // or SDKs ask again, as after other errors from 500
	case err.Status == http.StatusRequestEntityTooLarge, err.RetryAfter > 0 && x.in != nil && !x.in.Whole():
		return inbound.Refuse(x.w, x.r, err)
	}
	if x.in == nil || !x.in.Whole() {
		llmprovider.CloseIfExpectContinue(x.w, x.r)
	}
	if x.r.Method == http.MethodHead {
		err.WriteHead(x.w)
		return nil
	}
	return err.Write(x.w)
}

// api is the API whose errors the client can read.
func (x *exchange) api() llmprovider.API {
	if x.operation() == llmprovider.ListModels {
		return x.modelsAPI()
	}
	return llmprovider.APIOf(x.r.URL.Path)
}

// end gives back what the exchange holds and counts it.
func (x *exchange) end() {
	x.h.app.open.Remove(&x.place)
	defer x.releaseTargets()
	x.leaveSnapshot()
	if x.in != nil {
		x.in.Release()
	}
	x.h.app.metrics.Observe(x.settle())
	x.endFilters()
	x.endDecision()
	if x.filterCall != nil {
		x.LogFields = x.filterCall.LogFields
	}
	x.traced.Finish(&x.Outcome)
	x.setLogFields()
}

// drain ends the exchange because the process exits. Called again, it also ends
// the reading from, and the writing to, a client that is too slow to let the
// exchange end.
func (x *exchange) drain() {
	x.mu.Lock()
	again := x.drained
	x.drained = true
	x.cancelAttempts(errDrained)
	x.mu.Unlock()
	if again {
		now, control := time.Now(), http.NewResponseController(unwrapWriter(x.w))
		_ = control.SetReadDeadline(now) // where it cannot be set, the server ends with the process
		_ = control.SetWriteDeadline(now)
	}
}

// cancelAttempts ends the attempts that are under way. x.mu must be held.
func (x *exchange) cancelAttempts(cause error) {
	for a := x.underWay; a != nil; a = a.underWay {
		a.cancel(cause)
	}
}

// unwrapWriter returns the server's own writer. Its deadlines may be set while the
// request's goroutine writes; those of Caddy's writers around it may not.
func unwrapWriter(w http.ResponseWriter) http.ResponseWriter {
	for {
		wrapper, ok := w.(interface{ Unwrap() http.ResponseWriter })
		if !ok {
			return w
		}
		w = wrapper.Unwrap()
	}
}

// clientGone reports whether the client has left.
func (x *exchange) clientGone() bool { return x.r.Context().Err() != nil }

// logFields are the fields of the handler's own log lines. They hold no client
// text but the model's name.
func (x *exchange) logFields() []zap.Field {
	fields := make([]zap.Field, 0, 11)
	if x.rule != nil {
		fields = append(fields, zap.String("rule", x.rule.Name))
	}
	if x.Handled != nil {
		fields = append(fields, zap.String("service", x.Handled.Service))
	}
	if x.provider != nil {
		fields = append(fields, zap.String("provider", x.provider.name), zap.String("host", x.provider.host),
			zap.String("model", x.model), zap.Int("attempt", x.Attempts))
		if x.endpoint != "" {
			fields = append(fields, zap.String("endpoint", x.endpoint))
		}
	}
	return append(fields, zap.String("operation", string(x.operation())))
}

func (x *exchange) ruleName() string {
	if x.rule == nil {
		return ""
	}
	return x.rule.Name
}

func (x *exchange) operation() llmprovider.Operation {
	if x.in == nil {
		return ""
	}
	return x.in.Endpoint.Operation
}
