package main

import (
	"fmt"
	"regexp"
	"time"
)

const (
	clientModel = "bench-model-a" // what the client asks for
	routeModel  = "bench-model-b" // what llm_route sets instead; as long, so that both sides carry the same bytes

	clientKey   = "client-key-0123456789"   // what llm_route's clients send
	providerKey = "provider-key-3456789abc" // what the provider accepts

	// The tokens that each response reports.
	promptTokens     = 11
	completionTokens = 85
)

// shape is one kind of request and answer. Each has a listener of its own in
// every process.
type shape struct {
	name     string
	request  int // the size of its body, in bytes
	reply    int // the size of the response's text, in bytes
	stream   bool
	askUsage bool // whether a streaming client asks for usage itself
	chunks   int
	interval time.Duration // between chunks
}

// The shapes, in the order of the table. A streaming client that asks for
// usage itself gets the same bytes from both sides; for one that does not,
// llm_route asks, and hides what it asked for.
var (
	small  = &shape{name: "300 B", request: 300, reply: 120}
	medium = &shape{name: "20 KB", request: 20_000, reply: 20_000}
	large  = &shape{name: "1 MB", request: 1_000_000, reply: 1_000_000}
	events = &shape{name: "100 events at once", request: 300, reply: 2000, stream: true, askUsage: true, chunks: 100}
	hidden = &shape{name: "100 events at once, hidden usage", request: 300, reply: 2000, stream: true, chunks: 100}
	paced  = &shape{name: "100 events 10 ms apart", request: 300, reply: 2000, stream: true, askUsage: true, chunks: 100, interval: 10 * time.Millisecond}
	// Its streams say one thing and stay open until the client leaves.
	open = &shape{name: "open streams", request: 300, reply: 40, stream: true, chunks: 2, interval: time.Hour}
)

var shapes = []*shape{small, medium, large, events, hidden, paced, open}

// benchCase is a shape under load from a number of connections, each of which
// has one request under way at any time.
type benchCase struct {
	shape *shape
	conns int
}

func (c benchCase) name() string { return fmt.Sprintf("%s, c%d", c.shape.name, c.conns) }

func allCases() []benchCase {
	var all []benchCase
	for _, s := range []*shape{small, medium, large, events} {
		for _, conns := range []int{1, 16, 256} {
			all = append(all, benchCase{s, conns})
		}
	}
	return append(all, benchCase{hidden, 16}, benchCase{paced, 64})
}

func choose(all []benchCase, pattern *regexp.Regexp) []benchCase {
	var chosen []benchCase
	for _, c := range all {
		if pattern.MatchString(c.name()) {
			chosen = append(chosen, c)
		}
	}
	return chosen
}
