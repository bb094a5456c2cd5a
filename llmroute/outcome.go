package llmroute

import (
	"strings"

	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
	"go.uber.org/zap"

	"github.com/caddy-llm/gateway/llmprovider"
	"github.com/caddy-llm/gateway/llmroute/meter"
)

// settle fills in what the outcome says of the request and of the attempt that is judged.
func (x *exchange) settle() *meter.Outcome {
	o := &x.Outcome
	o.Operation, o.Rule = x.operation(), x.ruleName()
	if x.client != nil {
		o.Client = x.client.Name
	}
	if p := x.provider; p != nil {
		o.Provider, o.Host, o.Endpoint = p.state.Provider, p.host, x.endpoint
		o.Model, o.FixedModel, o.Translation = x.model, x.fixedModel, x.translation
	}
	return o
}

// charge adds the cost of a response that reported usage.
func (x *exchange) charge(u *llmprovider.Usage) {
	if x.h.app.prices != nil {
		x.h.app.metrics.Charge(x.settle(), x.h.app.prices.Get(), u)
	}
}

// setLogFields adds what the access log says of the exchange.
func (x *exchange) setLogFields() {
	if server, ok := x.r.Context().Value(caddyhttp.ServerCtxKey).(*caddyhttp.Server); ok && server.Logs == nil {
		return // there is no access log
	}
	extra, ok := x.r.Context().Value(caddyhttp.ExtraLogFieldsCtxKey).(*caddyhttp.ExtraLogFields)
	if !ok {
		return
	}
	extra.Add(zap.Inline(&x.Outcome)) // one field: each costs Caddy a map
}

// placeholder gives the values of {http.llm.*}.
func (x *exchange) placeholder(key string) (any, bool) {
	name, ok := strings.CutPrefix(key, meter.PlaceholderPrefix)
	if !ok {
		return nil, false
	}
	return x.settle().Placeholder(name)
}
