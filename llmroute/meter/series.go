package meter

import (
	"net/http"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/caddy-llm/gateway/llmprovider"
)

type seriesKey struct {
	host      string
	operation llmprovider.Operation
	model     string
	fixed     bool // the model is the configuration's
	rule      string
	failure   string
	workload  *Workload
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
func (m *Metrics) of(p *Provider, key seriesKey) *series {
	if s := p.lastSeries.Load(); s != nil && s.key == key {
		return s
	}
	if s, ok := p.series.Load(key); ok {
		p.lastSeries.Store(s.(*series))
		return s.(*series)
	}
	s := &series{
		key:        key,
		documented: []string{key.workload.Name, key.workload.Namespace, key.host, key.model},
		genAI:      []string{string(key.operation), p.name, key.model, key.host, key.rule},
		overhead:   m.overhead.WithLabelValues(p.name, key.rule),
		tallies:    p.talliesOf(key.rule),
	}
	s.duration = s.observer(m.duration, key.failure)
	actual, _ := p.series.LoadOrStore(key, s)
	s = actual.(*series)
	p.lastSeries.Store(s)
	return s
}

func (s *series) observer(v *prometheus.HistogramVec, more ...string) prometheus.Observer {
	return v.WithLabelValues(append(s.genAI[:len(s.genAI):len(s.genAI)], more...)...)
}

// tokensOf returns the metrics of tokens.
func (m *Metrics) tokensOf(s *series) *tokenSeries {
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
func (m *Metrics) streamOf(s *series) *streamSeries {
	t := s.stream.Load()
	if t == nil {
		t = &streamSeries{firstToken: s.observer(m.firstToken), perToken: s.observer(m.perToken)}
		s.stream.Store(t)
	}
	return t
}

// Attempt counts one attempt at a provider, by its outcome: a status or an error's code.
func (m *Metrics) Attempt(p *Provider, rule, result string) {
	key := outcomeKey{rule, result}
	c := p.lastOutcome.Load()
	if c == nil || c.key != key {
		known, ok := p.outcomes.Load(key)
		if !ok {
			known, _ = p.outcomes.LoadOrStore(key, &outcome{key: key, Counter: m.attempts.WithLabelValues(p.name, rule, result)})
		}
		c = known.(*outcome)
		p.lastOutcome.Store(c)
	}
	c.Inc()
	c.n.Add(1)
}

// Translated counts a translated attempt, and what of its request was lost; t may be
// nil.
func (m *Metrics) Translated(t *llmprovider.Translation) {
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
func (m *Metrics) refuse(rule, code string) { m.refused.WithLabelValues(rule, code).Inc() }

// CountRefusal counts a request that was refused before any llm_route saw it.
func (m *Metrics) CountRefusal(code string) {
	m.refuse("", code)
	m.endings.add(code)
}

// StatusText is an HTTP status as a label, without an allocation for the usual
// ones.
func StatusText(status int) string {
	if status == http.StatusOK {
		return "200"
	}
	return strconv.Itoa(status)
}

// Observe counts a request that has ended.
func (m *Metrics) Observe(o *Outcome) {
	if o.Failure != nil && o.Status == 0 {
		m.refuse(o.Rule, o.Failure.Code)
	}
	failure := o.ErrorType()
	m.endings.add(failure)
	if o.Handled != nil {
		m.countHandled(o)
	}
	if o.Provider == nil {
		return
	}
	took := time.Since(o.Began)
	u := &o.Usage
	s := m.seriesOf(o, u, failure)
	s.duration.Observe(took.Seconds())
	if o.FirstToken > 0 {
		m.streamOf(s).firstToken.Observe(o.FirstToken.Seconds())
		s.tallies.firstToken(o.FirstToken.Seconds())
	}
	if o.Status != 0 && o.Status < 400 && failure != "" && !o.Gone {
		s.tallies.broken.add(failure)
	}
	if o.Overhead > 0 {
		s.overhead.Observe(o.Overhead.Seconds())
	}
	switch {
	case u.Known && (failure == "" || !u.Zero()): // or an error would make series of zeros
		m.countTokens(s, u)
	case u.Known:
	case failure == "" && o.Compressed:
		m.usageMissing.WithLabelValues(o.Provider.name, string(o.Operation), usageCompressed).Inc()
	case failure == "":
		m.usageMissing.WithLabelValues(o.Provider.name, string(o.Operation), usageUnreported).Inc()
	case o.Status != 0 && o.Status < 400:
		m.usageMissing.WithLabelValues(o.Provider.name, string(o.Operation), usageBrokeOff).Inc()
	}
	if u.CompletionTokens > 1 && o.FirstToken > 0 {
		m.streamOf(s).perToken.Observe((took - o.FirstToken).Seconds() / float64(u.CompletionTokens-1))
	}
}

// countHandled counts a request that the rule's handler served.
func (m *Metrics) countHandled(o *Outcome) {
	code := ""
	switch {
	case o.Handled.Status != 0:
		code = strconv.Itoa(o.Handled.Status)
	case o.Gone:
		code = ErrorClientGone
	case o.Failure != nil:
		code = strconv.Itoa(o.Failure.Status)
	}
	m.handled.WithLabelValues(o.Handled.Service, o.Rule, code).Inc()
}

// Why usage is not known.
const (
	usageUnreported = "unreported"
	usageCompressed = "compressed"
	usageBrokeOff   = "broke_off"
)

func (m *Metrics) seriesOf(o *Outcome, u *llmprovider.Usage, failure string) *series {
	return m.of(o.Provider, seriesKey{o.Host, o.Operation, m.modelLabel(o, u), o.FixedModel, o.Rule, failure, m.workload.Load()})
}

// Count counts the usage that a response reported which is passed over.
func (m *Metrics) Count(o *Outcome, u *llmprovider.Usage, failure string) {
	m.countTokens(m.seriesOf(o, u, failure), u)
}

func (m *Metrics) countTokens(s *series, u *llmprovider.Usage) {
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
