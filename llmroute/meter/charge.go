package meter

import (
	"github.com/caddy-llm/gateway/llmprovider"
	"github.com/caddy-llm/gateway/llmroute/price"
)

// Charge adds the cost of a response to a request that reported usage, at the prices that
// were in force when the request came.
func (m *Metrics) Charge(o *Outcome, table *price.Table, u *llmprovider.Usage) {
	if !u.Known || o.Status >= 400 && u.Zero() {
		return
	}
	p := table.Find(o.Provider.name, o.Host, o.Model, o.Began)
	if p == nil && u.Model != o.Model {
		p = table.Find(o.Provider.name, o.Host, u.Model, o.Began)
	}
	key := costKey{client: o.Client, model: m.modelLabel(o, u), rule: o.Rule}
	c := &o.Charges
	if p == nil {
		c.Unpriced = true
		if !u.Zero() {
			m.unpriced(o.Provider, key)
		}
		return
	}
	cost, ok := p.Cost(u)
	if !ok || c.Priced && c.Currency != table.Currency {
		c.Unpriced = true
		m.unpriced(o.Provider, key)
		return
	}
	c.Currency, c.Priced = table.Currency, true
	c.Nano += cost
	key.currency = table.Currency
	m.costs.add(o.Provider, key, cost)
}
