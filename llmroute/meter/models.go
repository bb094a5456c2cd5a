package meter

import (
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/caddy-llm/gateway/llmprovider"
)

const (
	// maxNamed bounds the models that are counted by the name that a provider
	// gives them, in all, each by operation and rule; maxNamedOfProvider those of
	// one provider. Some providers repeat whatever name they are asked for, so
	// without a bound a client could create series at will.
	maxNamed           = 128
	maxNamedOfProvider = 48
	// maxNamedLength bounds such a name, in bytes. A longer one is counted as one
	// of the others: it stands in a hundred lines of a scrape.
	maxNamedLength = 100
	// otherModels is the label that models beyond the bound are counted under.
	otherModels = "_other"

	// namedExpiry is how long a name that is not used keeps its series, and
	// namedGrace how long when there is no room for another.
	namedExpiry = 24 * time.Hour
	namedGrace  = time.Hour
	// namedSweep is how often names that have expired are looked for.
	namedSweep = time.Minute
)

// modelNames are the names in use that no configuration has.
type modelNames struct {
	mu         sync.RWMutex
	names      map[nameKey]*modelName
	ofProvider map[string]int
	swept      time.Time
}

type nameKey struct {
	provider  string
	host      string
	operation llmprovider.Operation
	model     string
	rule      string
}

type modelName struct {
	key  nameKey
	used atomic.Int64 // Unix time
}

// modelLabel is the model of a response as a label: the name that the
// configuration has or, in a response that is no error or that is paid for, the
// one that the provider gives.
func (m *Metrics) modelLabel(o *Outcome, u *llmprovider.Usage) (label string) {
	switch {
	case o.FixedModel:
		return o.Model
	case u.Model == "", o.Status >= 400 && u.Zero():
		return ""
	case len(u.Model) <= maxNamedLength && m.admit(o.Provider, nameKey{o.Provider.name, o.Host, o.Operation, u.Model, o.Rule}, o.Began):
		return u.Model
	}
	return otherModels
}

// admit reports whether the name has a label of its own.
func (m *Metrics) admit(p *Provider, key nameKey, now time.Time) bool {
	n := p.lastName.Load()
	if n == nil || n.key != key {
		m.names.mu.RLock()
		n = m.names.names[key]
		m.names.mu.RUnlock()
	}
	if n == nil {
		if n = m.addName(key, now); n == nil {
			return false
		}
	}
	if unix := now.Unix(); n.used.Load() < unix {
		n.used.Store(unix)
	}
	p.lastName.Store(n)
	return true
}

// addName returns the name, or nil if there is no room for it.
func (m *Metrics) addName(key nameKey, now time.Time) *modelName {
	names := &m.names
	names.mu.Lock()
	defer names.mu.Unlock()
	if n := names.names[key]; n != nil {
		return n
	}
	if names.full(key.provider) {
		if now.Sub(names.swept) < namedSweep {
			return nil
		}
		if m.sweepNames(now, namedGrace); names.full(key.provider) {
			return nil
		}
	}
	if names.names == nil {
		names.names, names.ofProvider = make(map[nameKey]*modelName), make(map[string]int)
	}
	n := &modelName{key: key}
	n.used.Store(now.Unix())
	names.names[key] = n
	names.ofProvider[key.provider]++
	return n
}

func (n *modelNames) full(provider string) bool {
	return len(n.names) >= maxNamed || n.ofProvider[provider] >= maxNamedOfProvider
}

// expireNames removes the series of names that were not used for long.
func (m *Metrics) expireNames(now time.Time) {
	m.names.mu.Lock()
	defer m.names.mu.Unlock()
	if now.Sub(m.names.swept) >= namedSweep {
		m.sweepNames(now, namedExpiry)
	}
}

// sweepNames removes the series of names that were not used for so long. The
// caller holds the lock of the names.
func (m *Metrics) sweepNames(now time.Time, unused time.Duration) {
	m.names.swept = now
	for key, n := range m.names.names {
		if now.Sub(time.Unix(n.used.Load(), 0)) < unused {
			continue
		}
		delete(m.names.names, key)
		if m.names.ofProvider[key.provider]--; m.names.ofProvider[key.provider] == 0 {
			delete(m.names.ofProvider, key.provider)
		}
		m.removeSeries(key)
	}
}

// removeSeries removes what was counted under a name, as far as nothing else
// counts under the same labels.
func (m *Metrics) removeSeries(key nameKey) {
	configured, sameCost, sameHost := false, false, false
	for other := range m.names.names {
		sameCost = sameCost || other.provider == key.provider && other.model == key.model && other.rule == key.rule
		sameHost = sameHost || other.host == key.host && other.model == key.model
	}
	known.Range(func(name, value any) bool {
		usage := value.(*Provider)
		if n := usage.lastName.Load(); n != nil && n.key == key {
			usage.lastName.Store(nil)
		}
		if c := usage.lastCost.Load(); c != nil && c.key.provider == key.provider && c.key.model == key.model && c.key.rule == key.rule {
			usage.lastCost.Store(nil)
		}
		usage.series.Range(func(k, value any) bool {
			s := k.(seriesKey)
			same := name == key.provider && s.operation == key.operation && s.model == key.model && s.rule == key.rule
			switch {
			case same && !s.fixed:
				usage.series.Delete(k)
				usage.lastSeries.CompareAndSwap(value.(*series), nil)
			case s.fixed && s.model == key.model:
				configured = configured || same
				sameCost = sameCost || name == key.provider && s.rule == key.rule
				sameHost = sameHost || s.host == key.host
			}
			return true
		})
		return true
	})
	if !configured {
		labels := prometheus.Labels{"gen_ai_operation_name": string(key.operation), "gen_ai_provider_name": key.provider, "gen_ai_request_model": key.model, "rule": key.rule}
		for _, v := range []*prometheus.HistogramVec{m.duration, m.firstToken, m.perToken, m.tokenUsage} {
			v.DeletePartialMatch(labels)
		}
	}
	if !sameCost {
		m.costs.remove(key)
		m.costUnknown.DeletePartialMatch(prometheus.Labels{"provider": key.provider, "model": key.model, "rule": key.rule})
	}
	if !sameHost {
		labels := prometheus.Labels{"llmproxy_destination_service": key.host, "llmproxy_model": key.model}
		m.promptTokens.DeletePartialMatch(labels)
		m.completionTokens.DeletePartialMatch(labels)
	}
}
