package meter

import (
	"strings"

	"go.uber.org/zap/zapcore"

	"github.com/caddy-llm/gateway/llmroute/price"
)

// MarshalLogObject writes what an access log says of the request, when its line is written.
func (o *Outcome) MarshalLogObject(enc zapcore.ObjectEncoder) error {
	if o.Rule != "" {
		enc.AddString("rule", o.Rule)
	}
	if o.Handled != nil && o.Handled.Service != "" {
		enc.AddString("service", o.Handled.Service)
	}
	if o.Client != "" {
		enc.AddString("client", o.Client)
	}
	switch {
	case o.Failure != nil:
		enc.AddString("llm_error", o.Failure.Code)
	case o.Erred:
		enc.AddString("llm_error", errorInside)
	}
	if o.Denial != nil {
		for _, field := range o.Denial.LogFields() {
			field.AddTo(enc)
		}
	}
	for _, field := range o.LogFields {
		field.AddTo(enc)
	}
	if o.Provider == nil {
		return nil
	}
	enc.AddString("provider", o.Provider.name)
	enc.AddString("request_model", o.Model)
	enc.AddInt64("attempts", int64(o.Attempts))
	if t := o.Translation; t != nil {
		enc.AddString("llm_translated", t.To+"; from="+t.From)
		addNames(enc, "llm_dropped", t.Dropped)
		addNames(enc, "llm_approximated", t.Approximated)
	}
	if u := o.Total(); u.Known {
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
	if o.Charges.Known() {
		enc.AddFloat64("cost", float64(o.Charges.Nano)/price.Nano)
		enc.AddString("cost_currency", o.Charges.Currency)
	}
	if o.FirstToken > 0 {
		enc.AddFloat64("time_to_first_token", o.FirstToken.Seconds())
	}
	if o.Usage.FinishReason != "" {
		enc.AddString("finish_reason", o.Usage.FinishReason)
	}
	if o.Aborted {
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
var _ zapcore.ObjectMarshaler = (*Outcome)(nil)
