package sdk

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/openai/openai-go/v3"
	"github.com/openai/openai-go/v3/option"
	"github.com/openai/openai-go/v3/packages/ssestream"

	"github.com/caddy-llm/gateway/integration/fakeprovider"
	"github.com/caddy-llm/gateway/integration/fixtures"
)

var bothProtocols = map[string]fakeprovider.Option{
	"http 1": fakeprovider.HTTP1Only(),
	"http 2": fakeprovider.HTTP2Only(),
}

// A provider that dies inside a stream is an error of the SDK, never a short
// answer that looks complete. What came before is not lost.
func TestProviderDiesInAStream(t *testing.T) {
	whole := fixtures.Get(t, "openai/chat.sse").Reply()
	for protocol, speaks := range bothProtocols {
		t.Run(protocol, func(t *testing.T) {
			s, g := serveOne(t, speaks)
			client := g.client()
			for _, c := range []struct {
				name   string
				reply  fakeprovider.Reply
				chunks int // at least
			}{
				{"before the first event", whole.CloseAfter(0), 0},
				{"between events", whole.CloseAfter(3), 3},
				{"inside an event", whole.CloseMidEvent(3), 3},
				{"before the end mark", whole.CloseAfter(len(whole.Steps) - 1), 3},
				{"by a reset", whole.Every(20 * time.Millisecond).ResetAfter(3), 1},
			} {
				t.Run(c.name, func(t *testing.T) {
					s.Script(fakeprovider.Always(c.reply))
					// Without the wish for usage the gateway holds unfinished events back.
					for name, params := range map[string]openai.ChatCompletionNewParams{"plain": question("gpt-4o"), "with usage": askingUsage("gpt-4o")} {
						got := read(client.Chat.Completions.NewStreaming(t.Context(), params))
						if got.err == nil {
							t.Errorf("%s: %d chunks and a clean end", name, len(got.chunks))
						}
						if len(got.chunks) < c.chunks {
							t.Errorf("%s: %d chunks, want %d or more; %v", name, len(got.chunks), c.chunks, got.err)
						}
					}
				})
			}
		})
	}
}

// The error that ends the stream says what happened, in the API's shape.
func TestStreamErrorTellsTheReason(t *testing.T) {
	const config = `{
	llm {
		status_listen off
		provider main {{.Main}}/v1/chat/completions {
			idle_timeout 500ms
			api_key {env.MAIN_KEY}
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
	whole := fixtures.Get(t, "openai/chat.sse").Reply()
	for _, c := range []struct {
		name, code string
		reply      fakeprovider.Reply
	}{
		{"provider died", "provider_unreachable", whole.CloseAfter(3)},
		{"provider silent", "provider_timeout", whole.HangAfter(3)},
	} {
		t.Run(c.name, func(t *testing.T) {
			s.Script(fakeprovider.Always(c.reply))
			got := read(g.client().Chat.Completions.NewStreaming(t.Context(), question("gpt-4o")))
			var event *ssestream.StreamError
			if !errors.As(got.err, &event) {
				t.Fatalf("got %T %v", got.err, got.err)
			}
			e := errorIn(t, event.Event.Data)
			if e.Code != c.code || e.Type != "server_error" || e.Message == "" {
				t.Errorf("%s", event.Event.Data)
			}
			if len(got.chunks) != 3 {
				t.Errorf("%d chunks came before", len(got.chunks))
			}
			s.WaitIdle(patience)
		})
	}
}

// After its end mark a stream is complete, whoever leaves first: the Go SDK does
// so before the connection's end has come.
func TestEndMarkIsTheEnd(t *testing.T) {
	f := fixtures.Get(t, "openai/chat.sse")
	for name, reply := range map[string]fakeprovider.Reply{
		"the SDK leaves":      f.Reply().Then(fakeprovider.Pause(300 * time.Millisecond)),
		"the provider leaves": f.Reply().Then(fakeprovider.Close()),
	} {
		t.Run(name, func(t *testing.T) {
			s := fakeprovider.New(t)
			g := serve(t, strings.Replace(oneProvider, "\tllm_route", "\tlog\n\tllm_route", 1), map[string]any{"Main": s.URL(), "CA": s.CAFile()})
			s.Script(fakeprovider.Always(reply))
			got := read(g.client().Chat.Completions.NewStreaming(t.Context(), question("gpt-4o")))
			if got.err != nil || got.text != f.Want.Content {
				t.Errorf("%q, %v", got.text, got.err)
			}
			line := g.WaitLog("handled request")
			if line.Fields["aborted"] != nil || fmt.Sprint(line.Fields["request_completion_tokens"]) != fmt.Sprint(f.Want.Usage.Completion) {
				t.Errorf("the log says %s", line.Raw)
			}
			if broken := g.FindLogs("broke off"); len(broken) > 0 {
				t.Errorf("the log says %s", broken[0].Raw)
			}
		})
	}
}

func TestProviderDiesInADocument(t *testing.T) {
	whole := fixtures.Get(t, "openai/chat.json").Reply()
	for protocol, speaks := range bothProtocols {
		t.Run(protocol, func(t *testing.T) {
			s, g := serveOne(t, speaks)
			for name, reply := range map[string]fakeprovider.Reply{
				"a length not reached": whole.DeclareLength(int64(len(whole.Body) + 10)),
				"chunks without end":   whole.Then(fakeprovider.Close()),
				"half of it":           whole.CloseMidEvent(0),
			} {
				t.Run(name, func(t *testing.T) {
					s.Script(fakeprovider.Always(reply))
					if got, err := g.client().Chat.Completions.New(t.Context(), question("gpt-4o")); err == nil {
						t.Errorf("a broken answer passed for whole: %s", got.RawJSON())
					}
				})
			}
		})
	}
}

// When the caller gives up, the provider's call ends at once: nobody pays for
// tokens that nobody reads.
func TestCancelReachesTheProvider(t *testing.T) {
	f := fixtures.Get(t, "openai/chat.sse")
	whole, event := f.Reply(), string(fakeprovider.Events(f.Body)[1].Raw)
	for protocol, speaks := range bothProtocols {
		t.Run(protocol, func(t *testing.T) {
			s, g := serveOne(t, speaks)
			client := g.client()

			t.Run("while waiting", func(t *testing.T) {
				s.Reset()
				s.Script(fakeprovider.Always(whole.HangBeforeHead()))
				ctx, cancel := context.WithCancel(t.Context())
				failed := make(chan error, 1)
				go func() {
					_, err := client.Chat.Completions.New(ctx, question("gpt-4o"))
					failed <- err
				}()
				s.WaitCount(1, patience)
				cancel()
				if err := <-failed; !errors.Is(err, context.Canceled) {
					t.Errorf("got %v", err)
				}
				s.WaitCancelled(1, patience)
			})

			t.Run("inside a stream", func(t *testing.T) {
				s.Reset()
				s.Script(fakeprovider.Always(whole.HangAfter(3)))
				ctx, cancel := context.WithCancel(t.Context())
				stream := client.Chat.Completions.NewStreaming(ctx, question("gpt-4o"))
				for range 3 {
					if !next(t, stream) {
						t.Fatal(stream.Err())
					}
				}
				if s.Cancelled() != 0 {
					t.Fatal("the call had ended before it was cancelled")
				}
				cancel()
				if stream.Next() || !errors.Is(stream.Err(), context.Canceled) {
					t.Errorf("got %v", stream.Err())
				}
				s.WaitCancelled(1, patience)
			})

			t.Run("by closing the stream", func(t *testing.T) {
				s.Reset()
				s.Script(fakeprovider.Always(fakeprovider.EndlessEvents(event, 5*time.Millisecond)))
				stream := client.Chat.Completions.NewStreaming(t.Context(), question("gpt-4o"))
				if !next(t, stream) {
					t.Fatal(stream.Err())
				}
				_ = stream.Close()
				s.WaitCancelled(1, patience)
			})

			t.Run("by a timeout of the SDK", func(t *testing.T) {
				s.Reset()
				s.Script(fakeprovider.Always(whole.HangBeforeHead()))
				_, err := client.Chat.Completions.New(t.Context(), question("gpt-4o"), option.WithRequestTimeout(300*time.Millisecond))
				if !errors.Is(err, context.DeadlineExceeded) {
					t.Errorf("got %v", err)
				}
				s.WaitCancelled(1, patience)
			})
		})
	}
}
