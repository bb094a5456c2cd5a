package meter

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

// Traced is the span of a request, which Caddy's handler tracing began. It is nil for a
// request that is not traced.
type Traced struct {
	request trace.Span
}

// AttemptSpan is the span of an attempt. It is nil for a request that is not traced.
type AttemptSpan struct {
	trace.Span
	began    time.Time
	status   int               // the provider's, 0 without a response
	failure  string            // why another attempt may follow, as an error type
	coolDown time.Duration     // of the provider
	usage    llmprovider.Usage // reported by a response that the client did not get
}

// TracedRequest returns the span of a request, nil if it is not traced.
func TracedRequest(r *http.Request) *Traced {
	span := trace.SpanFromContext(r.Context())
	if !span.SpanContext().IsValid() {
		return nil
	}
	return &Traced{request: span}
}

// TracedAttempt is what a span says of an attempt from its beginning.
type TracedAttempt struct {
	Provider, Host string
	Rule           string
	Operation      llmprovider.Operation
	Model          string // empty if it is not known
	Fixed          bool   // the model is the configuration's
	Number         int    // among the attempts of its request, from 1
}

// Begin begins the span of an attempt. The context that it returns is for the provider's
// request.
func (t *Traced) Begin(ctx context.Context, a *TracedAttempt) (context.Context, *AttemptSpan) {
	began := time.Now()
	name := string(a.Operation)
	attributes := []attribute.KeyValue{
		attrOperation.String(name), attrProvider.String(a.Provider), attrServer.String(a.Host),
		attrRule.String(a.Rule), attrAttempt.Int(a.Number),
	}
	if a.Model != "" {
		attributes = append(attributes, attrRequestModel.String(a.Model))
	}
	if a.Fixed { // or clients could make up names, which trace stores count by
		name += " " + a.Model
	}
	ctx, span := t.request.TracerProvider().Tracer(scope).Start(ctx, name, trace.WithSpanKind(trace.SpanKindClient), trace.WithAttributes(attributes...))
	return ctx, &AttemptSpan{Span: span, began: began}
}

// Sends notes what is sent to the provider.
func (t *AttemptSpan) Sends(a *llmprovider.Attempt) {
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

// Answered notes the status of the provider's response.
func (t *AttemptSpan) Answered(status int) {
	if t != nil {
		t.status = status
	}
}

// Failed notes why the attempt failed, so that another one may follow.
func (t *AttemptSpan) Failed(errorType string, coolDown time.Duration) {
	if t != nil {
		t.failure, t.coolDown = errorType, coolDown
	}
}

// Discarded notes the usage of a response that the client does not get.
func (t *AttemptSpan) Discarded(u *llmprovider.Usage) {
	if t != nil {
		t.usage = *u
	}
}

// FirstToken notes that a stream has begun.
func (t *AttemptSpan) FirstToken() {
	if t != nil {
		t.AddEvent(eventFirstToken)
		t.SetAttributes(attrFirstChunk.Float64(time.Since(t.began).Seconds()))
	}
}

// Ended ends the span of the attempt.
func (t *AttemptSpan) Ended(o *Outcome) {
	if t == nil {
		return
	}
	defer t.End()
	if !t.IsRecording() {
		return
	}
	usage, failure := &o.Usage, t.failure
	if failure == "" {
		failure = o.ErrorType()
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

// FallsBack notes on the request's span that another provider is tried after an attempt at
// one, whose span may be nil.
func (t *Traced) FallsBack(from string, last *AttemptSpan, to string) {
	if t == nil || !t.request.IsRecording() {
		return
	}
	attributes := []attribute.KeyValue{attrFrom.String(from), attrTo.String(to)}
	if last != nil {
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

// Finish says on the request's span what Caddy cannot know.
func (t *Traced) Finish(o *Outcome) {
	if t == nil || !t.request.IsRecording() {
		return
	}
	if o.Rule != "" {
		t.request.SetAttributes(attrRule.String(o.Rule))
	}
	failure := o.ErrorType()
	if o.Aborted && o.Status != 0 {
		t.request.SetAttributes(attrStatus.Int(o.Status)) // Caddy's handler is not come back to
	}
	if o.Aborted || o.Erred {
		setFailure(t.request, failure)
	} else if failure != "" {
		t.request.SetAttributes(attrErrorType.String(failure))
	}
}

// LogFields are those that Caddy adds to the access log of a site.
func (t *Traced) LogFields() []zap.Field {
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
	if errorType != ErrorClientGone {
		span.SetStatus(codes.Error, "")
	}
}
