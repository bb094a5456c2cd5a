package traces

import (
	"testing"

	"github.com/caddy-llm/gateway/integration/gateway"
)

// ports is a listener of the gateway's own.
const ports = `{
	"apps": {
		"llm": {
			"status_listen": "off",
			"access_log": true,
			"tracing": {"span": "at a port"},
			"providers": {
				"first": {"kind": "openai", "host": "127.0.0.1", "scheme": "http", "port": {{.FirstPort}}, "config": {"model": "model-of-first"}}
			},
			"routes": {"all": [{"hosts": ["*"], "rules": [{"name": "both", "backends": [{"provider": "first"}]}]}]},
			"listeners": [{"address": ":{{.Port}}", "servers": [{"hosts": ["*"], "table": "all"}]}]
		}
	}
}`

func TestGatewayPorts(t *testing.T) {
	for receiver, protocol := range map[string]string{"http": "http/protobuf", "grpc": "grpc"} {
		t.Run(protocol, func(t *testing.T) {
			s := serveTo(t, receiver, ports, gateway.Env("OTEL_EXPORTER_OTLP_PROTOCOL", protocol))
			if got := s.ask(t); got != 200 {
				t.Fatal(got)
			}
			request, attempts := s.spans(clientTrace)
			checkTree(t, request, attempts, 1)
			if request.Name() != "at a port" {
				t.Errorf("the request's span is %q", request.Name())
			}
			has(t, "the attempt", attempts[0].Attributes(), s.attributes(nil))
			line := s.WaitLog("handled request").Fields
			if line["traceID"] != clientTrace || line["spanID"] != request.SpanID().String() {
				t.Errorf("the access log has %v and %v", line["traceID"], line["spanID"])
			}
		})
	}
}
