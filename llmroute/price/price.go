// Package price reads files of prices and says what the use of models costs. It may import
// llmprovider, for the usage, and the reader of live files. Begin with Table and Charges.
package price

import (
	"cmp"
	"math/bits"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/caddy-llm/gateway/llmprovider"
)

// Entry is what a model costs from a date on. Amounts are whole millionths of
// the currency for a million tokens, that is 10^-12 of it for one.
type Entry struct {
	model    string // exact, or with a * at its end
	provider string // its name or host, empty for any
	from     time.Time
	line     int

	input, cached, written, output, reasoning uint64
}

// Nano is the unit in which costs are added up: a billionth of the currency.
const Nano = 1_000_000_000

// Cost is what the usage costs, in billionths of the currency. Halves are
// rounded up. ok is false for a cost beyond every number.
func (p *Entry) Cost(u *llmprovider.Usage) (cost uint64, ok bool) {
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

// Table is a file of prices. It is not changed once it is built.
type Table struct {
	Currency string // its code, such as USD
	count    int
	// by the provider they are for, by its name or host; those of "" are for
	// any.
	providers map[string]*modelPrices
}

// modelPrices are prices by model, those with a wildcard by length, the longest
// first. Of one model the latest is first.
type modelPrices struct {
	exact map[string][]*Entry
	wild  []*Entry
}

func newTable(currency string, prices []*Entry) *Table {
	t := &Table{Currency: currency, count: len(prices), providers: make(map[string]*modelPrices)}
	slices.SortStableFunc(prices, func(a, b *Entry) int {
		return cmp.Or(cmp.Compare(len(b.model), len(a.model)), b.from.Compare(a.from))
	})
	for _, p := range prices {
		of := t.providers[p.provider]
		if of == nil {
			of = &modelPrices{exact: make(map[string][]*Entry)}
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

// Find returns the price in force at a time, or nil. A price for the provider
// comes before one for any, an exact model before a wildcard, and a longer
// wildcard before a shorter one.
func (t *Table) Find(provider, host, model string, at time.Time) *Entry {
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

// Knows reports whether a model has a price in force at a time, at any provider.
func (t *Table) Knows(model string, at time.Time) bool {
	for provider := range t.providers {
		if t.Find(provider, "", model, at) != nil {
			return true
		}
	}
	return false
}

// Charges are what the responses to a request cost.
type Charges struct {
	Currency string
	Nano     uint64 // as far as it is known
	Priced   bool   // some response has a price
	Unpriced bool   // some has none
}

// Known reports whether the whole cost is known.
func (c *Charges) Known() bool { return c.Priced && !c.Unpriced }

// Amount is the cost as a decimal number.
func (c *Charges) Amount() string {
	s := strconv.FormatUint(c.Nano/Nano, 10)
	if rest := c.Nano % Nano; rest != 0 {
		digits := strconv.FormatUint(Nano+rest, 10)[1:]
		s += "." + strings.TrimRight(digits, "0")
	}
	return s
}
