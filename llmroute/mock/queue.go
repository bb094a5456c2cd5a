package mock

import (
	"context"
	"fmt"
	"math"
	"net/http"
	"sync/atomic"
)

// queue counts the requests that are being answered, and has others wait for a slot.
type queue struct {
	slots            chan struct{} // nil without a bound
	running, waiting atomic.Int64
}

// begin waits for a slot. Each success is paired with one call of end.
func (q *queue) begin(ctx context.Context) error {
	if q.slots != nil {
		q.waiting.Add(1)
		defer q.waiting.Add(-1)
		select {
		case q.slots <- struct{}{}:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
	q.running.Add(1)
	return nil
}

func (q *queue) end() {
	q.running.Add(-1)
	if q.slots != nil {
		<-q.slots
	}
}

// serveMetrics answers with those of vLLM's metrics that tell of a server's load. The
// cache is as full as the slots are.
func (m *Handler) serveMetrics(w http.ResponseWriter) {
	running, waiting := m.queue.running.Load(), m.queue.waiting.Load()
	used := 0.0
	if n := cap(m.queue.slots); n > 0 {
		used = math.Min(1, float64(running)/float64(n))
	}
	w.Header().Set("Content-Type", "text/plain; version=0.0.4; charset=utf-8")
	labels := `{engine="0",model_name=` + m.model + `}`
	// A failure to write means that the client has left.
	_, _ = fmt.Fprintf(w, "# TYPE vllm:num_requests_running gauge\nvllm:num_requests_running%[1]s %[2]d\n"+
		"# TYPE vllm:num_requests_waiting gauge\nvllm:num_requests_waiting%[1]s %[3]d\n"+
		"# TYPE vllm:kv_cache_usage_perc gauge\nvllm:kv_cache_usage_perc%[1]s %[4]g\n", labels, running, waiting, used)
}
