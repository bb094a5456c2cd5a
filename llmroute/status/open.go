package status

import (
	"container/heap"
	"strings"
	"time"

	"github.com/caddy-llm/gateway/llmprovider"
)

// OpenRow is a request that is being served, in a Page.
type OpenRow struct {
	// Seconds is for how long.
	Seconds float64 `json:"seconds"`
	// Provider is empty before the first attempt.
	Provider string `json:"provider,omitempty"`
	Rule     string `json:"rule,omitempty"`
	// Model is what is asked of the provider; it may be the client's own text.
	Model string `json:"model,omitempty"`
	// Client is the name of the virtual key.
	Client string `json:"client,omitempty"`
	Stream bool   `json:"stream,omitempty"`
	// Answering is true if the first bytes of the response have come.
	Answering bool `json:"answering,omitempty"`
}

// openHeap keeps those of the longest standing, the youngest of them on top.
type openHeap []OpenRow

func (h openHeap) Len() int           { return len(h) }
func (h openHeap) Less(i, j int) bool { return h[i].Seconds < h[j].Seconds }
func (h openHeap) Swap(i, j int)      { h[i], h[j] = h[j], h[i] }
func (h *openHeap) Push(v any)        { *h = append(*h, v.(OpenRow)) }
func (h *openHeap) Pop() any {
	last := (*h)[len(*h)-1]
	*h = (*h)[:len(*h)-1]
	return last
}

// openRows lists the requests that are being served: the oldest that match, and how many there
// are.
func openRows(g *Gateway, now time.Time, filter string) (list List[OpenRow], streams int) {
	var oldest openHeap
	g.EachOpen(func(o *Open) {
		list.All++
		if o.Stream {
			streams++
		}
		v := OpenRow{
			Seconds: now.Sub(o.Began).Seconds(), Provider: o.Provider, Rule: o.Rule, Model: llmprovider.Bounded(o.Model), Client: o.Client, Stream: o.Stream, Answering: o.Answering,
		}
		if !matchesFilter(filter, v.Provider, v.Rule, v.Model, v.Client) {
			return
		}
		list.Matching++
		switch {
		case len(oldest) < maxViewRows:
			heap.Push(&oldest, v)
		case v.Seconds > oldest[0].Seconds:
			oldest[0] = v
			heap.Fix(&oldest, 0)
		}
	})
	list.Rows = make([]OpenRow, len(oldest))
	for i := len(oldest) - 1; i >= 0; i-- {
		list.Rows[i] = heap.Pop(&oldest).(OpenRow)
	}
	return list, streams
}

// matchesFilter reports whether one of the texts has filter in it, whatever the
// case. filter is in lower case.
func matchesFilter(filter string, texts ...string) bool {
	if filter == "" {
		return true
	}
	for _, text := range texts {
		if strings.Contains(strings.ToLower(text), filter) {
			return true
		}
	}
	return false
}
