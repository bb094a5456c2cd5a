package llmroute

import (
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"

	"github.com/caddy-llm/gateway/internal/livefile"
	"github.com/caddy-llm/gateway/llmprovider"
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
	if err := os.WriteFile(path, []byte(somePrices), 0o600); err != nil {
		b.Fatal(err)
	}
	prices, err := livefile.Open(path, pricesKind, zap.NewNop())
	if err != nil {
		b.Fatal(err)
	}
	m := newMetrics()
	p := &provider{name: "openai", host: "api.openai.com", state: new(providerState)}
	usage := llmprovider.Usage{Known: true, PromptTokens: 1000, CompletionTokens: 200, CachedTokens: 400, ReasoningTokens: 50, Model: "gpt-4o-2024-08-06", FinishReason: "stop"}
	app := &App{metrics: m, prices: prices}
	handler := &Handler{app: app}
	rule, client := &Rule{Name: "everyone"}, &Client{Name: "alice"}
	began := time.Now()
	x := &exchange{
		h: handler, began: began, rule: rule, client: client, attempt: &attempt{provider: p, model: "gpt-4o", stream: true}, in: &llmprovider.Inbound{Endpoint: llmprovider.Endpoint{Operation: llmprovider.Chat}},
		attempts: 1, status: 200, firstToken: time.Millisecond, usage: usage,
	}
	for _, bb := range []struct {
		name string
		do   func(x *exchange)
	}{
		{"counted", m.observe},
		{"priced", func(x *exchange) { x.charge(&x.usage) }},
		{"logged", func(x *exchange) {
			new(caddyhttp.ExtraLogFields).Add(zap.Inline(loggedExchange{x}))
			_ = loggedExchange{x}.MarshalLogObject(discard{})
		}},
		{"all", func(x *exchange) {
			sent := time.Now() // as attempt and respond do
			x.show(shown{provider: p.name, rule: rule.Name, model: x.model, client: x.client, stream: x.stream})
			x.showAnswer()
			x.waited += time.Since(sent)
			sent = time.Now()
			x.in.Took = time.Since(sent)
			x.overhead = max(time.Since(x.began)-x.waited-x.in.Took, 1)
			x.charge(&x.usage)
			m.attempt(p, rule.Name, "200")
			m.observe(x)
			new(caddyhttp.ExtraLogFields).Add(zap.Inline(loggedExchange{x}))
			_ = loggedExchange{x}.MarshalLogObject(discard{})
		}},
	} {
		b.Run(bb.name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				x.charges = charges{}
				bb.do(x)
			}
		})
	}
}
