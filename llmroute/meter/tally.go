package meter

import (
	"sort"
	"sync"
	"sync/atomic"
)

// tally is a count that the status page shows. It is kept beside the metric of
// the same thing because reading a metric back costs as much as a scrape.
type tally struct {
	n atomic.Uint64

	// The rest is the history's: how much of n it knows, how much of that is in
	// its window, and where in the part that goes on the change of it is.
	seen, recent uint64
	place        int
}

// ruleTallies are what the responses to requests of one rule, at one provider,
// amounted to.
type ruleTallies struct {
	rule               string
	prompt, completion tally                        // tokens
	first              [len(firstBuckets) + 1]tally // streams by their time to first token
	broken             endings                      // answers that had begun well, by what went wrong
}

// firstToken counts the time to first token of a stream, in seconds.
func (t *ruleTallies) firstToken(seconds float64) {
	t.first[sort.SearchFloat64s(firstBuckets[:], seconds)].n.Add(1)
}

// talliesOf returns the provider's tallies for requests of a rule.
func (p *Provider) talliesOf(rule string) *ruleTallies {
	t, _ := p.tallies.LoadOrStore(rule, &ruleTallies{rule: rule})
	return t.(*ruleTallies)
}

// endings count what has ended, by what went wrong with it.
type endings struct {
	well    tally
	byError sync.Map // string to *tally
}

// add counts one; failure is empty if nothing went wrong.
func (e *endings) add(failure string) {
	if failure == "" {
		e.well.n.Add(1)
		return
	}
	t, ok := e.byError.Load(failure)
	if !ok {
		t, _ = e.byError.LoadOrStore(failure, new(tally))
	}
	t.(*tally).n.Add(1)
}
