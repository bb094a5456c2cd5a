package sdk

import (
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/openai/openai-go/v3/option"

	"github.com/caddy-llm/gateway/integration/fakeprovider"
	"github.com/caddy-llm/gateway/integration/fixtures"
	"github.com/caddy-llm/gateway/integration/gateway"
)

// twoProviders tries the second when the first fails.
const twoProviders = `{
	llm {
		status_listen off
		provider first {{.First}}/one/v1/chat/completions {
			model model-of-first
			api_key {env.MAIN_KEY}
			first_byte_timeout 500ms
			header X-Account first
			tls_trust_pool file {{.CA}}
		}
		provider second {{.Second}}/two/v1/chat/completions {
			model model-of-second
			api_key {env.OTHER_KEY}
			tls_trust_pool file {{.CA}}
		}
	}
}

http://:{{.Port}} {
	llm_route {
		rule both {
			to first
			to second priority 1
			attempts 2
		}
	}
}
`

// A failed first provider is invisible to the SDK, which does not retry: it
// gets the second one's answer, asked for with its own path, key and model.
func TestFallback(t *testing.T) {
	whole := fixtures.Get(t, "openai/chat.sse").Reply()
	failure := func(id string) fakeprovider.Reply { return fixtures.Get(t, id).Reply() }
	for name, first := range map[string]fakeprovider.Reply{
		"429":               failure("openai/error-429.json"),
		"500":               failure("openai/error-500.json"),
		"503":               failure("openai/error-503.json"),
		"502 of a proxy":    fakeprovider.Bytes(502, "text/html", []byte("<html>bad gateway</html>")),
		"529":               failure("openai/error-503.json").WithStatus(529),
		"closed connection": whole.CloseBeforeHead(),
		"reset":             whole.ResetBeforeHead(),
		"silence":           whole.HangBeforeHead(),
	} {
		t.Run(name, func(t *testing.T) {
			one, two := fakeprovider.New(t), fakeprovider.New(t)
			g := serve(t, twoProviders, map[string]any{"First": one.URL(), "Second": two.URL(), "CA": one.CAFile()})
			one.Script(fakeprovider.Always(first.WithHeader("X-Of-First", "1")))

			var res *http.Response
			got, err := g.client().Chat.Completions.New(t.Context(), question("gpt-4o"), option.WithResponseInto(&res))
			if err != nil {
				t.Fatal(err)
			}
			if got.Model != "model-of-second" || res.Header.Get("X-Of-First") != "" {
				t.Errorf("%s %v", got.RawJSON(), res.Header)
			}
			if one.Count() < 1 || two.Count() != 1 { // a cut connection may be tried again
				t.Fatalf("asked %d and %d times", one.Count(), two.Count())
			}
			a, b := one.Last(), two.Last()
			checkKeys(t, a, providerKey)
			checkKeys(t, b, otherKey)
			if a.Path != "/one/v1/chat/completions" || a.Model != "model-of-first" || b.Path != "/two/v1/chat/completions" || b.Model != "model-of-second" {
				t.Errorf("asked for %q at %s, then %q at %s", a.Model, a.Path, b.Model, b.Path)
			}
			if all := fmt.Sprint(b.Header, string(b.Body)); strings.Contains(all, "first") {
				t.Errorf("the second provider learns of the first: %s", all)
			}

			stream := read(g.client().Chat.Completions.NewStreaming(t.Context(), question("gpt-4o")))
			if stream.err != nil || stream.text != "Hello from the fake provider." {
				t.Errorf("a stream: %q %v", stream.text, stream.err)
			}
		})
	}
}

// What would fail with any provider goes to one alone.
func TestNoFallbackForTheClientsMistake(t *testing.T) {
	one, two := fakeprovider.New(t), fakeprovider.New(t)
	g := serve(t, twoProviders, map[string]any{"First": one.URL(), "Second": two.URL(), "CA": one.CAFile()})
	one.Script(fakeprovider.Always(fixtures.Get(t, "openai/error-400.json").Reply()))
	_, err := g.client().Chat.Completions.New(t.Context(), question("gpt-4o"))
	if e := apiError(t, err); e.StatusCode != 400 || e.Code != "missing_required_parameter" {
		t.Errorf("%d %s", e.StatusCode, e.RawJSON())
	}
	if two.Count() != 0 {
		t.Errorf("the second provider was asked %d times", two.Count())
	}
}

// Nor is there a second attempt once a part of a stream is with the SDK.
func TestNoFallbackInsideAStream(t *testing.T) {
	one, two := fakeprovider.New(t), fakeprovider.New(t)
	g := serve(t, twoProviders, map[string]any{"First": one.URL(), "Second": two.URL(), "CA": one.CAFile()})
	one.Script(fakeprovider.Always(fixtures.Get(t, "openai/chat.sse").Reply().CloseAfter(2)))
	got := read(g.client().Chat.Completions.NewStreaming(t.Context(), question("gpt-4o")))
	if got.err == nil || len(got.chunks) != 2 {
		t.Errorf("%d chunks, %v", len(got.chunks), got.err)
	}
	if two.Count() != 0 {
		t.Errorf("the second provider was asked %d times", two.Count())
	}
}

// When all fail, the SDK raises what the last provider said.
func TestAllProvidersFail(t *testing.T) {
	one, two := fakeprovider.New(t), fakeprovider.New(t)
	g := serve(t, twoProviders, map[string]any{"First": one.URL(), "Second": two.URL(), "CA": one.CAFile()})
	one.Script(fakeprovider.Always(fixtures.Get(t, "openai/error-503.json").Reply()))
	last := fixtures.Get(t, "openai/error-429.json")
	two.Script(fakeprovider.Always(last.Reply().WithHeader("X-Request-Id", "req_of_second")))
	_, err := g.client().Chat.Completions.New(t.Context(), question("gpt-4o"))
	e := apiError(t, err)
	if e.StatusCode != 429 || e.Code != last.Want.ErrorCode || e.Response.Header.Get("X-Request-Id") != "req_of_second" {
		t.Errorf("%d %s %v", e.StatusCode, e.RawJSON(), e.Response.Header)
	}
	if one.Count() != 1 || two.Count() != 1 {
		t.Errorf("asked %d and %d times", one.Count(), two.Count())
	}
}

func TestFallbackFromADeadAddress(t *testing.T) {
	two := fakeprovider.New(t)
	dead := fmt.Sprintf("https://127.0.0.1:%d", gateway.FreePort(t))
	g := serve(t, twoProviders, map[string]any{"First": dead, "Second": two.URL(), "CA": two.CAFile()})
	got, err := g.client().Chat.Completions.New(t.Context(), question("gpt-4o"))
	if err != nil || got.Model != "model-of-second" {
		t.Errorf("%v %v", got, err)
	}
	checkKeys(t, two.Last(), otherKey)
}
