package traces

import (
	"fmt"
	"maps"
	"strings"
	"testing"
	"time"

	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/component/componenttest"
	"go.opentelemetry.io/collector/confmap"
	"go.opentelemetry.io/collector/consumer/consumertest"
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/ptrace"
	"go.opentelemetry.io/collector/receiver"
	"go.opentelemetry.io/collector/receiver/otlpreceiver"

	"github.com/caddy-llm/gateway/integration/gateway"
)

// patience bounds what should take milliseconds, on a busy machine too.
const patience = 10 * time.Second

// collector is a running receiver of the OpenTelemetry Collector.
type collector struct {
	t    testing.TB
	sink consumertest.TracesSink
	url  string
}

// newCollector starts a receiver of the protocol: http or grpc.
func newCollector(t testing.TB, protocol string) *collector {
	t.Helper()
	address := fmt.Sprintf("127.0.0.1:%d", gateway.FreePort(t))
	c := &collector{t: t, url: "http://" + address}
	factory := otlpreceiver.NewFactory()
	config := factory.CreateDefaultConfig()
	settings := confmap.NewFromStringMap(map[string]any{"protocols": map[string]any{protocol: map[string]any{"endpoint": address}}})
	if err := settings.Unmarshal(config); err != nil {
		t.Fatal(err)
	}
	r, err := factory.CreateTraces(t.Context(), receiver.Settings{
		ID: component.NewID(factory.Type()), TelemetrySettings: componenttest.NewNopTelemetrySettings(),
	}, config, &c.sink)
	if err != nil {
		t.Fatal(err)
	}
	if err := r.Start(t.Context(), componenttest.NewNopHost()); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := r.Shutdown(t.Context()); err != nil {
			t.Error(err)
		}
	})
	return c
}

// spans waits for a span of the trace that is a server's, which ends last, and
// returns it with the others in the order that they ended.
func (c *collector) spans(traceID string) (request ptrace.Span, attempts []ptrace.Span) {
	c.t.Helper()
	for end := time.Now().Add(patience); time.Now().Before(end); time.Sleep(20 * time.Millisecond) {
		found := false
		attempts = nil
		for span := range c.all() {
			switch {
			case span.TraceID().String() != traceID:
			case span.Kind() == ptrace.SpanKindServer:
				request, found = span, true
			default:
				attempts = append(attempts, span)
			}
		}
		if found {
			return request, attempts
		}
	}
	c.t.Fatalf("no span of the trace %s arrived", traceID)
	return request, nil
}

// all ranges over all spans so far.
func (c *collector) all() func(func(ptrace.Span) bool) {
	return func(yield func(ptrace.Span) bool) {
		for _, traces := range c.sink.AllTraces() {
			for _, resource := range traces.ResourceSpans().All() {
				for _, scope := range resource.ScopeSpans().All() {
					for _, span := range scope.Spans().All() {
						if !yield(span) {
							return
						}
					}
				}
			}
		}
	}
}

// text is everything that was received, as JSON.
func (c *collector) text() string {
	var b strings.Builder
	for _, traces := range c.sink.AllTraces() {
		raw, err := new(ptrace.JSONMarshaler).MarshalTraces(traces)
		if err != nil {
			c.t.Fatal(err)
		}
		b.Write(raw)
	}
	return b.String()
}

// check holds that the attributes are these, and no others.
func check(t testing.TB, what string, got pcommon.Map, want map[string]any) {
	t.Helper()
	have := got.AsRaw()
	if !maps.EqualFunc(have, want, func(a, b any) bool { return fmt.Sprint(a) == fmt.Sprint(b) }) {
		t.Errorf("attributes of %s are\n%v, want\n%v", what, have, want)
	}
}

// has holds that the attributes have these among them; nil is for one that must
// not be there.
func has(t testing.TB, what string, got pcommon.Map, want map[string]any) {
	t.Helper()
	have := got.AsRaw()
	for name, value := range want {
		if fmt.Sprint(have[name]) != fmt.Sprint(value) {
			t.Errorf("%s of %s is %v, want %v", name, what, have[name], value)
		}
	}
}

// event returns the span's only event.
func event(t testing.TB, span ptrace.Span, name string) ptrace.SpanEvent {
	t.Helper()
	if n := span.Events().Len(); n != 1 || span.Events().At(0).Name() != name {
		t.Fatalf("the span %q has %d events, want one, %s", span.Name(), n, name)
	}
	return span.Events().At(0)
}
