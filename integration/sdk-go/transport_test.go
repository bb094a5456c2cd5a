package sdk

import (
	"sync"
	"testing"

	"github.com/caddy-llm/gateway/integration/fakeprovider"
	"github.com/caddy-llm/gateway/integration/fixtures"
)

// The gateway speaks what the provider speaks, over TLS with the CA it was
// given, and uses its connections again.
func TestTransport(t *testing.T) {
	for _, c := range []struct {
		name    string
		options []fakeprovider.Option
		proto   string
	}{
		{"http 1", []fakeprovider.Option{fakeprovider.HTTP1Only()}, "HTTP/1.1"},
		{"http 2", []fakeprovider.Option{fakeprovider.HTTP2Only()}, "HTTP/2.0"},
		{"both offered", nil, "HTTP/2.0"},
	} {
		t.Run(c.name, func(t *testing.T) {
			s, g := serveOne(t, c.options...)
			client := g.client()
			for range 5 {
				if _, err := client.Chat.Completions.New(t.Context(), question("gpt-4o")); err != nil {
					t.Fatal(err)
				}
			}
			// A stream may cost an HTTP/1.1 connection, as the SDK leaves before its
			// end; so it is the last.
			if got := read(client.Chat.Completions.NewStreaming(t.Context(), question("gpt-4o"))); got.err != nil {
				t.Fatal(got.err)
			}
			for _, r := range s.Requests() {
				checkKeys(t, r, providerKey)
				if r.Proto != c.proto || r.SNI != "" && r.SNI != "127.0.0.1" {
					t.Errorf("%s, SNI %q", r.Proto, r.SNI)
				}
			}
			if n := s.Connections(); n != 1 {
				t.Errorf("%d connections for requests one after the other", n)
			}
		})
	}
}

// Streams that are open at once share one HTTP/2 connection and do not wait for
// each other.
func TestStreamsAtOnce(t *testing.T) {
	const streams = 20
	s, g := serveOne(t)
	client := g.client()
	if _, err := client.Chat.Completions.New(t.Context(), question("gpt-4o")); err != nil {
		t.Fatal(err) // the first one opens the connection
	}
	s.Reset()
	s.Script(fakeprovider.Always(fixtures.Get(t, "openai/chat.sse").Reply().HangAfter(1)))
	var wait sync.WaitGroup
	for range streams {
		wait.Go(func() {
			stream := client.Chat.Completions.NewStreaming(t.Context(), question("gpt-4o"))
			defer stream.Close()
			if !stream.Next() {
				t.Error(stream.Err())
			}
			s.WaitCount(streams, patience) // so all are open now
		})
	}
	wait.Wait()
	if n := s.Connections(); n != 1 {
		t.Errorf("%d connections for %d streams", n, streams)
	}
}
