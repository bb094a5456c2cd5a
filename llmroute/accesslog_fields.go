package llmroute

import (
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
	"go.uber.org/zap"
)

// setLogFields adds what the access log says of the exchange.
func (x *exchange) setLogFields() {
	if server, ok := x.r.Context().Value(caddyhttp.ServerCtxKey).(*caddyhttp.Server); ok && server.Logs == nil {
		return // there is no access log
	}
	extra, ok := x.r.Context().Value(caddyhttp.ExtraLogFieldsCtxKey).(*caddyhttp.ExtraLogFields)
	if !ok {
		return
	}
	for _, field := range x.accessFields() {
		extra.Set(field)
	}
}

// accessFields are what an access log says of the exchange.
func (x *exchange) accessFields() []zap.Field {
	fields := make([]zap.Field, 0, 16)
	if x.rule != nil && x.rule.Name != "" {
		fields = append(fields, zap.String("rule", x.rule.Name))
	}
	if x.client != nil {
		fields = append(fields, zap.String("client", x.client.Name))
	}
	switch {
	case x.failure != nil:
		fields = append(fields, zap.String("llm_error", x.failure.Code))
	case x.erred:
		fields = append(fields, zap.String("llm_error", errorInside))
	}
	if x.denied != nil {
		fields = append(fields, x.denied.LogFields()...)
	}
	if x.provider == nil {
		return fields
	}
	fields = append(fields, zap.String("provider", x.provider.name), zap.String("request_model", x.model), zap.Int("attempts", x.attempts))
	if u := x.total(); u.Known {
		fields = append(fields, zap.Int64("request_prompt_tokens", u.PromptTokens), zap.Int64("request_completion_tokens", u.CompletionTokens))
		if u.CachedTokens > 0 {
			fields = append(fields, zap.Int64("request_cached_tokens", u.CachedTokens))
		}
		if u.ReasoningTokens > 0 {
			fields = append(fields, zap.Int64("request_reasoning_tokens", u.ReasoningTokens))
		}
	}
	if x.charges.known() {
		fields = append(fields, zap.Float64("cost", float64(x.charges.nano)/nano), zap.String("cost_currency", x.charges.currency))
	}
	if x.stream && x.firstByte > 0 {
		fields = append(fields, zap.Float64("time_to_first_token", x.firstByte.Seconds()))
	}
	if x.usage.FinishReason != "" {
		fields = append(fields, zap.String("finish_reason", x.usage.FinishReason))
	}
	if x.aborted {
		fields = append(fields, zap.Bool("aborted", true))
	}
	return fields
}
