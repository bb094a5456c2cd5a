package guard

import (
	"context"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"

	"github.com/caddy-llm/gateway/llmprovider"
	"github.com/caddy-llm/gateway/llmroute/filter"
	"github.com/caddy-llm/gateway/llmroute/guard/decide"
)

// wait waits until something is so.
func wait(t *testing.T, what func() bool) {
	t.Helper()
	for end := time.Now().Add(20 * time.Second); !what(); time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatal("it does not come to that")
		}
	}
}

// TestParallelGuardThatOnlyLogs holds that nothing waits for a guard that can deny nothing, and
// that what it would have done is counted and logged once, whether it decides before the request
// has ended or, though its client may have left, after that.
func TestParallelGuardThatOnlyLogs(t *testing.T) {
	for _, first := range []string{"the guard", "the request"} {
		t.Run(first+" first", func(t *testing.T) {
			decides, counted := make(chan struct{}), make(chan string, 10)
			var once sync.Once
			goOn := func() { once.Do(func() { close(decides) }) }
			s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				body, _ := io.ReadAll(r.Body)
				<-decides
				if r.Header.Get("X-Team") != "blue" || !strings.Contains(string(body), "hello") {
					t.Errorf("asked with %v, %s", r.Header, body)
				}
				_, _ = io.WriteString(w, `{"action":"BLOCKED","blocked_reason":"no"}`)
			}))
			defer s.Close()
			defer goOn()
			core, logs := observer.New(zap.InfoLevel)
			webhook := &decide.Webhook{URL: s.URL, Format: decide.FormatLiteLLM, ForwardHeaders: []string{"x-team"}}
			f, err := New(map[string]*Definition{"g": {Webhook: webhook, Parallel: true, Log: true}}, zap.New(core), func(_, _ string, action Action, category string) {
				counted <- string(action) + " " + category
			}, nil)
			if err != nil {
				t.Fatal(err)
			}
			ctx, leave := context.WithCancel(t.Context())
			defer leave()
			r := httptest.NewRequestWithContext(ctx, http.MethodPost, chatPath, nil)
			r.Header.Set("X-Team", "blue")
			call := &filter.Call{Request: r, Inbound: inbound(t, chatPath, `{"messages":[{"role":"user","content":"hello"}]}`), Guards: []string{"g"}, Rule: "r", Client: filter.Client{Name: "alice"}}
			begun, refused := f.Begin(ctx, call)
			if refused != nil {
				t.Fatal(refused)
			}
			decided := begun.(filter.Decider).Decide(func(err *llmprovider.Error) { t.Errorf("refused: %v", err) })
			if decided != nil {
				t.Error("the request waits")
			}
			w := begun.(*step).aside
			come := func() bool {
				w.mu.Lock()
				defer w.mu.Unlock()
				return w.decided || w.ended && logs.Len() > 0
			}
			if first == "the guard" {
				goOn()
				wait(t, come)
			}
			leave()
			r.Header.Set("X-Team", "red") // as the next request may have it
			begun.End(new(filter.Outcome))
			if first == "the request" {
				if len(call.LogFields) > 0 || logs.Len() > 0 {
					t.Errorf("logged before: %v", call.LogFields)
				}
				goOn()
				wait(t, come)
			} else if len(call.LogFields) != 4 || call.LogFields[2].String != "log" {
				t.Errorf("log fields %v", call.LogFields)
			}
			if got := <-counted; got != "log webhook" || len(counted) > 0 {
				t.Errorf("counted %s", got)
			}
			lines := logs.All()
			if len(lines) != 1 || lines[0].ContextMap()["llm_guard"] != "g" || lines[0].ContextMap()["rule"] != "r" || lines[0].ContextMap()["client"] != "alice" {
				t.Errorf("logged %v", lines)
			}
		})
	}
}
