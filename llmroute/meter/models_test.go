package meter

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/caddy-llm/gateway/llmprovider"
	"github.com/caddy-llm/gateway/llmroute/price"
)

// counting is what counts requests without a gateway around it.
type counting struct {
	m        *Metrics
	registry *prometheus.Registry
	prices   *price.Table
	now      time.Time
}

func newCounting(t *testing.T) *counting {
	t.Helper()
	prices, err := price.File.Parse("prices.yaml", []byte("currency: USD\nprices:\n  - {model: \"model-*\", input: 1, output: 1}\n"))
	if err != nil {
		t.Fatal(err)
	}
	m := newMetrics()
	registry := prometheus.NewRegistry()
	registry.MustRegister(m.promptTokens, m.completionTokens, m.attempts, m.usageMissing, m.duration, m.firstToken, m.perToken, m.tokenUsage,
		m.denied, m.refused, m.fallbacks, m.captured, m.handled, m.overhead, m.costs, m.costUnknown)
	return &counting{m: m, registry: registry, prices: prices, now: time.Now()}
}

// provider is one whose state is known by its name, as in a gateway.
func (c *counting) provider(t *testing.T, name string) *Provider {
	t.Helper()
	p := NewProvider(name)
	t.Cleanup(p.Close)
	return p
}

// count counts one request, as the handler does at its end.
func (c *counting) count(p *Provider, operation llmprovider.Operation, rule string, change func(o *Outcome)) {
	o := &Outcome{
		Began: c.now, Rule: rule, Provider: p, Host: p.name + ".example", Operation: operation, Attempts: 1, Status: 200, FirstToken: time.Millisecond, Overhead: time.Millisecond,
		Usage: llmprovider.Usage{Known: true, PromptTokens: 10, CompletionTokens: 20, CachedTokens: 1, CacheWriteTokens: 2, ReasoningTokens: 3},
	}
	change(o)
	c.m.Charge(o, c.prices, &o.Usage)
	c.m.Observe(o)
}

// text is what a scrape gets.
func (c *counting) text(t *testing.T) string {
	t.Helper()
	w := httptest.NewRecorder()
	promhttp.HandlerFor(c.registry, promhttp.HandlerOpts{DisableCompression: true}).ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/metrics", nil))
	return w.Body.String()
}

var everyOperation = []llmprovider.Operation{
	llmprovider.Chat, llmprovider.TextCompletion, llmprovider.Responses, llmprovider.Embeddings, llmprovider.Images, llmprovider.Audio, llmprovider.Rerank, llmprovider.Moderations,
}

func TestMadeUpModelsDoNotGrowMetrics(t *testing.T) {
	c := newCounting(t)
	providers := []*Provider{c.provider(t, "a"), c.provider(t, "b"), c.provider(t, "c"), c.provider(t, "d"), c.provider(t, "e")}
	const names = 100_000
	var sizes []int
	var heaps []uint64
	for i := range names {
		c.now = c.now.Add(10 * time.Millisecond)
		c.count(providers[i%len(providers)], everyOperation[i/7%len(everyOperation)], []string{"one", "two", "three"}[i%3], func(o *Outcome) {
			o.Usage.Model = fmt.Sprintf("model-%d-%s", i, strings.Repeat("x", i%120))
			switch i % 11 {
			case 0:
				o.Gone = true
			case 1:
				o.Usage.Model = "other-" + o.Usage.Model // without a price
			case 2:
				o.Erred = true
			case 3:
				o.Status, o.Usage.Known = 404, false
			}
		})
		if i == 10_000 || i == names-1 {
			runtime.GC()
			runtime.GC() // pools too
			var mem runtime.MemStats
			runtime.ReadMemStats(&mem)
			heaps = append(heaps, mem.HeapAlloc)
			sizes = append(sizes, len(c.text(t)))
		}
	}
	if text := c.text(t); !strings.Contains(text, `gen_ai_request_model="_other"`) || !strings.Contains(text, `llmproxy_model="_other"`) || !strings.Contains(text, `,model="_other"`) {
		t.Error("no metric counts models beyond the bound as _other")
	}
	if sizes[1] > sizes[0]*11/10 || heaps[1] > heaps[0]+4<<20 {
		t.Errorf("after 10,000 and 100,000 names the metrics have %d bytes, the heap %d", sizes, heaps)
	}
	// All of them with each class of tokens, and with long names.
	if names := len(c.m.names.names); names > maxNamed || sizes[1] > 8<<20 {
		t.Errorf("%d names have %d bytes of metrics", names, sizes[1])
	}
}

func TestNamesOfOneProviderLeaveRoomForOthers(t *testing.T) {
	c := newCounting(t)
	a, b := c.provider(t, "a"), c.provider(t, "b")
	for i := range 1000 {
		c.count(a, llmprovider.Chat, "", func(o *Outcome) { o.Usage.Model = fmt.Sprint("made-up-", i) })
	}
	c.count(b, llmprovider.Chat, "", func(o *Outcome) { o.Usage.Model = "real" })
	c.count(a, llmprovider.Chat, "", func(o *Outcome) { o.Model, o.FixedModel = "configured", true })
	text := c.text(t)
	for _, want := range []string{`llmproxy_model="real"`, `llmproxy_model="configured"`, `llmproxy_model="made-up-0"`, `llmproxy_model="_other"`} {
		if !strings.Contains(text, want) {
			t.Errorf("no metric has %s", want)
		}
	}
	if n := c.m.names.ofProvider[a.name]; n != maxNamedOfProvider {
		t.Errorf("%d names of one provider, want %d", n, maxNamedOfProvider)
	}
	if len(text) > 3<<20 {
		t.Errorf("the metrics have %d bytes", len(text))
	}
}

func TestNamesExpire(t *testing.T) {
	c := newCounting(t)
	p := c.provider(t, "a")
	named := func(model, rule string) {
		c.count(p, llmprovider.Chat, rule, func(o *Outcome) { o.Usage.Model = model })
	}
	configured := func(model, rule string) {
		c.count(p, llmprovider.Chat, rule, func(o *Outcome) { o.Model, o.FixedModel = model, true })
	}
	named("model-old", "")
	named("model-shared", "")
	configured("model-shared", "") // also by name
	named("model-two-rules", "")
	c.now = c.now.Add(2 * namedExpiry / 3)
	named("model-two-rules", "other")
	named("model-new", "")
	before := c.text(t)
	for _, model := range []string{"model-old", "model-shared", "model-two-rules", "model-new"} {
		for _, want := range []string{`llmproxy_model="%s"`, `gen_ai_request_model="%s"`, `,model="%s"`} {
			if want = fmt.Sprintf(want, model); !strings.Contains(before, want) {
				t.Errorf("no metric has %s", want)
			}
		}
	}
	sum := func() (n uint64) {
		for _, s := range c.m.costs.sums("USD") {
			n += s.total
		}
		return n
	}
	c.m.history.record(c.m, c.now, "USD", 0)
	cost := sum()
	c.now = c.now.Add(2 * namedExpiry / 3)
	c.m.expireNames(c.now)
	after := c.text(t)
	for what, want := range map[string]bool{
		`"model-old"`: false, `llmproxy_model="model-shared"`: true, `gen_ai_request_model="model-shared"`: true, `,model="model-shared"`: true,
		`gen_ai_request_model="model-two-rules",rule=""`: false, `llmproxy_model="model-two-rules"`: true, `gen_ai_request_model="model-two-rules",gen_ai_token_type="input",rule="other"`: true,
		`llmproxy_model="model-new"`: true,
	} {
		if strings.Contains(after, what) != want {
			t.Errorf("a metric has %s: %v, want %v", what, !want, want)
		}
	}
	if got := sum(); got != cost || cost == 0 {
		t.Errorf("the costs of the status page went from %d to %d", cost, got)
	}
	named("model-old", "") // comes back
	configured("model-shared", "")
	again := c.text(t)
	for _, want := range []string{`llmproxy_model="model-old",llmproxy_source_workload="",llmproxy_source_workload_namespace=""} 10`, `llmproxy_model="model-shared",llmproxy_source_workload="",llmproxy_source_workload_namespace=""} 30`} {
		if !strings.Contains(again, want) {
			t.Errorf("no metric has %s in\n%s", want, again)
		}
	}
	c.m.expireNames(c.now.Add(2 * namedExpiry))
	if len(c.m.names.names)+len(c.m.names.ofProvider) != 0 {
		t.Errorf("%d names are kept", len(c.m.names.names))
	}
}

func TestUnusedNamesGiveWay(t *testing.T) {
	c := newCounting(t)
	p := c.provider(t, "a")
	for i := range 2 * maxNamedOfProvider {
		c.count(p, llmprovider.Chat, "", func(o *Outcome) { o.Usage.Model = fmt.Sprint("made-up-", i) })
	}
	c.now = c.now.Add(2 * namedGrace)
	c.count(p, llmprovider.Chat, "", func(o *Outcome) { o.Usage.Model = "real" })
	if text := c.text(t); !strings.Contains(text, `llmproxy_model="real"`) || strings.Contains(text, "made-up") {
		t.Error("names that were not used for long did not give way")
	}
}

func TestFailedRequestsMakeNoTokenSeries(t *testing.T) {
	for name, change := range map[string]func(o *Outcome){
		"an error without usage": func(o *Outcome) { o.Status, o.Usage = 400, llmprovider.Usage{Model: "made-up"} },
		"an error with zeros":    func(o *Outcome) { o.Status, o.Usage = 500, llmprovider.Usage{Known: true, Model: "made-up"} },
		"an unreachable provider": func(o *Outcome) {
			o.Status, o.Failure, o.Usage = 0, &llmprovider.Error{Status: 502, Code: "x"}, llmprovider.Usage{}
		},
		"a client that left":   func(o *Outcome) { o.Status, o.Gone, o.Usage = 0, true, llmprovider.Usage{} },
		"zeros, then an error": func(o *Outcome) { o.Erred, o.Usage = true, llmprovider.Usage{Known: true} },
	} {
		t.Run(name, func(t *testing.T) {
			c := newCounting(t)
			c.count(c.provider(t, "a"), llmprovider.Chat, "", func(o *Outcome) { o.FirstToken = 0; change(o) })
			text := c.text(t)
			if strings.Contains(text, "_tokens") || strings.Contains(text, "token_usage") || strings.Contains(text, "llm_cost") || strings.Contains(text, "made-up") {
				t.Errorf("counted\n%s", text)
			}
			if !strings.Contains(text, metricDuration) {
				t.Error("not counted at all")
			}
		})
	}
}

func TestCompressedResponsesAreToldApart(t *testing.T) {
	c := newCounting(t)
	c.count(c.provider(t, "a"), llmprovider.Chat, "", func(o *Outcome) { o.Compressed, o.Usage = true, llmprovider.Usage{} })
	if text := c.text(t); !strings.Contains(text, `reason="compressed"} 1`) {
		t.Errorf("counted\n%s", text)
	}
}
