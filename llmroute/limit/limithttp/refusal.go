package limithttp

import (
	"fmt"
	"net/http"
	"time"

	"github.com/caddy-llm/gateway/llmprovider"
	"github.com/caddy-llm/gateway/llmroute/limit"
)

const (
	// maxRetryAfter is the longest wait that is named: some SDKs sleep as long as they
	// are told, and others ignore what is longer.
	maxRetryAfter = 60 * time.Second

	// The codes of the refusals.
	codeRate        = "rate_limit_exceeded"
	codeBudget      = "insufficient_quota"
	codeUnavailable = "limits_unavailable"
	codeNoPrice     = "no_price"
	codeNoKey       = "limit_key_missing"
	codeBackground  = "background_unlimited"
	codeGone        = "client_gone" // of an error that no client gets
)

// noRetry keeps SDKs from trying again: openai-node, openai-python, openai-go and
// Anthropic's obey it whatever the status.
var noRetry = []string{"false"}

// errorOf is what a refused client is told.
func (s *step) errorOf(r *limit.Refusal) *llmprovider.Error {
	e := &llmprovider.Error{Status: http.StatusTooManyRequests, Header: make(http.Header)}
	switch r.Reason {
	case limit.ReasonGone:
		e.Status, e.Type, e.Code = http.StatusServiceUnavailable, llmprovider.TypeServer, codeGone
		e.Message = "the request has ended while the gateway asked what is left of its limits"
		return e
	case limit.ReasonKey:
		e.Status, e.Type, e.Code = http.StatusForbidden, llmprovider.TypePermission, codeNoKey
		e.Message = fmt.Sprintf("the limit %q counts by %s, and this request has none; send it with one, or ask the gateway's operator", r.Limit, r.Key)
		return e
	case limit.ReasonPrice:
		e.Status, e.Type, e.Code, e.Param = http.StatusForbidden, llmprovider.TypePermission, codeNoPrice, "model"
		e.Message = fmt.Sprintf("the limit %q is one of money, and the gateway knows no price of the model %q; use a model with a price, or ask the gateway's operator to add its price",
			r.Limit, bounded(r.Model))
		return e
	case limit.ReasonStore:
		e.Status, e.Type, e.Code, e.RetryAfter = http.StatusServiceUnavailable, llmprovider.TypeServer, codeUnavailable, time.Second
		e.Message = fmt.Sprintf("the gateway cannot tell now what is left of the limit %q; try again in a moment", r.Limit)
		return e
	}
	e.Type, e.Code = string(r.Unit), codeRate // as OpenAI's API types them: requests, tokens
	if r.Budget {
		e.Type, e.Code = codeBudget, codeBudget
	}
	unit := s.unitName(r.Unit)
	what := fmt.Sprintf("%s %s per %s", r.Unit.Format(r.Rate), unit, r.Window)
	if r.Rate != r.Amount {
		what += fmt.Sprintf(", at most %s at once,", r.Unit.Format(r.Amount))
	}
	switch {
	case r.Reason == limit.ReasonTooLarge:
		e.Header["X-Should-Retry"] = noRetry
		e.Message = fmt.Sprintf("this request needs %s %s, and the limit %q has %s in all; send a shorter prompt, or a smaller max_completion_tokens",
			r.Unit.Format(r.Needed), unit, r.Limit, what)
		return e
	case r.Unit == limit.UnitConcurrent:
		e.Type, e.RetryAfter = string(limit.UnitRequests), time.Second
		e.Message = fmt.Sprintf("the limit %q of %d open requests is reached; try again when one of them has ended", r.Limit, r.Amount)
		return e
	}
	resets := s.call.Time.Add(r.Reset + time.Second - 1).UTC().Format(time.RFC3339)
	e.Message = fmt.Sprintf("the limit %q of %s is reached: %s left, and this request needs %s; it resets at %s", r.Limit, what,
		r.Unit.Format(r.Remaining), r.Unit.Format(r.Needed), resets)
	if r.Reason == limit.ReasonCut {
		e.Message = fmt.Sprintf("the limit %q of %s is used up, so the response ends here; it resets at %s", r.Limit, what, resets)
	}
	if r.Budget {
		e.Header["X-Should-Retry"] = noRetry
		return e
	}
	e.RetryAfter = min(max(r.RetryAfter, time.Second), maxRetryAfter)
	return e
}

// unitName is how people call the unit. Money is in the currency of the prices.
func (s *step) unitName(u limit.Unit) string {
	switch u {
	case limit.UnitInput:
		return "input tokens"
	case limit.UnitOutput:
		return "output tokens"
	case limit.UnitCost:
		cost, _ := s.target.Cost(new(llmprovider.Usage))
		return cost.Currency
	}
	return string(u)
}

// maxText bounds how much of a client's text an error repeats, in bytes.
const maxText = 100

func bounded(s string) string {
	if len(s) > maxText {
		return s[:maxText] + "…"
	}
	return s
}
