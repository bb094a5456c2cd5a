package sdk

import (
	"bytes"
	"net/http"
	"strings"
	"testing"

	"github.com/openai/openai-go/v3/option"

	"github.com/caddy-llm/gateway/integration/fakeprovider"
	"github.com/caddy-llm/gateway/integration/fixtures"
)

// Answers in the shapes of all providers give the SDK the same through the
// gateway as without it.
func TestChat(t *testing.T) {
	s, g := serveOne(t)
	through, without := g.client(), direct(s)
	for _, f := range fixtures.Select(t, func(f fixtures.Fixture) bool {
		return f.Kind == "chat" && !f.Stream && f.Status == 200
	}) {
		t.Run(f.ID, func(t *testing.T) {
			s.Script(fakeprovider.Always(f.Reply()))
			var res *http.Response
			got, err := through.Chat.Completions.New(t.Context(), question("gpt-4o"), option.WithResponseInto(&res))
			if err != nil {
				t.Fatal(err)
			}
			want, err := without.Chat.Completions.New(t.Context(), question("gpt-4o"))
			if err != nil {
				t.Fatal(err)
			}
			if got.RawJSON() != want.RawJSON() {
				t.Errorf("got %s\nwant %s", got.RawJSON(), want.RawJSON())
			}
			for name := range f.Header {
				if res.Header.Get(name) != f.Header.Get(name) {
					t.Errorf("header %s: %q, want %q", name, res.Header.Get(name), f.Header.Get(name))
				}
			}
			if len(got.Choices) == 0 {
				return // an error under status 200
			}
			if content := got.Choices[0].Message.Content; f.Want.Content != "" && content != f.Want.Content {
				t.Errorf("content %q, want %q", content, f.Want.Content)
			}
			if u := f.Want.Usage; u != nil && (got.Usage.PromptTokens != u.Prompt || got.Usage.CompletionTokens != u.Completion) {
				t.Errorf("usage %+v, want %+v", got.Usage, u)
			}
		})
	}
}

// Without a configured model the body is the SDK's, byte for byte, and of its
// headers only the credential changes.
func TestTheProviderGetsWhatTheSDKSent(t *testing.T) {
	s, g := serveOne(t, fakeprovider.HTTP1Only())
	if _, err := g.client().Chat.Completions.New(t.Context(), question("gpt-4o")); err != nil {
		t.Fatal(err)
	}
	got := s.Last()
	if _, err := direct(s).Chat.Completions.New(t.Context(), question("gpt-4o")); err != nil {
		t.Fatal(err)
	}
	want := s.Last()

	checkKeys(t, got, providerKey)
	if !bytes.Equal(got.Body, want.Body) {
		t.Errorf("body %s\nwant %s", got.Body, want.Body)
	}
	if got.Method != "POST" || got.Path != "/v1/chat/completions" || got.RawQuery != "" || got.Host != s.Addr() {
		t.Errorf("%s %s ? %s at %s", got.Method, got.Path, got.RawQuery, got.Host)
	}
	want.Header.Del("Authorization")
	got.Header.Del("Authorization")
	want.Header.Set("Accept-Encoding", "identity") // the gateway reads the response
	if mark := got.Header.Get("Cdn-Loop"); !strings.HasPrefix(mark, "llm-gateway-") {
		t.Errorf("the mark of loops is %q", mark)
	}
	got.Header.Del("Cdn-Loop")
	for name := range want.Header {
		if got.Header.Get(name) != want.Header.Get(name) {
			t.Errorf("header %s: %q, want %q", name, got.Header.Get(name), want.Header.Get(name))
		}
	}
	for name := range got.Header {
		if _, ok := want.Header[name]; !ok {
			t.Errorf("the gateway added the header %s", name)
		}
	}
}

func TestConfiguredModel(t *testing.T) {
	const config = `{
	llm {
		status_listen off
		provider main {{.Main}}/api/v3/chat/completions?tenant=7 {
			model qwen1.5-72b-chat
			api_key {env.MAIN_KEY}
			tls_trust_pool file {{.CA}}
			for vip-route {
				model qwen-turbo
				api_key {env.OTHER_KEY}
			}
		}
	}
}

http://:{{.Port}} {
	llm_route {
		rule vip-route {
			match header User-Type subscriber
			to main
		}
		rule other {
			to main
		}
	}
}
`
	s := fakeprovider.New(t)
	g := serve(t, config, map[string]any{"Main": s.URL(), "CA": s.CAFile()})
	for _, c := range []struct {
		name, key, model string
		options          []option.RequestOption
	}{
		{"the default", providerKey, "qwen1.5-72b-chat", nil},
		{"for a rule", otherKey, "qwen-turbo", []option.RequestOption{option.WithHeader("user-type", "subscriber")}},
	} {
		t.Run(c.name, func(t *testing.T) {
			options := append(c.options, option.WithQuery("tenant", "8"))
			answer, err := g.client(options...).Chat.Completions.New(t.Context(), question("gpt-4o"))
			if err != nil {
				t.Fatal(err)
			}
			if answer.Model != c.model { // the provider names what it was asked for
				t.Errorf("model %q, want %q", answer.Model, c.model)
			}
			r := s.Last()
			checkKeys(t, r, c.key)
			if r.Path != "/api/v3/chat/completions" || r.RawQuery != "tenant=7" {
				t.Errorf("the provider was asked at %s?%s", r.Path, r.RawQuery)
			}
			if r.Model != c.model || strings.Contains(string(r.Body), "gpt-4o") {
				t.Errorf("body %s", r.Body)
			}
		})
	}
}

// People give an SDK the base URL of a gateway with and without /v1.
func TestBaseURL(t *testing.T) {
	s, g := serveOne(t)
	for _, base := range []string{"/v1", "/v1/", "", "/", "/openai/v1", "/compatible-mode/v1"} {
		t.Run(base, func(t *testing.T) {
			client := sdkAt(g.URL + base)
			s.Script(fakeprovider.Default)
			if _, err := client.Chat.Completions.New(t.Context(), question("gpt-4o")); err != nil {
				t.Error("chat:", err)
			} else if got := s.Last().Path; got != "/v1/chat/completions" {
				t.Error("chat went to", got)
			}
			s.Script(fakeprovider.Always(fixtures.Get(t, "openai/embeddings.json").Reply()))
			if _, err := client.Embeddings.New(t.Context(), embedding); err != nil {
				t.Error("embeddings:", err)
			} else if got := s.Last().Path; got != "/v1/embeddings" {
				t.Error("embeddings went to", got)
			}
			s.Script(fakeprovider.Always(fixtures.Get(t, "openai/models.json").Reply()))
			if page, err := client.Models.List(t.Context()); err != nil || len(page.Data) == 0 {
				t.Error("models:", page, err)
			} else if one, err := client.Models.Get(t.Context(), page.Data[0].ID); err != nil || one.ID != page.Data[0].ID {
				t.Error("one model:", one, err)
			}
		})
	}
}
