package upstream

import (
	"net/http"
	"testing"

	"go.opentelemetry.io/otel/trace"

	"github.com/caddy-llm/gateway/internal/moduletest"
	"github.com/caddy-llm/gateway/llmprovider"
)

// The examples of W3C Trace Context and of B3.
const (
	exampleTrace = "4bf92f3577b34da6a3ce929d0e0e4736"
	exampleSpan  = "00f067aa0ba902b7"
)

func TestTraceHeaders(t *testing.T) {
	traceID, _ := trace.TraceIDFromHex(exampleTrace)
	spanID, _ := trace.SpanIDFromHex(exampleSpan)
	span := trace.NewSpanContext(trace.SpanContextConfig{TraceID: traceID, SpanID: spanID, TraceFlags: trace.FlagsSampled})
	const own, client = "00-" + exampleTrace + "-" + exampleSpan + "-01", "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
	for _, tc := range []struct {
		name, propagators string
		forward           []string
		traced            bool
		header, want      string
	}{
		{"not asked for", "", nil, true, "Traceparent", ""},
		{"another one is asked for", "", []string{"Tracestate"}, true, "Traceparent", ""},
		{"asked for", "", []string{"traceparent"}, true, "Traceparent", own},
		{"asked for, without tracing", "", []string{"traceparent"}, false, "Traceparent", client},
		{"B3 as it is set up, not asked for", "b3", nil, true, "B3", ""},
		{"B3 as it is set up, asked for", "b3", []string{"b3"}, true, "B3", exampleTrace + "-" + exampleSpan + "-1"},
		{"B3 as it is set up, and another one is asked for", "b3", []string{"traceparent"}, true, "B3", ""},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Setenv("OTEL_PROPAGATORS", tc.propagators)
			p := &Connection{Host: "llm.example.com", ForwardHeaders: tc.forward}
			moduletest.Provision(t, p)
			ctx := t.Context()
			if tc.traced {
				ctx = trace.ContextWithSpanContext(ctx, span)
			}
			in := inbound(t, `{"messages":[]}`)
			in.Header = http.Header{"Traceparent": {client}, "B3": {"0"}}
			a := attempt(t, p, ctx, in, llmprovider.Edits{})
			if got := a.Request.Header.Get(tc.header); got != tc.want {
				t.Errorf("%s is %q, want %q", tc.header, got, tc.want)
			}
			if got := in.Header.Get("Traceparent"); got != client {
				t.Errorf("the client's header was changed to %q", got)
			}
		})
	}
}
