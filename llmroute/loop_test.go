package llmroute

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"strings"
	"sync/atomic"
	"testing"
)

// TestALoopEndsAtItsFirstReturn has a provider lead back to the gateway, directly and
// through proxies that add names of their own.
func TestALoopEndsAtItsFirstReturn(t *testing.T) {
	for proxies := range 4 {
		t.Run(fmt.Sprintf("%d proxies", proxies), func(t *testing.T) {
			var target atomic.Pointer[url.URL]
			var returned atomic.Int64
			entry := httptest.NewServer(&httputil.ReverseProxy{
				Rewrite: func(r *httputil.ProxyRequest) {
					returned.Add(1)
					for range proxies {
						r.Out.Header.Add("Cdn-Loop", "other; loops=1")
					}
					r.SetURL(target.Load())
				},
			})
			t.Cleanup(entry.Close)
			at, _ := url.Parse(entry.URL)
			p, q := unique("p"), unique("q")
			looped := fmt.Sprintf(`{"kind":"openai","host":%q,"scheme":"http","port":%s}`, at.Hostname(), at.Port())
			g := newGateway(t, providers(p, looped, q, looped),
				fmt.Sprintf(`{"rules":[{"backends":[{"provider":%q},{"provider":%q}],"attempts":2}]}`, p, q))
			back, _ := url.Parse(g.URL)
			target.Store(back)
			res, body := g.post(t, chat, "CDN-Loop", "cloudflare; loops=1")
			if res.StatusCode != http.StatusLoopDetected || !strings.Contains(body, `"code":"loop_detected"`) || res.Header.Get("X-Should-Retry") != "false" {
				t.Errorf("got %d %v %s", res.StatusCode, res.Header, body)
			}
			if n := returned.Load(); n != 1 {
				t.Errorf("%d requests came back, want 1", n)
			}
			models, err := http.Get(g.URL + "/v1/models")
			if err != nil {
				t.Fatal(err)
			}
			_, _ = io.Copy(io.Discard, models.Body)
			models.Body.Close()
			if n := returned.Load(); n > 3 { // one of each provider
				t.Errorf("%d requests came back", n)
			}
		})
	}
}

func TestAChainOfGatewaysIsNoLoop(t *testing.T) {
	u := newUpstream(t, answers("x"))
	p := unique("p")
	g := newGateway(t, providers(p, u.provider("")), fmt.Sprintf(`{"rules":[{"backends":[{"provider":%q}]}]}`, p))
	res, body := g.post(t, chat, "CDN-Loop", "llm-gateway-a, llm-gateway-b, cloudflare")
	if res.StatusCode != http.StatusOK {
		t.Fatalf("got %d %s", res.StatusCode, body)
	}
	if got := (<-u.requests).header.Get("Cdn-Loop"); !strings.HasPrefix(got, "llm-gateway-a, llm-gateway-b, cloudflare, llm-gateway-") {
		t.Errorf("the provider got %q", got)
	}
	if res, body := g.post(t, chat, "CDN-Loop", strings.Repeat("llm-gateway-a, ", 6)); res.StatusCode != http.StatusLoopDetected || u.count() != 0 {
		t.Errorf("got %d %s", res.StatusCode, body)
	}
}
