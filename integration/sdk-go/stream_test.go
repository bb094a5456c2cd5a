package sdk

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/openai/openai-go/v3"
	"github.com/openai/openai-go/v3/packages/ssestream"

	"github.com/caddy-llm/gateway/integration/fakeprovider"
	"github.com/caddy-llm/gateway/integration/fixtures"
)

// streamed is all that an SDK's stream gave.
type streamed struct {
	chunks []string // as JSON
	text   string   // of the first choice
	usage  []openai.CompletionUsage
	err    error
}

func read(stream *ssestream.Stream[openai.ChatCompletionChunk]) (all streamed) {
	defer stream.Close()
	for stream.Next() {
		chunk := stream.Current()
		all.chunks = append(all.chunks, chunk.RawJSON())
		if len(chunk.Choices) > 0 {
			all.text += chunk.Choices[0].Delta.Content
		}
		if chunk.JSON.Usage.Valid() {
			all.usage = append(all.usage, chunk.Usage)
		}
	}
	all.err = stream.Err()
	return all
}

// next reads one chunk; the test fails when the gateway holds it back.
func next(t *testing.T, stream *ssestream.Stream[openai.ChatCompletionChunk]) bool {
	t.Helper()
	got := make(chan bool, 1)
	go func() { got <- stream.Next() }()
	select {
	case ok := <-got:
		return ok
	case <-time.After(patience):
		t.Fatal("the provider has sent an event that the SDK did not get")
		return false
	}
}

// Streams in the shapes of all providers, legal oddities included, give the SDK
// the same chunks through the gateway as without it.
func TestStream(t *testing.T) {
	s, g := serveOne(t)
	through, without := g.client(), direct(s)
	for _, f := range fixtures.Select(t, func(f fixtures.Fixture) bool { return f.Kind == "chat" && f.Stream }) {
		t.Run(f.ID, func(t *testing.T) {
			s.Script(fakeprovider.Always(f.Reply()))
			got := read(through.Chat.Completions.NewStreaming(t.Context(), askingUsage("gpt-4o")))
			want := read(without.Chat.Completions.NewStreaming(t.Context(), askingUsage("gpt-4o")))
			if !slices.Equal(got.chunks, want.chunks) {
				t.Errorf("got %d chunks:\n%s\nwant %d:\n%s", len(got.chunks), strings.Join(got.chunks, "\n"), len(want.chunks), strings.Join(want.chunks, "\n"))
			}
			if (got.err == nil) != (want.err == nil) || got.err != nil && got.err.Error() != want.err.Error() {
				t.Errorf("error %v, want %v", got.err, want.err)
			}
		})
	}
}

// A client that did not ask for usage gets the same stream as ever, although the
// gateway asks the provider for it.
func TestUsageOnlyIfAsked(t *testing.T) {
	s, g := serveOne(t)
	client := g.client()
	off := question("gpt-4o")
	off.StreamOptions = openai.ChatCompletionStreamOptionsParam{IncludeUsage: openai.Bool(false)}
	for _, c := range []struct {
		name   string
		params openai.ChatCompletionNewParams
		want   int
	}{
		{"asked", askingUsage("gpt-4o"), 1},
		{"not asked", question("gpt-4o"), 0},
		{"asked not to", off, 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			for _, id := range []string{"openai/chat.sse", "dashscope/chat.sse", "vllm/chat.sse"} {
				f := fixtures.Get(t, id)
				s.Script(fakeprovider.Always(f.Reply()))
				got := read(client.Chat.Completions.NewStreaming(t.Context(), c.params))
				if got.err != nil || got.text != f.Want.Content {
					t.Errorf("%s: %q, %v", id, got.text, got.err)
				}
				if len(got.usage) != c.want {
					t.Errorf("%s: usage %+v", id, got.usage)
				}
				if c.want > 0 && len(got.usage) > 0 && (got.usage[0].PromptTokens != f.Want.Usage.Prompt || got.usage[0].CompletionTokens != f.Want.Usage.Completion) {
					t.Errorf("%s: usage %+v, want %+v", id, got.usage[0], f.Want.Usage)
				}
				if !s.Last().IncludeUsage {
					t.Errorf("%s: the provider was not asked for usage: %s", id, s.Last().Body)
				}
			}
		})
	}
}

// Each event is with the SDK while the provider has not sent the next one, and
// before any when the stream has only been opened.
func TestEventsArriveOneByOne(t *testing.T) {
	for name, options := range map[string][]fakeprovider.Option{
		"http 1": {fakeprovider.HTTP1Only()},
		"http 2": {fakeprovider.HTTP2Only()},
	} {
		t.Run(name, func(t *testing.T) {
			s, g := serveOne(t, options...)
			client := g.client()
			whole := fixtures.Get(t, "openai/chat.sse").Reply()
			for _, params := range []openai.ChatCompletionNewParams{question("gpt-4o"), askingUsage("gpt-4o")} {
				for n := range 4 {
					s.Script(fakeprovider.Always(whole.HangAfter(n)))
					before := s.Count()
					stream := client.Chat.Completions.NewStreaming(t.Context(), params)
					if err := stream.Err(); err != nil {
						t.Fatalf("opening a stream: %v", err)
					}
					for i := range n {
						if !next(t, stream) {
							t.Fatalf("event %d of %d: %v", i+1, n, stream.Err())
						}
					}
					if s.Count() != before+1 || s.Last().Cancelled() || s.InFlight() != 1 {
						t.Errorf("after %d events the provider was no longer answering", n)
					}
					_ = stream.Close()
					s.WaitIdle(patience)
				}
			}
		})
	}
}

// A slow stream takes as long as the provider takes, not longer in one lump.
func TestPaceIsKept(t *testing.T) {
	s, g := serveOne(t)
	const pause = 100 * time.Millisecond
	s.Script(fakeprovider.Always(fixtures.Get(t, "openai/chat.sse").Reply().Every(pause)))
	stream := g.client().Chat.Completions.NewStreaming(t.Context(), question("gpt-4o"))
	defer stream.Close()
	var arrived []time.Time
	for stream.Next() {
		arrived = append(arrived, time.Now())
	}
	if err := stream.Err(); err != nil || len(arrived) < 5 {
		t.Fatal(len(arrived), err)
	}
	took := arrived[len(arrived)-1].Sub(arrived[0])
	if least := pause * time.Duration(len(arrived)-2); took < least {
		t.Errorf("%d events came within %v, and the provider took %v at least", len(arrived), took, least)
	}
}

func TestConfigDecidesOnStreaming(t *testing.T) {
	const config = `{
	llm {
		status_listen off
		provider main {{.Main}}/v1/chat/completions {
			stream off
			tls_trust_pool file {{.CA}}
		}
	}
}

http://:{{.Port}} {
	llm_route {
		to main
	}
}
`
	s := fakeprovider.New(t)
	g := serve(t, config, map[string]any{"Main": s.URL(), "CA": s.CAFile()})
	if _, err := g.client().Chat.Completions.New(t.Context(), question("gpt-4o")); err != nil {
		t.Error(err)
	}
	// The SDK finds no event in a document, and says so by an empty stream.
	got := read(g.client().Chat.Completions.NewStreaming(t.Context(), askingUsage("gpt-4o")))
	if len(got.chunks) != 0 {
		t.Errorf("%q", got.chunks)
	}
	if r := s.Last(); r.Stream || strings.Contains(string(r.Body), "stream_options") {
		t.Errorf("the provider was asked for a stream: %s", r.Body)
	}
}
