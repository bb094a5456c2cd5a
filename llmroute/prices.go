package llmroute

import (
	"cmp"
	"math/bits"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/caddy-llm/gateway/llmprovider"
)

// price is what a model costs from a date on. Amounts are whole millionths of
// the currency for a million tokens, that is 10^-12 of it for one.
type price struct {
	model    string // exact, or with a * at its end
	provider string // its name or host, empty for any
	from     time.Time
	line     int

	input, cached, written, output, reasoning uint64
}

// nano is the unit in which costs are added up: a billionth of the currency.
const nano = 1_000_000_000

// cost is what the usage costs, in billionths of the currency. Halves are
// rounded up. ok is false for a cost beyond every number.
func (p *price) cost(u *llmprovider.Usage) (cost uint64, ok bool) {
	cached, reasoning := min(u.CachedTokens, u.PromptTokens), min(u.ReasoningTokens, u.CompletionTokens)
	written := min(u.CacheWriteTokens, u.PromptTokens-cached)
	hi, lo := uint64(0), uint64(500) // for the rounding
	for _, part := range [...]struct {
		tokens int64
		price  uint64
	}{
		{u.PromptTokens - cached - written, p.input}, {cached, p.cached}, {written, p.written}, {u.CompletionTokens - reasoning, p.output}, {reasoning, p.reasoning},
	} {
		h, l := bits.Mul64(uint64(part.tokens), part.price)
		var carry uint64
		lo, carry = bits.Add64(lo, l, 0)
		hi, _ = bits.Add64(hi, h, carry)
	}
	if hi >= 1000 {
		return 0, false
	}
	cost, _ = bits.Div64(hi, lo, 1000)
	return cost, true
}

// priceTable is a file of prices. It is not changed once it is built.
type priceTable struct {
	currency string
	count    int
	// by the provider they are for, by its name or host; those of "" are for
	// any.
	providers map[string]*modelPrices
}

// modelPrices are prices by model, those with a wildcard by length, the longest
// first. Of one model the latest is first.
type modelPrices struct {
	exact map[string][]*price
	wild  []*price
}

func newPriceTable(currency string, prices []*price) *priceTable {
	t := &priceTable{currency: currency, count: len(prices), providers: make(map[string]*modelPrices)}
	slices.SortStableFunc(prices, func(a, b *price) int {
		return cmp.Or(cmp.Compare(len(b.model), len(a.model)), b.from.Compare(a.from))
	})
	for _, p := range prices {
		of := t.providers[p.provider]
		if of == nil {
			of = &modelPrices{exact: make(map[string][]*price)}
			t.providers[p.provider] = of
		}
		if strings.HasSuffix(p.model, "*") {
			of.wild = append(of.wild, p)
		} else {
			of.exact[p.model] = append(of.exact[p.model], p)
		}
	}
	return t
}

// find returns the price in force at a time, or nil. A price for the provider
// comes before one for any, an exact model before a wildcard, and a longer
// wildcard before a shorter one.
func (t *priceTable) find(provider, host, model string, at time.Time) *price {
	if model == "" {
		return nil
	}
	for _, of := range [...]*modelPrices{t.providers[provider], t.providers[host], t.providers[""]} {
		if of == nil {
			continue
		}
		for _, p := range of.exact[model] {
			if !p.from.After(at) {
				return p
			}
		}
		for _, p := range of.wild {
			if strings.HasPrefix(model, p.model[:len(p.model)-1]) && !p.from.After(at) {
				return p
			}
		}
	}
	return nil
}

// charges are what the answers to a request cost.
type charges struct {
	currency string
	nano     uint64
	priced   bool // some answer has a price
	unpriced bool // some has none
}

// known reports whether the whole cost is known.
func (c *charges) known() bool { return c.priced && !c.unpriced }

// amount is the cost as a decimal number.
func (c *charges) amount() string {
	s := strconv.FormatUint(c.nano/nano, 10)
	if rest := c.nano % nano; rest != 0 {
		digits := strconv.FormatUint(nano+rest, 10)[1:]
		s += "." + strings.TrimRight(digits, "0")
	}
	return s
}

// charge adds the cost of an answer that reported usage, at the prices that were
// in force when the request came.
func (x *exchange) charge(u *llmprovider.Usage) {
	if x.h.app.prices == nil || !u.Known || x.status >= 400 && u.Zero() {
		return
	}
	table := x.h.app.prices.Get()
	p := table.find(x.provider.name, x.provider.host, x.model, x.began)
	if p == nil && u.Model != x.model {
		p = table.find(x.provider.name, x.provider.host, u.Model, x.began)
	}
	key := costKey{model: x.h.app.metrics.modelLabel(x, u), rule: x.ruleName()}
	if x.client != nil {
		key.client = x.client.Name
	}
	c, m := &x.charges, x.h.app.metrics
	if p == nil {
		c.unpriced = true
		if !u.Zero() {
			m.unpriced(x.provider, key)
		}
		return
	}
	cost, ok := p.cost(u)
	if !ok || c.priced && c.currency != table.currency {
		c.unpriced = true
		m.unpriced(x.provider, key)
		return
	}
	c.currency, c.priced = table.currency, true
	c.nano += cost
	key.currency = table.currency
	m.costs.add(x.provider, key, cost)
}
