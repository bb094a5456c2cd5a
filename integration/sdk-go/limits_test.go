package sdk

import (
	"errors"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/anthropics/anthropic-sdk-go"
	anthropicoption "github.com/anthropics/anthropic-sdk-go/option"
	"github.com/openai/openai-go/v3/option"

	"github.com/caddy-llm/gateway/integration/fakeprovider"
)

// limitedSite has a limit of each kind, which the path chooses.
const limitedSite = `{
	llm {
		status_listen off
		provider main {{.Main}}/v1/chat/completions {
			api_key {env.MAIN_KEY}
			tls_trust_pool file {{.CA}}
		}
		limits {
			limit rate {
				rules rate
				requests 1 per 2s
			}
			limit budget {
				rules budget
				requests 1 per month
			}
			limit small {
				rules small
				tokens 10 per 1m
			}
		}
	}
}

http://:{{.Port}} {
	handle_path /rate/* {
		llm_route {
			rule rate {
				to main
			}
		}
	}
	handle_path /budget/* {
		llm_route {
			rule budget {
				to main
			}
		}
	}
	handle_path /small/* {
		llm_route {
			rule small {
				to main
			}
		}
	}
}
`

// anthropicLimitedSite is limitedSite with Anthropic's API.
const anthropicLimitedSite = `{
	llm {
		status_listen off
		provider claude {{.Main}}/v1/messages {
			kind anthropic
			api_key {env.MAIN_KEY}
			tls_trust_pool file {{.CA}}
		}
		limits {
			limit rate {
				rules rate
				requests 1 per 2s
			}
			limit budget {
				rules budget
				requests 1 per month
			}
		}
	}
}

http://:{{.Port}} {
	handle_path /rate/* {
		llm_route {
			rule rate {
				to claude
			}
		}
	}
	handle_path /budget/* {
		llm_route {
			rule budget {
				to claude
			}
		}
	}
}
`

// TestLimits has the SDK meet both kinds of refusal: it waits for a rate, and gives up
// at once for a budget and for what will never fit.
func TestLimits(t *testing.T) {
	s := fakeprovider.New(t)
	g := serve(t, limitedSite, map[string]any{"Main": s.URL(), "CA": s.CAFile()})
	for _, c := range []struct {
		name       string
		first      int // status of a first request
		kind, code string
		tries      int // of a second one, with up to two retries
		waits      bool
	}{
		{"rate", 200, "requests", "rate_limit_exceeded", 2, true},
		{"budget", 200, "insufficient_quota", "insufficient_quota", 1, false},
		{"small", 429, "tokens", "rate_limit_exceeded", 1, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			tries := 0
			client := g.client(option.WithBaseURL(g.URL+"/"+c.name+"/v1"), option.WithMaxRetries(2),
				option.WithMiddleware(func(r *http.Request, next option.MiddlewareNext) (*http.Response, error) {
					tries++
					return next(r)
				}))
			_, err := client.Chat.Completions.New(t.Context(), question("gpt-4o"))
			if c.first == 200 && err != nil || c.first != 200 && apiError(t, err).StatusCode != c.first {
				t.Fatalf("the first request: %v", err)
			}
			tries = 0
			began := time.Now()
			_, err = client.Chat.Completions.New(t.Context(), question("gpt-4o"))
			took := time.Since(began)
			if tries != c.tries {
				t.Errorf("the SDK tried %d times, want %d", tries, c.tries)
			}
			if c.waits {
				if err != nil || took < 900*time.Millisecond || took > patience {
					t.Errorf("after %s: %v", took, err)
				}
				_, err = client.Chat.Completions.New(t.Context(), question("gpt-4o"), option.WithMaxRetries(0))
			} else if took > time.Second {
				t.Errorf("the SDK waited %s", took)
			}
			e := checkOwn(t, err, http.StatusTooManyRequests, c.kind, c.code)
			if after := e.Response.Header.Get("Retry-After"); (after != "") != c.waits || after > "2" {
				t.Errorf("Retry-After is %q", after)
			}
			if e.Response.Header.Get("RateLimit-Policy") == "" {
				t.Errorf("headers %v", e.Response.Header)
			}
		})
	}
	stream := g.client(option.WithBaseURL(g.URL+"/budget/v1")).Chat.Completions.NewStreaming(t.Context(), question("gpt-4o"))
	defer stream.Close()
	if stream.Next() {
		t.Errorf("a stream has %+v", stream.Current())
	}
	_ = checkOwn(t, stream.Err(), http.StatusTooManyRequests, "insufficient_quota", "insufficient_quota")
}

// TestAnthropicLimits has Anthropic's SDK meet both kinds of refusal. It sleeps as long as Retry-After says, so a budget
// must not say when it begins again.
func TestAnthropicLimits(t *testing.T) {
	s := fakeprovider.New(t)
	s.Script(fakeprovider.Always(fakeprovider.JSON(200, message)))
	g := serve(t, anthropicLimitedSite, map[string]any{"Main": s.URL(), "CA": s.CAFile()})
	for _, c := range []struct {
		path  string
		tries int // of a second request, with up to two retries
		waits bool
	}{{"rate", 2, true}, {"budget", 1, false}} {
		tries := 0
		client := anthropic.NewClient(anthropicoption.WithBaseURL(g.URL+"/"+c.path), anthropicoption.WithAPIKey(sdkKey), anthropicoption.WithMaxRetries(2),
			anthropicoption.WithMiddleware(func(r *http.Request, next anthropicoption.MiddlewareNext) (*http.Response, error) {
				tries++
				return next(r)
			}))
		if _, err := client.Messages.New(t.Context(), tideQuestion("claude-sonnet-5")); err != nil {
			t.Fatalf("%s: the first request: %v", c.path, err)
		}
		tries = 0
		began := time.Now()
		_, err := client.Messages.New(t.Context(), tideQuestion("claude-sonnet-5"))
		took := time.Since(began)
		if tries != c.tries {
			t.Errorf("%s: the SDK tried %d times, want %d", c.path, tries, c.tries)
		}
		if c.waits {
			if err != nil || took < 900*time.Millisecond || took > patience {
				t.Errorf("%s: after %s: %v", c.path, took, err)
			}
			_, err = client.Messages.New(t.Context(), tideQuestion("claude-sonnet-5"), anthropicoption.WithMaxRetries(0))
		} else if took > time.Second {
			t.Errorf("%s: the SDK waited %s", c.path, took)
		}
		var failed *anthropic.Error
		if !errors.As(err, &failed) || failed.StatusCode != http.StatusTooManyRequests || !strings.Contains(failed.RawJSON(), `"type":"rate_limit_error"`) {
			t.Fatalf("%s: %v", c.path, err)
		}
		header := failed.Response.Header
		if after := header.Get("Retry-After"); (after != "") != c.waits || header.Get("Anthropic-Ratelimit-Requests-Limit") != "1" || header.Get("X-Ratelimit-Limit-Requests") != "" {
			t.Errorf("%s: headers %v", c.path, header)
		}
	}
}
