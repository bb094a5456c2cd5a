package llmroute

import (
	"container/heap"
	"strings"
	"time"

	"github.com/caddy-llm/gateway/llmprovider"
	"github.com/caddy-llm/gateway/llmroute/virtualkey"
)

// shown is what the status page tells of a request that is being served. The
// exchange's own fields cannot be read while the request goes on.
type shown struct {
	provider, rule, model string // of the attempt under way
	client                *virtualkey.Client
	stream                bool
	answering             bool // the first byte of the response's body has come
}

// show makes known what attempt is under way.
func (x *exchange) show(s shown) {
	x.mu.Lock()
	x.shown = s
	x.mu.Unlock()
}

// showAnswer makes known that the response has begun.
func (x *exchange) showAnswer() {
	x.mu.Lock()
	x.shown.answering = true
	x.mu.Unlock()
}

// OpenView is a request that is being served, in a StatusView.
type OpenView struct {
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
type openHeap []OpenView

func (h openHeap) Len() int           { return len(h) }
func (h openHeap) Less(i, j int) bool { return h[i].Seconds < h[j].Seconds }
func (h openHeap) Swap(i, j int)      { h[i], h[j] = h[j], h[i] }
func (h *openHeap) Push(v any)        { *h = append(*h, v.(OpenView)) }
func (h *openHeap) Pop() any {
	last := (*h)[len(*h)-1]
	*h = (*h)[:len(*h)-1]
	return last
}

// openView lists the requests that are being served, those of configurations
// that were replaced included: the oldest that match, and how many there are.
func openView(now time.Time, filter string) (list ViewList[OpenView], streams int) {
	var oldest openHeap
	serving.Range(func(app, _ any) bool {
		app.(*App).open.each(func(x *exchange) {
			x.mu.Lock()
			s := x.shown
			x.mu.Unlock()
			list.All++
			if s.stream {
				streams++
			}
			v := OpenView{
				Seconds: now.Sub(x.Began).Seconds(), Provider: s.provider, Rule: s.rule, Model: llmprovider.Bounded(s.model), Stream: s.stream, Answering: s.answering,
			}
			if s.client != nil {
				v.Client = s.client.Name
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
		return true
	})
	list.Rows = make([]OpenView, len(oldest))
	for i := len(oldest) - 1; i >= 0; i-- {
		list.Rows[i] = heap.Pop(&oldest).(OpenView)
	}
	return list, streams
}

// openCount is how many requests are being served, those of configurations that
// were replaced included.
func openCount() (n int) {
	serving.Range(func(app, _ any) bool {
		n += app.(*App).open.count()
		return true
	})
	return n
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
