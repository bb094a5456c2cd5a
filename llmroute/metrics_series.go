package llmroute

import (
	"net/http"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/caddy-llm/gateway/llmprovider"
)

// providerMetrics are the label sets that were used so far of one provider.
type providerMetrics struct {
	series   sync.Map // seriesKey to *series
	outcomes sync.Map // outcomeKey to *outcome
	tallies  sync.Map // rule to *ruleTallies

	// The ones used last are mostly those used next.
	lastSeries  atomic.Pointer[series]
	lastOutcome atomic.Pointer[outcome]
	lastCost    atomic.Pointer[costSeries]
	lastName    atomic.Pointer[modelName]
}

type seriesKey struct {
	host      string
	operation llmprovider.Operation
	model     string
	fixed     bool // the model is the configuration's
	rule      string
	failure   string
	identity  *Identity
}

type outcomeKey struct{ rule, result string }

type outcome struct {
	key outcomeKey
	prometheus.Counter
	tally
}

// series are the metrics of one label set, resolved once. Those of tokens and
// streams are made when there is something to count: a request that failed has
// neither.
type series struct {
	key               seriesKey
	documented, genAI []string // labels
	duration          prometheus.Observer
	overhead          prometheus.Observer
	tallies           *ruleTallies
	tokens            atomic.Pointer[tokenSeries]
	stream            atomic.Pointer[streamSeries]
}

type tokenSeries struct {
	prompt, completion         prometheus.Counter
	input, output              prometheus.Observer
	cached, written, reasoning partObserver
}

// partObserver observes the tokens of a class that most responses have none of.
type partObserver struct {
	once sync.Once
	prometheus.Observer
}

func (o *partObserver) observe(s *series, v *prometheus.HistogramVec, class string, n int64) {
	if n > 0 {
		o.once.Do(func() { o.Observer = s.observer(v, class) })
		o.Observe(float64(n))
	}
}

type streamSeries struct{ firstToken, perToken prometheus.Observer }

// of returns the metrics of a provider under the key's labels.
func (m *metrics) of(p *provider, key seriesKey) *series {
	cache := &p.state.usage
	if s := cache.lastSeries.Load(); s != nil && s.key == key {
		return s
	}
	if s, ok := cache.series.Load(key); ok {
		cache.lastSeries.Store(s.(*series))
		return s.(*series)
	}
	s := &series{
		key:        key,
		documented: []string{key.identity.Workload, key.identity.Namespace, key.host, key.model},
		genAI:      []string{string(key.operation), p.name, key.model, key.host, key.rule},
		overhead:   m.overhead.WithLabelValues(p.name, key.rule),
		tallies:    cache.talliesOf(key.rule),
	}
	s.duration = s.observer(m.duration, key.failure)
	actual, _ := cache.series.LoadOrStore(key, s)
	s = actual.(*series)
	cache.lastSeries.Store(s)
	return s
}

func (s *series) observer(v *prometheus.HistogramVec, more ...string) prometheus.Observer {
	return v.WithLabelValues(append(s.genAI[:len(s.genAI):len(s.genAI)], more...)...)
}

// tokensOf returns the metrics of tokens.
func (m *metrics) tokensOf(s *series) *tokenSeries {
	t := s.tokens.Load()
	if t == nil {
		t = &tokenSeries{
			prompt: m.promptTokens.WithLabelValues(s.documented...), completion: m.completionTokens.WithLabelValues(s.documented...),
			input: s.observer(m.tokenUsage, "input"), output: s.observer(m.tokenUsage, "output"),
		}
		if !s.tokens.CompareAndSwap(nil, t) {
			t = s.tokens.Load()
		}
	}
	return t
}

// streamOf returns the metrics of streams.
func (m *metrics) streamOf(s *series) *streamSeries {
	t := s.stream.Load()
	if t == nil {
		t = &streamSeries{firstToken: s.observer(m.firstToken), perToken: s.observer(m.perToken)}
		s.stream.Store(t)
	}
	return t
}

// attempt counts one attempt.
func (m *metrics) attempt(p *provider, rule, result string) {
	cache, key := &p.state.usage, outcomeKey{rule, result}
	c := cache.lastOutcome.Load()
	if c == nil || c.key != key {
		known, ok := cache.outcomes.Load(key)
		if !ok {
			known, _ = cache.outcomes.LoadOrStore(key, &outcome{key: key, Counter: m.attempts.WithLabelValues(p.name, rule, result)})
		}
		c = known.(*outcome)
		cache.lastOutcome.Store(c)
	}
	c.Inc()
	c.n.Add(1)
}

// translated counts a translated attempt, and what of its request was lost; t may be
// nil.
func (m *metrics) translated(t *llmprovider.Translation) {
	if t == nil {
		return
	}
	m.translations.WithLabelValues(t.From, t.To).Inc()
	for _, field := range t.Dropped {
		m.translationLoss.WithLabelValues(t.From, t.To, field, "dropped").Inc()
	}
	for _, field := range t.Approximated {
		m.translationLoss.WithLabelValues(t.From, t.To, field, "approximated").Inc()
	}
}

// refuse counts a request that the gateway answers with an error of its own.
func (m *metrics) refuse(rule, code string) { m.refused.WithLabelValues(rule, code).Inc() }

// countRefusal counts a request that was refused before any llm_route saw it.
func (m *metrics) countRefusal(code string) {
	m.refuse("", code)
	m.endings.add(code)
}

// statusText is an HTTP status as a label, without an allocation for the usual
// ones.
func statusText(status int) string {
	if status == http.StatusOK {
		return "200"
	}
	return strconv.Itoa(status)
}

// observe counts an exchange that has ended.
func (m *metrics) observe(x *exchange) {
	if x.failure != nil && x.status == 0 {
		m.refuse(x.ruleName(), x.failure.Code)
	}
	failure := x.errorType()
	m.endings.add(failure)
	if x.provider == nil {
		return
	}
	took := time.Since(x.began)
	u := &x.usage
	s := m.seriesOf(x, u, failure)
	s.duration.Observe(took.Seconds())
	if x.firstToken > 0 {
		m.streamOf(s).firstToken.Observe(x.firstToken.Seconds())
		s.tallies.firstToken(x.firstToken.Seconds())
	}
	if x.status != 0 && x.status < 400 && failure != "" && !x.gone {
		s.tallies.broken.add(failure)
	}
	if x.overhead > 0 {
		s.overhead.Observe(x.overhead.Seconds())
	}
	switch {
	case u.Known && (failure == "" || !u.Zero()): // or an error would make series of zeros
		m.countTokens(s, u)
	case u.Known:
	case failure == "" && x.compressed:
		m.usageMissing.WithLabelValues(x.provider.name, string(x.operation()), usageCompressed).Inc()
	case failure == "":
		m.usageMissing.WithLabelValues(x.provider.name, string(x.operation()), usageUnreported).Inc()
	case x.status != 0 && x.status < 400:
		m.usageMissing.WithLabelValues(x.provider.name, string(x.operation()), usageBrokeOff).Inc()
	}
	if u.CompletionTokens > 1 && x.firstToken > 0 {
		m.streamOf(s).perToken.Observe((took - x.firstToken).Seconds() / float64(u.CompletionTokens-1))
	}
}

// Why usage is not known.
const (
	usageUnreported = "unreported"
	usageCompressed = "compressed"
	usageBrokeOff   = "broke_off"
)

func (m *metrics) seriesOf(x *exchange, u *llmprovider.Usage, failure string) *series {
	return m.of(x.provider, seriesKey{x.provider.host, x.operation(), m.modelLabel(x, u), x.fixedModel, x.ruleName(), failure, m.identity.Load()})
}

// count counts the usage that an answer reported which is passed over.
func (m *metrics) count(x *exchange, u *llmprovider.Usage, failure string) {
	m.countTokens(m.seriesOf(x, u, failure), u)
}

func (m *metrics) countTokens(s *series, u *llmprovider.Usage) {
	t := m.tokensOf(s)
	s.tallies.prompt.n.Add(uint64(max(u.PromptTokens, 0)))
	s.tallies.completion.n.Add(uint64(max(u.CompletionTokens, 0)))
	t.prompt.Add(float64(u.PromptTokens))
	t.completion.Add(float64(u.CompletionTokens))
	t.input.Observe(float64(u.PromptTokens))
	t.output.Observe(float64(u.CompletionTokens))
	t.cached.observe(s, m.tokenUsage, "cached", u.CachedTokens)
	t.written.observe(s, m.tokenUsage, "cache_write", u.CacheWriteTokens)
	t.reasoning.observe(s, m.tokenUsage, "reasoning", u.ReasoningTokens)
}
