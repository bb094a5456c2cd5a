package llmroute

import (
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"

	"github.com/caddy-llm/gateway/internal/livefile"
	"github.com/caddy-llm/gateway/llmprovider"
	"github.com/caddy-llm/gateway/llmroute/meter"
	"github.com/caddy-llm/gateway/llmroute/price"
	"github.com/caddy-llm/gateway/llmroute/spec"
	"github.com/caddy-llm/gateway/llmroute/virtualkey"
)

// discard is an encoder that takes the fields and writes nothing.
type discard struct{ zapcore.ObjectEncoder }

func (discard) AddString(string, string)   {}
func (discard) AddInt64(string, int64)     {}
func (discard) AddFloat64(string, float64) {}

// BenchmarkObserve is what a request costs to count, price and describe to the
// access log, each alone and all of it: the clock readings, the metrics, what the
// status page shows, the price and the fields of the log, without the line that
// Caddy writes.
func BenchmarkObserve(b *testing.B) {
	path := filepath.Join(b.TempDir(), "prices.yaml")
	if err := os.WriteFile(path, []byte("currency: USD\nprices:\n  - {model: \"*\", input: 9, output: 9}\n  - {model: gpt-4o*, input: 2.50, cached: 1.25, output: 10.00}\n"), 0o600); err != nil {
		b.Fatal(err)
	}
	prices, err := livefile.Open(path, price.File, zap.NewNop())
	if err != nil {
		b.Fatal(err)
	}
	m, err := meter.Acquire(prometheus.NewRegistry())
	if err != nil {
		b.Fatal(err)
	}
	p := &provider{name: "openai", host: "api.openai.com", state: &providerState{Provider: meter.NewProvider("openai")}}
	defer p.state.Close()
	usage := llmprovider.Usage{Known: true, PromptTokens: 1000, CompletionTokens: 200, CachedTokens: 400, ReasoningTokens: 50, Model: "gpt-4o-2024-08-06", FinishReason: "stop"}
	app := &App{metrics: m, prices: prices}
	handler := &Handler{app: app}
	rule, client := &spec.Rule{Name: "everyone"}, &virtualkey.Client{Name: "alice"}
	began := time.Now()
	x := &exchange{
		h: handler, rule: rule, client: client, attempt: &attempt{provider: p, model: "gpt-4o", stream: true}, in: &llmprovider.Inbound{Endpoint: llmprovider.Endpoint{Operation: llmprovider.Chat}},
		Outcome: meter.Outcome{Began: began, Attempts: 1, Status: 200, FirstToken: time.Millisecond, Usage: usage},
	}
	for _, bb := range []struct {
		name string
		do   func(x *exchange)
	}{
		{"counted", func(x *exchange) { m.Observe(x.settle()) }},
		{"priced", func(x *exchange) { x.charge(&x.Usage) }},
		{"logged", func(x *exchange) {
			new(caddyhttp.ExtraLogFields).Add(zap.Inline(&x.Outcome))
			_ = x.MarshalLogObject(discard{})
		}},
		{"all", func(x *exchange) {
			sent := time.Now() // as attempt and respond do
			x.show(shown{provider: p.name, rule: rule.Name, model: x.model, client: x.client, stream: x.stream})
			x.showAnswer()
			x.waited += time.Since(sent)
			sent = time.Now()
			x.in.Took = time.Since(sent)
			x.Overhead = max(time.Since(x.Began)-x.waited-x.in.Took, 1)
			x.charge(&x.Usage)
			m.Attempt(p.state.Provider, rule.Name, "200")
			m.Observe(x.settle())
			new(caddyhttp.ExtraLogFields).Add(zap.Inline(&x.Outcome))
			_ = x.MarshalLogObject(discard{})
		}},
	} {
		b.Run(bb.name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				x.Charges = price.Charges{}
				bb.do(x)
			}
		})
	}
}
