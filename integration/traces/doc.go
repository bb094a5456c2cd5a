// Package traces holds tests of the spans that the built gateway exports, which
// the OpenTelemetry Collector's receiver takes. It is a module of its own because
// of that one's dependencies.
package traces
