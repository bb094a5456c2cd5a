package limit

import (
	"math"
	"math/bits"

	"github.com/caddy-llm/gateway/llmroute/limit/estimate"
)

// Subject is what a limit asks about a request.
type Subject interface {
	// Value returns the request's value of a key, empty if it has none. It is not
	// asked for the rule, the provider and the model.
	Value(k Key) string
	// Matches reports whether the matchers of the limit at that index of Config.Limits
	// take the request. It is asked only about limits that have some.
	Matches(index int) bool
}

// Request is what is known of a request before it is sent to a provider.
type Request struct {
	Subject

	Rule, Provider, Model string

	// Route is the object that the rule comes from, and Gateway the one that the request
	// came in by, as namespace/name; empty if there is none.
	Route   Object
	Gateway string

	// Tier is the limit that the client's virtual key names, empty for none.
	Tier string

	// Typical and Strict are the estimates of the prompt, in tokens.
	Typical, Strict int64
	// Output is the most output tokens that the request asks for, over all of its
	// choices; 0 if it names no maximum. Choices is how many there are.
	Output, Choices int64
	// NoOutput reports that responses have no output tokens, as those of embeddings.
	NoOutput bool
	// Stream reports whether the response will be a stream. Then output is reserved
	// in steps.
	Stream bool

	// Price is the dearest one that the request may be charged, nil if there is none.
	Price *Price
}

// Price is what tokens cost.
type Price struct {
	// Input and Output are the prices of one token, in 10^-12 of the currency.
	Input, Output uint64
}

// cost returns the price of that many tokens in billionths of the currency, rounded
// up: a reservation is not to be too small.
func (p *Price) cost(input, output int64) int64 {
	if p == nil {
		return 0
	}
	return clip(priced(input, p.Input) + priced(output, p.Output))
}

func priced(tokens int64, price uint64) int64 {
	hi, lo := bits.Mul64(uint64(clip(tokens)), price)
	lo, carry := bits.Add64(lo, 999, 0)
	if hi += carry; hi >= 1000 {
		return maxUnits
	}
	n, _ := bits.Div64(hi, lo, 1000)
	return int64(min(n, maxUnits))
}

const (
	// firstStep is how much output is reserved for a stream at first, in tokens, and
	// by how much that grows at least.
	firstStep = 512
	// maxStep bounds by how much it grows at once.
	maxStep = 8192
	// lastStep is the smallest step that is tried near the end of what is left.
	lastStep = 16
	// retryStep is after how many further tokens it is tried again.
	retryStep = 64
)

// prompt is the estimate of the prompt that the limit uses.
func (r *Request) prompt(l *compiled) int64 {
	if l.strict {
		return r.Strict
	}
	return r.Typical
}

// maxOutput is how much output the limit expects at most.
func (r *Request) maxOutput(l *compiled) int64 {
	if r.NoOutput {
		return 0
	}
	if r.Output > 0 {
		return min(r.Output, estimate.MaxOutput)
	}
	return l.maxOutput * max(r.Choices, 1)
}

// expected is how much output the limit expects at most of a stream that has produced so
// much, and until how much that holds: a stream that has passed its maximum does not keep to
// it. What is produced is counted roughly, and up to twice as high.
func (r *Request) expected(l *compiled, produced int64) (most, until int64) {
	most = r.maxOutput(l)
	if until = most; r.Output > 0 {
		until *= 2
	}
	if produced > until {
		return math.MaxInt64, math.MaxInt64
	}
	return most, until
}

// amount is what the request needs of the unit with that much output.
func (r *Request) amount(l *compiled, u Unit, output int64) int64 {
	switch u {
	case UnitInput:
		return clip(r.prompt(l))
	case UnitOutput:
		return clip(output)
	case UnitTokens:
		return clip(r.prompt(l) + output)
	case UnitCost:
		return r.Price.cost(r.prompt(l), output)
	}
	return 1 // a request, open or not
}

// applies reports whether the limit is one for the request.
func (l *compiled) applies(r *Request, tiered bool) bool {
	switch {
	case l.Tier && r.Tier != l.Name, tiered && l.byClient && r.Tier != l.Name:
		return false
	case len(l.Rules) > 0 && !contains(l.Rules, r.Rule), len(l.Providers) > 0 && !contains(l.Providers, r.Provider):
		return false
	case l.Scope != nil && !l.Scope.takes(r):
		return false
	case len(l.Models) > 0 && !anyMatches(l.Models, r.Model):
		return false
	}
	return len(l.MatcherSetsRaw) == 0 || r.Matches(l.index)
}

func contains(list []string, s string) bool {
	for _, one := range list {
		if one == s {
			return true
		}
	}
	return false
}

func anyMatches(patterns []string, s string) bool {
	for _, p := range patterns {
		if Matches(p, s) {
			return true
		}
	}
	return false
}

// Matches reports whether the pattern, with * for any text, takes all of s.
func Matches(pattern, s string) bool {
	star, mark := -1, 0
	i := 0
	for p := 0; i < len(s) || p < len(pattern); {
		switch {
		case p < len(pattern) && pattern[p] == '*':
			star, mark = p, i
			p++
		case p < len(pattern) && i < len(s) && pattern[p] == s[i]:
			p++
			i++
		case star >= 0 && mark < len(s):
			mark++
			p, i = star+1, mark
		default:
			return false
		}
	}
	return true
}

// value returns the request's value of a key.
func (r *Request) value(k Key) string {
	switch k {
	case KeyRule:
		return r.Rule
	case KeyProvider:
		return r.Provider
	case KeyModel:
		return r.Model
	}
	return r.Value(k)
}
