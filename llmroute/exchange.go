package llmroute

import (
	"context"
	"net/http"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"

	"github.com/caddy-llm/gateway/llmprovider"
	"github.com/caddy-llm/gateway/llmroute/authz"
	"github.com/caddy-llm/gateway/llmroute/filter"
	"github.com/caddy-llm/gateway/llmroute/pool"
)

// exchange is one client request and what became of it.
type exchange struct {
	h         *Handler
	w         http.ResponseWriter
	r         *http.Request
	in        *llmprovider.Inbound
	snap      *snapshot
	snapLife  *life // of snap, held
	began     time.Time
	maxBody   int64
	table     string             // to route by, empty without one
	ports     []int              // that clients know the listener by, none if that is its own
	refused   *llmprovider.Error // because the request cannot be read in one way
	governs   bool               // policies of the source hold for the request
	client    *Client            // known by its virtual key, or nil
	shared    bool               // matchers can find this exchange
	crossSite bool               // a page of another site sent the request without asking
	traced    *traced            // its spans, or nil
	filters   []filter.Filter    // that look at the request, in their order
	steps     []filter.Step      // what they do with it

	filterCall *filter.Call // what filters see of the request, and what they log of it

	openLink // among the open requests

	mu       sync.Mutex // guards underWay, drained and shown
	underWay *attempt   // the one that began last of those under way
	drained  bool
	shown    shown

	rule    *Rule
	targets []target
	holds   bool   // rule and targets are held
	tried   uint64 // a bit for each target
	next    int    // the target to try, -1 if none was picked

	visit  *pool.Visit // of the pool that is being tried, or nil
	again  bool        // the attempt is to be made at another endpoint of the pool
	picked *picking    // by the pool's endpoint picker, nil without one

	*attempt         // that is judged, or was last; without a provider before the first
	first    attempt // room for one
	attempts int     // that there were, a pool's endpoints not counted
	timedOut int     // of these: they reached a provider that did not respond in time

	status         int           // the provider's answer that the client got
	complete       atomic.Bool   // all content of a stream has come
	firstByte      time.Duration // from began to the first byte of a body
	firstToken     time.Duration // from began to the first event with content of a stream
	compressed     bool          // the response is, so that its usage cannot be read
	waited         time.Duration // for the request's body and for providers
	overhead       time.Duration // the rest of the time until the answer's head
	usage          llmprovider.Usage
	discardedUsage llmprovider.Usage  // the usage of answers that were not given to the client
	charges        charges            // for both
	failure        *llmprovider.Error // the gateway's own error, if it answered with one
	denied         *authz.Decision    // what did not let the request pass
	token          *authz.Token       // that was verified, or nil
	aborted        bool               // the answer broke off after it had begun
	gone           bool               // the client left
	erred          bool               // the provider reported an error inside an answer that had begun well
}

func newExchange(h *Handler, w http.ResponseWriter, r *http.Request) *exchange {
	x := &exchange{h: h, w: w, r: r, began: time.Now(), maxBody: h.MaxBody, table: h.Table, traced: tracedRequest(r)}
	x.snap, x.snapLife = h.app.use()
	x.attempt = &x.first
	x.refused = llmprovider.Prepare(r)
	x.crossSite = isCrossSite(r, h.origins)
	x.governs = x.snap.authz != nil && x.snap.governed(x.table)
	return x
}

// serve answers the request.
func (x *exchange) serve() error {
	if x.crossSite {
		return x.refuse(errCrossSite(x.r))
	}
	if x.token == nil {
		x.token = authz.TokenOf(x.r)
	}
	x.client = clientOf(x.r)
	if x.h.keys != nil {
		var refused *llmprovider.Error
		if x.client, refused = x.admitted(x.h.keys); refused != nil {
			return x.refuse(refused)
		}
	}
	x.in = takeShared(x.r)
	if x.in == nil {
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
	x.in.Budget = &x.h.app.bodies.all
	refused := x.route()
	x.filters = x.h.app.filtersOf(x.rule)
	x.holdTargets()
	x.leaveSnapshot()
	if refused != nil {
		return x.refuse(refused)
	}
	if err := x.in.Read(x.r, x.maxBody); err != nil {
		return x.refuse(err)
	}
	return x.forward()
}

// refuse answers with an error of the gateway's own.
func (x *exchange) refuse(err *llmprovider.Error) error {
	if x.clientGone() && err.Status != http.StatusGatewayTimeout {
		x.gone = true
		return caddyhttp.Error(statusClientGone, context.Cause(x.r.Context()))
	}
	if api := x.api(); api != err.API {
		shaped := *err
		shaped.API, err = api, &shaped
	}
	x.failure = err
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
		return x.refuseBody(err)
	}
	if x.in == nil || !x.in.Whole() {
		closeIfExpectContinue(x.w, x.r)
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
	x.h.app.open.remove(x)
	defer x.releaseTargets()
	x.leaveSnapshot()
	if x.in != nil {
		x.in.Release()
	}
	x.h.app.metrics.observe(x)
	x.endFilters()
	x.traced.finish(x)
	x.setLogFields()
}

// drain ends the exchange because the process exits. Called again, it also ends
// the reading from, and the writing to, a client that is too slow to let the
// exchange end.
func (x *exchange) drain() {
	x.mu.Lock()
	again := x.drained
	x.drained = true
	for a := x.underWay; a != nil; a = a.underWay {
		a.cancel(errDrained)
	}
	x.mu.Unlock()
	if again {
		now, control := time.Now(), http.NewResponseController(unwrapWriter(x.w))
		_ = control.SetReadDeadline(now) // where it cannot be set, the server ends with the process
		_ = control.SetWriteDeadline(now)
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
	if x.provider != nil {
		fields = append(fields, zap.String("provider", x.provider.name), zap.String("host", x.provider.host),
			zap.String("model", x.model), zap.Int("attempt", x.attempts))
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

// errorType is why the request failed, for metrics and traces; empty if it did
// not.
func (x *exchange) errorType() string {
	switch {
	case x.gone:
		return errorClientGone
	case x.failure != nil:
		return x.failure.Code
	case x.erred:
		return errorInside
	case x.status >= 400:
		return statusText(x.status)
	}
	return ""
}

func (x *exchange) operation() llmprovider.Operation {
	if x.in == nil {
		return ""
	}
	return x.in.Endpoint.Operation
}

// placeholder gives the values of {http.llm.*}.
func (x *exchange) placeholder(key string) (any, bool) {
	const prefix = "http.llm."
	if len(key) <= len(prefix) || key[:len(prefix)] != prefix {
		return nil, false
	}
	u := x.total()
	switch key[len(prefix):] {
	case "provider":
		if x.provider == nil {
			return "", true
		}
		return x.provider.name, true
	case "endpoint":
		return x.endpoint, true
	case "model":
		return x.model, true
	case "rule":
		return x.ruleName(), true
	case "attempts":
		return x.attempts, true
	case "cost":
		if !x.charges.known() {
			return "", true
		}
		return x.charges.amount(), true
	case "finish_reason":
		return x.usage.FinishReason, true
	case "usage.prompt_tokens":
		return tokens(u, u.PromptTokens), true
	case "usage.completion_tokens":
		return tokens(u, u.CompletionTokens), true
	case "usage.cached_tokens":
		return tokens(u, u.CachedTokens), true
	case "usage.cache_write_tokens":
		return tokens(u, u.CacheWriteTokens), true
	case "usage.reasoning_tokens":
		return tokens(u, u.ReasoningTokens), true
	}
	return nil, false
}

// tokens is a count as a placeholder's value: empty when it is not known.
func tokens(u llmprovider.Usage, n int64) string {
	if !u.Known {
		return ""
	}
	return strconv.FormatInt(n, 10)
}

// total is what all answers to the request reported: those that were passed
// over as well as the one that the client got.
func (x *exchange) total() llmprovider.Usage {
	u := x.usage
	u.Add(&x.discardedUsage)
	return u
}
