package sdk

import (
	"bytes"
	"errors"
	"io"
	"net/http"
	"testing"
	"time"

	"github.com/openai/openai-go/v3"
	"github.com/openai/openai-go/v3/option"

	"github.com/caddy-llm/gateway/integration/fakeprovider"
	"github.com/caddy-llm/gateway/integration/fixtures"
)

// Errors in the shapes of all providers are the same to the SDK through the
// gateway as without it: status, body, request id, rate limits.
func TestProviderErrors(t *testing.T) {
	s, g := serveOne(t)
	through, without := g.client(), direct(s)
	for _, f := range fixtures.Select(t, func(f fixtures.Fixture) bool { return f.Kind == "error" && f.Status >= 400 }) {
		t.Run(f.ID, func(t *testing.T) {
			s.Script(fakeprovider.Always(f.Reply()))
			var res *http.Response
			_, got := through.Chat.Completions.New(t.Context(), question("gpt-4o"), option.WithResponseInto(&res))
			_, want := without.Chat.Completions.New(t.Context(), question("gpt-4o"))
			if got == nil || want == nil || got.Error() != want.Error() {
				t.Fatalf("error %v, want %v", got, want)
			}
			if body, err := io.ReadAll(res.Body); res.StatusCode != f.Status || err != nil || !bytes.Equal(body, f.Body) {
				t.Errorf("%d %s %v, want %d %s", res.StatusCode, body, err, f.Status, f.Body)
			}
			for name := range f.Header {
				if res.Header.Get(name) != f.Header.Get(name) {
					t.Errorf("header %s: %q, want %q", name, res.Header.Get(name), f.Header.Get(name))
				}
			}
			var expect *openai.Error
			if !errors.As(want, &expect) {
				return // a shape that the SDK cannot read from the provider either
			}
			e := apiError(t, got)
			if e.RawJSON() != expect.RawJSON() || e.StatusCode != f.Status || e.Message != expect.Message {
				t.Errorf("got %d %s, want %d %s", e.StatusCode, e.RawJSON(), f.Status, expect.RawJSON())
			}
			stream := through.Chat.Completions.NewStreaming(t.Context(), question("gpt-4o"))
			if stream.Next() || apiError(t, stream.Err()).RawJSON() != expect.RawJSON() {
				t.Errorf("a stream that cannot begin: %v", stream.Err())
			}
		})
	}
}

// The request id of the provider is what its support asks for.
func TestRequestIDOfAnError(t *testing.T) {
	s, g := serveOne(t)
	s.Script(fakeprovider.Always(fixtures.Get(t, "openai/error-429.json").Reply().
		WithHeader("X-Request-Id", "req_of_the_provider").WithHeader("Retry-After", "7")))
	_, err := g.client().Chat.Completions.New(t.Context(), question("gpt-4o"))
	e := apiError(t, err)
	if e.StatusCode != 429 || e.Code != "rate_limit_exceeded" || e.Type != "requests" {
		t.Errorf("%d %s", e.StatusCode, e.RawJSON())
	}
	header := e.Response.Header
	if header.Get("X-Request-Id") != "req_of_the_provider" || header.Get("Retry-After") != "7" {
		t.Errorf("%v", header)
	}
}

// The SDK repeats a request when and as often as it does without a gateway.
func TestRetriesOfTheSDK(t *testing.T) {
	s, g := serveOne(t)
	client := g.client(option.WithMaxRetries(2))
	for _, c := range []struct {
		id     string
		header string
		asked  int
	}{
		{"openai/error-429.json", "", 3},
		{"openai/error-500.json", "", 3},
		{"openai/error-400.json", "", 1},
		{"openai/error-401.json", "", 1},
		{"openai/error-429-quota.json", "false", 1},
	} {
		t.Run(c.id+c.header, func(t *testing.T) {
			before := s.Count()
			reply := fixtures.Get(t, c.id).Reply().WithHeader("Retry-After-Ms", "10")
			if c.header != "" {
				reply = reply.WithHeader("X-Should-Retry", c.header)
			}
			s.Script(fakeprovider.Always(reply))
			if _, err := client.Chat.Completions.New(t.Context(), question("gpt-4o")); err == nil {
				t.Error("no error")
			}
			if n := s.Count() - before; n != c.asked {
				t.Errorf("the provider was asked %d times, want %d", n, c.asked)
			}
		})
	}

	t.Run("success at last", func(t *testing.T) {
		busy := fixtures.Get(t, "openai/error-429.json").Reply().WithHeader("Retry-After-Ms", "10")
		answer := fixtures.Get(t, "openai/chat.json")
		s.Script(fakeprovider.Sequence(busy, answer.Reply()))
		began := time.Now()
		got, err := client.Chat.Completions.New(t.Context(), question("gpt-4o"))
		if err != nil || got.Choices[0].Message.Content != answer.Want.Content {
			t.Errorf("%v %v", got, err)
		}
		if took := time.Since(began); took > patience {
			t.Errorf("it took %v", took)
		}
	})
}

// An error inside a stream that the provider reports itself is passed on.
func TestErrorEventOfTheProvider(t *testing.T) {
	s, g := serveOne(t)
	for _, id := range []string{"openai/chat-error.sse", "openrouter/chat-error.sse", "vllm/chat-error.sse"} {
		f := fixtures.Get(t, id)
		s.Script(fakeprovider.Always(f.Reply()))
		got := read(g.client().Chat.Completions.NewStreaming(t.Context(), question("gpt-4o")))
		want := read(direct(s).Chat.Completions.NewStreaming(t.Context(), question("gpt-4o")))
		if got.err == nil || got.err.Error() != want.err.Error() || got.text != want.text {
			t.Errorf("%s: %q %v, want %q %v", id, got.text, got.err, want.text, want.err)
		}
	}
}
