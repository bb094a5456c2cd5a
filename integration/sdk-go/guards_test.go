package sdk

import (
	"strings"
	"testing"

	"github.com/anthropics/anthropic-sdk-go"
	"github.com/anthropics/anthropic-sdk-go/option"
	"github.com/openai/openai-go/v3"
	"github.com/openai/openai-go/v3/responses"

	"github.com/caddy-llm/gateway/integration/fakeprovider"
	"github.com/caddy-llm/gateway/integration/fixtures"
)

// guardedSite has a guard that denies what the providers' streams say in their middle.
const guardedSite = `{
	llm {
		status_listen off
		provider main {{.Main}}/v1/chat/completions {
			api responses
			api messages
			api_key {env.MAIN_KEY}
			tls_trust_pool file {{.CA}}
		}
		guard policy {
			deny regex "six|over the" as times
			on_response window 16
		}
	}
}

http://:{{.Port}} {
	llm_route {
		guards policy
		to main
	}
}
`

// TestGuardDeniesInAStream holds that SDKs raise an exception when a guard denies in the
// middle of a stream, and never end it as if it were whole.
func TestGuardDeniesInAStream(t *testing.T) {
	s := fakeprovider.New(t)
	g := serve(t, guardedSite, map[string]any{"Main": s.URL(), "CA": s.CAFile()})
	check := func(t *testing.T, err error, text string) {
		t.Helper()
		if err == nil || !strings.Contains(err.Error(), "guard policy denies the response") {
			t.Errorf("the SDK says %v", err)
		}
		if strings.Contains(text, "six") || strings.Contains(text, "over") {
			t.Errorf("the client has %q", text)
		}
	}
	t.Run("chat", func(t *testing.T) {
		s.Script(fakeprovider.Always(fixtures.Get(t, "openai/chat.sse").Reply()))
		got := read(g.client().Chat.Completions.NewStreaming(t.Context(), question("gpt-4o")))
		check(t, got.err, got.text)
	})
	t.Run("responses", func(t *testing.T) {
		s.Script(fakeprovider.Always(fixtures.Get(t, "openai/responses.sse").Reply()))
		stream := g.client().Responses.NewStreaming(t.Context(), responses.ResponseNewParams{
			Model: "gpt-4o", Input: responses.ResponseNewParamsInputUnion{OfString: openai.String("When does the tide turn?")},
		})
		text := ""
		for stream.Next() {
			text += stream.Current().Delta
		}
		check(t, stream.Err(), text)
	})
	t.Run("messages", func(t *testing.T) {
		client := anthropic.NewClient(option.WithBaseURL(g.URL), option.WithAPIKey(sdkKey), option.WithMaxRetries(0))
		s.Script(fakeprovider.Always(fakeprovider.Stream([]byte(messageStream))))
		stream := client.Messages.NewStreaming(t.Context(), tideQuestion("claude-sonnet-5"))
		text := ""
		for stream.Next() {
			text += stream.Current().RawJSON()
		}
		check(t, stream.Err(), text)
	})
	t.Run("plain", func(t *testing.T) {
		s.Script(fakeprovider.Always(fakeprovider.Chat("gpt-4o", "At six.", fakeprovider.Usage{})))
		_, err := g.client().Chat.Completions.New(t.Context(), question("gpt-4o"))
		if failure := apiError(t, err); failure.StatusCode != 403 || failure.Code != "content_policy" {
			t.Errorf("%v", err)
		}
	})
}
