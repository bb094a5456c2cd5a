package llmroute

import (
	"strings"

	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
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
	extra.Add(zap.Inline(loggedExchange{x})) // one field: each costs Caddy a map
}

// loggedExchange is what an access log says of an exchange, when its line is
// written.
type loggedExchange struct{ *exchange }

// MarshalLogObject implements zapcore.ObjectMarshaler.
func (x loggedExchange) MarshalLogObject(enc zapcore.ObjectEncoder) error {
	if x.rule != nil && x.rule.Name != "" {
		enc.AddString("rule", x.rule.Name)
	}
	if x.client != nil {
		enc.AddString("client", x.client.Name)
	}
	switch {
	case x.failure != nil:
		enc.AddString("llm_error", x.failure.Code)
	case x.erred:
		enc.AddString("llm_error", errorInside)
	}
	if x.denied != nil {
		for _, field := range x.denied.LogFields() {
			field.AddTo(enc)
		}
	}
	if x.filterCall != nil {
		for _, field := range x.filterCall.LogFields {
			field.AddTo(enc)
		}
	}
	if x.provider == nil {
		return nil
	}
	enc.AddString("provider", x.provider.name)
	enc.AddString("request_model", x.model)
	enc.AddInt64("attempts", int64(x.attempts))
	if t := x.translation; t != nil {
		enc.AddString("llm_translated", t.To+"; from="+t.From)
		addNames(enc, "llm_dropped", t.Dropped)
		addNames(enc, "llm_approximated", t.Approximated)
	}
	if u := x.total(); u.Known {
		enc.AddInt64("request_prompt_tokens", u.PromptTokens)
		enc.AddInt64("request_completion_tokens", u.CompletionTokens)
		if u.CachedTokens > 0 {
			enc.AddInt64("request_cached_tokens", u.CachedTokens)
		}
		if u.CacheWriteTokens > 0 {
			enc.AddInt64("request_cache_write_tokens", u.CacheWriteTokens)
		}
		if u.ReasoningTokens > 0 {
			enc.AddInt64("request_reasoning_tokens", u.ReasoningTokens)
		}
	}
	if x.charges.known() {
		enc.AddFloat64("cost", float64(x.charges.nano)/nano)
		enc.AddString("cost_currency", x.charges.currency)
	}
	if x.firstToken > 0 {
		enc.AddFloat64("time_to_first_token", x.firstToken.Seconds())
	}
	if x.usage.FinishReason != "" {
		enc.AddString("finish_reason", x.usage.FinishReason)
	}
	if x.aborted {
		enc.AddBool("aborted", true)
	}
	return nil
}

func addNames(enc zapcore.ObjectEncoder, key string, names []string) {
	if len(names) > 0 {
		enc.AddString(key, strings.Join(names, ", "))
	}
}

// Interface guards
var _ zapcore.ObjectMarshaler = loggedExchange{}
