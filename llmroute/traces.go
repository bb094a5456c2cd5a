package llmroute

import (
	"context"
	"net/http"
	"net/url"
	"strconv"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/trace"
	"go.uber.org/zap"

	"github.com/caddy-llm/gateway/llmprovider"
)

// scope is in whose name spans are made.
const scope = "github.com/caddy-llm/gateway"

// The attributes and events of spans, in one place because the OpenTelemetry
// GenAI conventions, which those with gen_ai follow, still move. No other text
// of a client than the model's name may be in them.
const (
	attrOperation     = attribute.Key("gen_ai.operation.name")
	attrProvider      = attribute.Key("gen_ai.provider.name")
	attrRequestModel  = attribute.Key("gen_ai.request.model")
	attrStream        = attribute.Key("gen_ai.request.stream")
	attrFirstChunk    = attribute.Key("gen_ai.response.time_to_first_chunk")
	attrResponseModel = attribute.Key("gen_ai.response.model")
	attrFinishReasons = attribute.Key("gen_ai.response.finish_reasons")
	attrInput         = attribute.Key("gen_ai.usage.input_tokens")
	attrOutput        = attribute.Key("gen_ai.usage.output_tokens")
	attrCached        = attribute.Key("gen_ai.usage.cache_read.input_tokens")
	attrCacheWrite    = attribute.Key("gen_ai.usage.cache_creation.input_tokens")
	attrReasoning     = attribute.Key("gen_ai.usage.reasoning.output_tokens")
	attrServer        = attribute.Key("server.address")
	attrPort          = attribute.Key("server.port")
	attrStatus        = attribute.Key("http.response.status_code")
	attrErrorType     = attribute.Key("error.type")
	attrRule          = attribute.Key("llm.rule")
	attrAttempt       = attribute.Key("llm.attempt")
	attrCoolDown      = attribute.Key("llm.cool_down")
	attrFrom          = attribute.Key("llm.from")
	attrTo            = attribute.Key("llm.to")

	eventFirstToken = "first_token"
	eventFallback   = "fallback"
)

// traced is the span of a request, which Caddy's handler tracing began. It is nil for a
// request that is not traced.
type traced struct {
	request trace.Span
}

// attemptSpan is the span of an attempt. It is nil for a request that is not traced.
type attemptSpan struct {
	trace.Span
	began    time.Time
	status   int               // the provider's, 0 without an answer
	failure  string            // why another attempt may follow, as an error type
	coolDown time.Duration     // of the provider
	usage    llmprovider.Usage // reported by an answer that the client did not get
}

func tracedRequest(r *http.Request) *traced {
	span := trace.SpanFromContext(r.Context())
	if !span.SpanContext().IsValid() {
		return nil
	}
	return &traced{request: span}
}

// begin begins the span of the exchange's attempt. The context that it returns is for the
// provider's request.
func (t *traced) begin(x *exchange) context.Context {
	if t == nil {
		return x.ctx
	}
	x.span = &attemptSpan{began: time.Now()}
	model, fixed := x.provider.RequestModel(x.in, x.settings)
	name := string(x.operation())
	attributes := []attribute.KeyValue{
		attrOperation.String(name), attrProvider.String(x.provider.name), attrServer.String(x.provider.host),
		attrRule.String(x.rule.Name), attrAttempt.Int(x.attempts),
	}
	if model != "" {
		attributes = append(attributes, attrRequestModel.String(model))
	}
	if fixed { // or clients could make up names, which trace stores count by
		name += " " + model
	}
	ctx, span := t.request.TracerProvider().Tracer(scope).Start(x.ctx, name, trace.WithSpanKind(trace.SpanKindClient), trace.WithAttributes(attributes...))
	x.span.Span = span
	return ctx
}

// sends notes what is sent to the provider.
func (t *attemptSpan) sends(a *llmprovider.Attempt) {
	if t == nil {
		return
	}
	if a.Stream {
		t.SetAttributes(attrStream.Bool(true))
	}
	if port := portOf(a.Request.URL); port != 0 {
		t.SetAttributes(attrPort.Int(port))
	}
}

func portOf(u *url.URL) int {
	if port, err := strconv.Atoi(u.Port()); err == nil {
		return port
	}
	switch u.Scheme {
	case "https":
		return 443
	case "http":
		return 80
	}
	return 0
}

// answered notes the status of the provider's answer.
func (t *attemptSpan) answered(status int) {
	if t != nil {
		t.status = status
	}
}

// failed notes why the attempt failed, so that another one may follow.
func (t *attemptSpan) failed(errorType string, coolDown time.Duration) {
	if t != nil {
		t.failure, t.coolDown = errorType, coolDown
	}
}

// discarded notes the usage of an answer that the client does not get.
func (t *attemptSpan) discarded(u *llmprovider.Usage) {
	if t != nil {
		t.usage = *u
	}
}

// firstToken notes that a stream has begun.
func (t *attemptSpan) firstToken() {
	if t != nil {
		t.AddEvent(eventFirstToken)
		t.SetAttributes(attrFirstChunk.Float64(time.Since(t.began).Seconds()))
	}
}

// end ends the span of the attempt.
func (t *attemptSpan) end(x *exchange) {
	if t == nil {
		return
	}
	defer t.End()
	if !t.IsRecording() {
		return
	}
	usage, failure := &x.usage, t.failure
	if failure == "" {
		failure = x.errorType()
	} else if t.usage.Known {
		usage = &t.usage
	}
	set := t.SetAttributes
	if t.status != 0 {
		set(attrStatus.Int(t.status))
	}
	if usage.Model != "" {
		set(attrResponseModel.String(usage.Model))
	}
	if usage.FinishReason != "" {
		set(attrFinishReasons.StringSlice([]string{usage.FinishReason}))
	}
	if usage.Known {
		set(attrInput.Int64(usage.PromptTokens), attrOutput.Int64(usage.CompletionTokens))
		if usage.CachedTokens > 0 {
			set(attrCached.Int64(usage.CachedTokens))
		}
		if usage.CacheWriteTokens > 0 {
			set(attrCacheWrite.Int64(usage.CacheWriteTokens))
		}
		if usage.ReasoningTokens > 0 {
			set(attrReasoning.Int64(usage.ReasoningTokens))
		}
	}
	if t.coolDown > 0 {
		set(attrCoolDown.Float64(t.coolDown.Seconds()))
	}
	setFailure(t, failure)
}

// fallsBack notes on the request's span that another provider is tried after an attempt.
func (t *traced) fallsBack(after *attempt, to string) {
	if t == nil || !t.request.IsRecording() {
		return
	}
	attributes := []attribute.KeyValue{attrFrom.String(after.provider.name), attrTo.String(to)}
	if last := after.span; last != nil {
		attributes = append(attributes, attrErrorType.String(last.failure))
		if last.status != 0 {
			attributes = append(attributes, attrStatus.Int(last.status))
		}
		if last.coolDown > 0 {
			attributes = append(attributes, attrCoolDown.Float64(last.coolDown.Seconds()))
		}
	}
	t.request.AddEvent(eventFallback, trace.WithAttributes(attributes...))
}

// finish says on the request's span what Caddy cannot know.
func (t *traced) finish(x *exchange) {
	if t == nil || !t.request.IsRecording() {
		return
	}
	if x.rule != nil && x.rule.Name != "" {
		t.request.SetAttributes(attrRule.String(x.rule.Name))
	}
	failure := x.errorType()
	if x.aborted && x.status != 0 {
		t.request.SetAttributes(attrStatus.Int(x.status)) // Caddy's handler is not come back to
	}
	if x.aborted || x.erred {
		setFailure(t.request, failure)
	} else if failure != "" {
		t.request.SetAttributes(attrErrorType.String(failure))
	}
}

// logFields are those that Caddy adds to the access log of a site.
func (t *traced) logFields() []zap.Field {
	if t == nil {
		return nil
	}
	span := t.request.SpanContext()
	return []zap.Field{zap.String("traceID", span.TraceID().String()), zap.String("spanID", span.SpanID().String())}
}

// setFailure marks a span as failed. A client that leaves is no failure.
func setFailure(span trace.Span, errorType string) {
	if errorType == "" {
		return
	}
	span.SetAttributes(attrErrorType.String(errorType))
	if errorType != errorClientGone {
		span.SetStatus(codes.Error, "")
	}
}
