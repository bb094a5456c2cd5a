package operations_test

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	fp "github.com/caddy-llm/gateway/integration/fakeprovider"
	"github.com/caddy-llm/gateway/integration/gateway"
)

const matcherConfig = `{
	llm {
		status_listen off
		provider up {{.Up}} {
			model set-by-config
		}
	}
}
http://:{{.Port}} {
	@fast llm_model fast-* tiny
	@routed llm_model gpt-* *-mini
	handle @fast {
		reverse_proxy {{.Fast}}
	}
	handle @routed {
		llm_route {
			rule special {
				match llm_model gpt-special
				to up
			}
			rule rest {
				to up
			}
		}
	}
	handle {
		reverse_proxy {{.Rest}}
	}
}
`

// matched is a gateway that sends requests to one of three servers, by model.
type matched struct {
	*gateway.Gateway
	port           int
	fast, rest, up *fp.Server
}

func startMatched(t *testing.T) *matched {
	t.Helper()
	m := &matched{port: gateway.FreePort(t)}
	for _, s := range []**fp.Server{&m.fast, &m.rest, &m.up} {
		*s = fp.New(t, fp.Plain(), fp.HTTP1Only())
	}
	m.Gateway = gateway.Start(t, gateway.Render(t, matcherConfig, map[string]any{
		"Port": m.port, "Up": m.up.URL(), "Fast": strings.TrimPrefix(m.fast.URL(), "http://"), "Rest": strings.TrimPrefix(m.rest.URL(), "http://"),
	}))
	return m
}

// llm_model outside of llm_route reads the body and leaves it whole for whatever
// handles the request.
func TestModelMatcherLeavesTheBody(t *testing.T) {
	m := startMatched(t)
	filler := `"x":"` + strings.Repeat("é😀\\u00e9 ", 60_000) + `"` // about a megabyte
	for _, tc := range []struct {
		name, method, path, contentType, body string
		want                                  *fp.Server
	}{
		{"a match", "POST", "/v1/chat/completions?a=b", "application/json", `{"model":"fast-1", "messages" : []}`, m.fast},
		{"a match with a large body", "POST", "/any/v1/chat/completions", "application/json", `{` + filler + `,"model":"tiny"}`, m.fast},
		{"no match", "POST", "/v1/chat/completions", "application/json", `{"model":"slow",` + filler + `}`, m.rest},
		{"no model", "POST", "/", "application/json", `{"messages":[]}`, m.rest},
		{"a model that is no text", "POST", "/", "application/json", `{"model":5}`, m.rest},
		{"two models", "POST", "/", "application/json", `{"model":"fast-1","model":"slow"}`, m.rest},
		{"no JSON", "POST", "/", "application/json", `model=fast-1`, m.rest},
		{"JSON cut short", "POST", "/", "application/json", `{"model":"fast-1",`, m.rest},
		{"a form", "POST", "/", "application/x-www-form-urlencoded", `model=fast-1`, m.rest},
		{"a form that looks like JSON", "POST", "/", "text/plain", `{"model":"fast-1"}`, m.rest},
		{"bytes", "POST", "/", "application/octet-stream", "\x00\xff{\"model\":\"fast-1\"}", m.rest},
		{"an empty body", "POST", "/", "application/json", ``, m.rest},
		{"another method", "PUT", "/", "application/json", `{"model":"fast-1"}`, m.rest},
		{"no body", "GET", "/v1/models", "", ``, m.rest},
		{"a path that llm_route does not serve", "POST", "/v1/messages", "application/json", `{"model":"fast-1"}`, m.fast},
	} {
		t.Run(tc.name, func(t *testing.T) {
			for _, s := range []*fp.Server{m.fast, m.rest, m.up} {
				s.Reset()
			}
			headers := []string{"X-Api-Key", "for-the-proxy", "Authorization", "Bearer for-the-proxy"}
			if tc.contentType != "" {
				headers = append(headers, "Content-Type", tc.contentType)
			}
			if a := send(t, tc.method, m.port, tc.path, tc.body, headers...); a.status != 200 {
				t.Errorf("got %d %s", a.status, a.body)
			}
			if tc.want.Count() != 1 || m.fast.Count()+m.rest.Count()+m.up.Count() != 1 {
				t.Fatalf("fast received %d requests, rest %d, the provider %d", m.fast.Count(), m.rest.Count(), m.up.Count())
			}
			r := tc.want.Last()
			if string(r.Body) != tc.body || r.Target != tc.path || r.Header.Get("Content-Type") != tc.contentType && tc.body != "" || r.Header.Get("Authorization") != "Bearer for-the-proxy" {
				t.Errorf("%s %s with %d bytes instead of %d: %.200q", r.Method, r.Target, len(r.Body), len(tc.body), r.Body)
			}
			if r.Method == "POST" && r.ContentLength != int64(len(tc.body)) {
				t.Errorf("Content-Length %d for %d bytes", r.ContentLength, len(tc.body))
			}
		})
	}
}

// llm_route and its own llm_model see what a matcher outside has read.
func TestModelMatcherBeforeLLMRoute(t *testing.T) {
	m := startMatched(t)
	for model, rule := range map[string]string{"gpt-special": "special", "gpt-4o": "rest", "o4-mini": "rest"} {
		body := fmt.Sprintf(`{ "big":12345678901234567890,"model" : "%s"}`, model)
		if a := post(t, m.port, "/v1/chat/completions", body); a.status != 200 {
			t.Fatalf("%s: %d %s", model, a.status, a.body)
		}
		if got := string(m.up.Last().Body); got != strings.Replace(body, model, "set-by-config", 1) {
			t.Errorf("%s: the provider received %s", model, got)
		}
		if n := sampleOf(t, m, rule); n == 0 {
			t.Errorf("%s: rule %s was not used", model, rule)
		}
	}
	if n := sampleOf(t, m, "rest"); n != 2 {
		t.Errorf("the rule rest was used %v times", n)
	}
}

// sampleOf is how often a rule was used.
func sampleOf(t *testing.T, m *matched, rule string) (n float64) {
	t.Helper()
	_, b := m.AdminGet("/metrics")
	for _, s := range parseMetrics(t, string(b))["llm_attempts_total"] {
		if s.labels["rule"] == rule {
			n += s.value
		}
	}
	return n
}

// A stream of reverse_proxy behind the matcher is as prompt as ever, and a body
// over the matcher's limit, or cut off, does not reach anybody in part.
func TestModelMatcherAtItsLimits(t *testing.T) {
	m := startMatched(t)
	t.Run("stream", func(t *testing.T) {
		m.fast.Script(fp.Always(fp.SSE("data: one\n\n").HangAfter(1)))
		req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, fmt.Sprintf("http://127.0.0.1:%d/", m.port), strings.NewReader(`{"model":"fast-1","stream":true}`))
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("Content-Type", "application/json")
		res, err := (&http.Client{Timeout: patience}).Do(req)
		if err != nil {
			t.Fatal(err)
		}
		defer res.Body.Close()
		first := make([]byte, len("data: one\n\n"))
		if _, err := io.ReadFull(res.Body, first); err != nil || string(first) != "data: one\n\n" {
			t.Errorf("got %q, %v", first, err)
		}
		_ = res.Body.Close()
		m.fast.WaitCancelled(1, patience)
	})
	t.Run("too large", func(t *testing.T) {
		m.rest.Reset()
		a, err := try(t.Context(), http.MethodPost, m.port, "/", `{"x":"`+strings.Repeat("a", 33<<20)+`","model":"fast-1"}`)
		if err != nil || a.status != http.StatusRequestEntityTooLarge {
			t.Errorf("got %d %.200s, %v", a.status, a.body, err)
		}
	})
	t.Run("cut off", func(t *testing.T) {
		c, err := new(net.Dialer).DialContext(t.Context(), "tcp", fmt.Sprintf("127.0.0.1:%d", m.port))
		if err != nil {
			t.Fatal(err)
		}
		_, _ = io.WriteString(c, "POST / HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 100\r\n\r\n{\"model\":\"slow\",")
		_ = c.Close()
		time.Sleep(200 * time.Millisecond)
	})
	if m.rest.Count() != 0 || m.up.Count() != 0 {
		t.Errorf("rest received %d requests, the provider %d", m.rest.Count(), m.up.Count())
	}
}
