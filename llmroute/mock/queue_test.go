package mock

import (
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/caddyserver/caddy/v2"
)

func TestQueueAndMetrics(t *testing.T) {
	m := &Handler{Concurrency: 2, Latency: caddy.Duration(300 * time.Millisecond)}
	if err := m.Provision(caddy.Context{Context: t.Context()}); err != nil {
		t.Fatal(err)
	}
	get := func(method, path, body string) (int, string) {
		w := httptest.NewRecorder()
		if err := m.ServeHTTP(w, httptest.NewRequestWithContext(t.Context(), method, path, strings.NewReader(body)), nil); err != nil {
			t.Error(err)
		}
		text, _ := io.ReadAll(w.Body)
		return w.Code, string(text)
	}
	var wait sync.WaitGroup
	for range 5 {
		wait.Go(func() { get(http.MethodPost, "/v1/chat/completions", `{"messages":[]}`) })
	}
	want := []string{`vllm:num_requests_running{engine="0",model_name="mock-model"} 2`, `vllm:num_requests_waiting{engine="0",model_name="mock-model"} 3`, `vllm:kv_cache_usage_perc{engine="0",model_name="mock-model"} 1`}
	for until := time.Now().Add(5 * time.Second); ; time.Sleep(5 * time.Millisecond) {
		code, text := get(http.MethodGet, "/metrics", "")
		if code == 200 && strings.Contains(text, want[0]) && strings.Contains(text, want[1]) && strings.Contains(text, want[2]) {
			break
		}
		if time.Now().After(until) {
			t.Fatalf("%d %s", code, text)
		}
	}
	wait.Wait()
	if _, text := get(http.MethodGet, "/metrics", ""); !strings.Contains(text, "vllm:num_requests_running{engine=\"0\",model_name=\"mock-model\"} 0") {
		t.Error(text)
	}
}
