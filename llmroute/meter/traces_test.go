package meter

import (
	"context"
	"net/http"
	"net/http/httptest"
	"net/url"
	"testing"

	"go.opentelemetry.io/otel/trace"
)

// TestTracesCostNothingWhenOff holds that a request that is not traced allocates
// nothing for it. What is done when it is traced, the tests in integration/traces
// see.
func TestTracesCostNothingWhenOff(t *testing.T) {
	r := httptest.NewRequest(http.MethodPost, "/v1/chat/completions", nil)
	r.Header.Set("Traceparent", "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01") // of a client alone
	if n := testing.AllocsPerRun(100, func() {
		traced := TracedRequest(r)
		var span *AttemptSpan // as an attempt of a request that is not traced has it
		span.Sends(nil)
		span.Answered(200)
		span.Failed("500", 1)
		span.Discarded(nil)
		span.FirstToken()
		span.Ended(nil)
		traced.FallsBack("a", span, "b")
		traced.Finish(nil)
		traced.LogFields()
		if traced != nil {
			t.Error("the request is traced")
		}
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
	span := trace.NewSpanContext(trace.SpanContextConfig{TraceID: trace.TraceID{1}, SpanID: trace.SpanID{1}})
	if TracedRequest(r.WithContext(trace.ContextWithSpanContext(context.Background(), span))) == nil {
		t.Error("a traced request is not traced")
	}
}

func TestPortOf(t *testing.T) {
	for address, want := range map[string]int{
		"https://a.example/v1": 443, "http://a.example/v1": 80, "https://a.example:8443/v1": 8443, "http://[::1]:8081": 8081, "http://[::1]": 80,
	} {
		u, err := url.Parse(address)
		if err != nil {
			t.Fatal(err)
		}
		if got := portOf(u); got != want {
			t.Errorf("%s is at port %d, want %d", address, got, want)
		}
	}
}
