// Package cache holds the cache of the built gateway to what it promises: a client never
// gets another's response, under load and when clients leave at any time.
package cache

import (
	"context"
	"crypto/sha256"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"os"
	"regexp"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/caddy-llm/gateway/integration/fakecache"
	"github.com/caddy-llm/gateway/integration/gateway"
	"github.com/caddy-llm/gateway/integration/redisserver"
	"github.com/caddy-llm/gateway/integration/testclient"
)

const config = `{
	llm {
		status_listen 127.0.0.1:{{.Status}}
		provider main {{.Provider}}/v1/chat/completions {
			model m
		}
		cache {
			ttl 10m
		}
	}
}

http://:{{.Port}} {
	llm_keys keys.txt
	llm_route {
		rule shared {
			match header X-Rule shared
			cache {
				scope everyone
			}
			to main
		}
		rule own {
			cache
			to main
		}
	}
}
`

// provider answers each request with another text, in pieces if a stream is asked for.
type provider struct {
	*httptest.Server
	asked atomic.Int64
	slow  atomic.Bool
}

func newProvider(t *testing.T) *provider {
	p := new(provider)
	p.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		text := fmt.Sprintf("response-%d-", p.asked.Add(1))
		if p.slow.Load() {
			time.Sleep(time.Duration(rand.IntN(20)) * time.Millisecond)
		}
		if !strings.Contains(string(body), `"stream":true`) {
			w.Header().Set("Content-Type", "application/json")
			fmt.Fprintf(w, `{"model":"m","choices":[{"index":0,"message":{"role":"assistant","content":%q},"finish_reason":"stop"}],"usage":{"prompt_tokens":10,"completion_tokens":20,"total_tokens":30}}`, text)
			return
		}
		w.Header().Set("Content-Type", "text/event-stream")
		for _, part := range []string{text, " and", " more"} {
			fmt.Fprintf(w, "data: {\"model\":\"m\",\"choices\":[{\"index\":0,\"delta\":{\"content\":%q}}]}\n\n", part)
			w.(http.Flusher).Flush()
			if p.slow.Load() {
				time.Sleep(time.Duration(rand.IntN(10)) * time.Millisecond)
			}
		}
		_, _ = io.WriteString(w, "data: {\"choices\":[{\"index\":0,\"delta\":{},\"finish_reason\":\"stop\"}]}\n\ndata: {\"choices\":[],\"usage\":{\"prompt_tokens\":10,\"completion_tokens\":20}}\n\ndata: [DONE]\n\n")
	}))
	t.Cleanup(p.Close)
	return p
}

// start starts a gateway that knows clients by the keys key-0 and on.
func start(t *testing.T, config string, p *provider, params map[string]any, clients int) (*gateway.Gateway, string, string) {
	t.Helper()
	ports := gateway.FreePorts(t, 2)
	all := map[string]any{"Provider": p.URL, "Port": ports[0], "Status": ports[1]}
	for name, value := range params {
		all[name] = value
	}
	keys := ""
	for i := range clients {
		keys += fmt.Sprintf("client-%d sha256:%x\n", i, sha256.Sum256([]byte(key(i))))
	}
	g := gateway.Start(t, gateway.Render(t, config, all), gateway.File("keys.txt", keys))
	return g, fmt.Sprintf("http://127.0.0.1:%d", ports[0]), fmt.Sprintf("http://127.0.0.1:%d", ports[1])
}

func key(client int) string { return fmt.Sprintf("key-of-client-%d", client) }

// requests are equal questions in each API, plain and streamed.
var requests = []struct{ path, body string }{
	{"/v1/chat/completions", `{"model":"m","messages":[{"role":"user","content":"hi"}]}`},
	{"/v1/chat/completions", `{"model":"m","stream":true,"messages":[{"role":"user","content":"hi"}]}`},
	{"/v1/messages", `{"model":"m","max_tokens":50,"messages":[{"role":"user","content":"hi"}]}`},
	{"/v1/messages", `{"model":"m","max_tokens":50,"stream":true,"messages":[{"role":"user","content":"hi"}]}`},
	{"/v1/responses", `{"model":"m","store":false,"input":"hi"}`},
	{"/v1/responses", `{"model":"m","store":false,"stream":true,"input":"hi"}`},
	{"/v1beta/models/m:generateContent", `{"contents":[{"role":"user","parts":[{"text":"hi"}]}]}`},
	{"/v1beta/models/m:streamGenerateContent", `{"contents":[{"role":"user","parts":[{"text":"hi"}]}]}`},
	{"/v1beta/models/m:streamGenerateContent?alt=sse", `{"contents":[{"role":"user","parts":[{"text":"hi"}]}]}`},
}

// TestEachAPI holds that in each API an equal request of the same client gets the same bytes,
// without the provider, that another client does not, and that a reload and a purge do what
// they should.
func TestEachAPI(t *testing.T) {
	p := newProvider(t)
	g, url, status := start(t, config, p, nil, 2)
	texts := map[string]string{}
	for i, r := range requests {
		first := testclient.Post(t, url+r.path, r.body, "Authorization", "Bearer "+key(0))
		if first.Status != 200 || first.Header.Get("Cache-Status") != "llm; fwd=miss" {
			t.Fatalf("%s: %+v", r.path, first)
		}
		again := testclient.Post(t, url+r.path, r.body, "Authorization", "Bearer "+key(0))
		if again.Body != first.Body || !strings.HasPrefix(again.Header.Get("Cache-Status"), "llm; hit; ttl=") || again.Header.Get("Content-Type") != first.Header.Get("Content-Type") {
			t.Errorf("%s: %+v and then %+v", r.path, first, again)
		}
		other := testclient.Post(t, url+r.path, r.body, "Authorization", "Bearer "+key(1))
		if other.Body == first.Body || strings.Contains(other.Header.Get("Cache-Status"), "hit") {
			t.Errorf("%s: another client: %+v", r.path, other)
		}
		if n := p.asked.Load(); n != int64(2*i+2) {
			t.Errorf("%s: the provider was asked %d times", r.path, n)
		}
		texts[r.path+r.body] = first.Body
	}
	if err := g.Reload(gateway.Render(t, strings.Replace(config, "ttl 10m", "ttl 20m", 1), map[string]any{"Provider": p.URL, "Port": strings.TrimPrefix(url, "http://127.0.0.1:"), "Status": strings.TrimPrefix(status, "http://127.0.0.1:")})); err != nil {
		t.Fatal(err)
	}
	for _, r := range requests {
		if again := testclient.Post(t, url+r.path, r.body, "Authorization", "Bearer "+key(0)); again.Body != texts[r.path+r.body] {
			t.Errorf("%s: after a reload: %+v", r.path, again)
		}
	}
	if status, body := g.AdminDo("POST", "/llm/cache/purge", "application/json", []byte(`{"client":"client-0"}`)); status != 200 || string(body) != fmt.Sprintf("{\"removed\":%d}\n", len(requests)) {
		t.Errorf("%d %s", status, body)
	}
	for i, want := range []string{"miss", "hit"} {
		if r := testclient.Post(t, url+requests[0].path, requests[0].body, "Authorization", "Bearer "+key(i)); !strings.Contains(r.Header.Get("Cache-Status"), want) {
			t.Errorf("client %d after a purge: %+v", i, r)
		}
	}
	shared := testclient.Post(t, url+requests[0].path, requests[0].body, "Authorization", "Bearer "+key(0), "X-Rule", "shared")
	if other := testclient.Post(t, url+requests[0].path, requests[0].body, "Authorization", "Bearer "+key(1), "X-Rule", "shared"); other.Body != shared.Body {
		t.Errorf("not shared: %+v and %+v", shared, other)
	}
	metrics := testclient.Get(t, status+"/metrics").Body
	for _, want := range []string{`llm_cache_requests_total{result="hit",rule="own"}`, `llm_cache_saved_tokens_total{rule="own",type="output"}`, "llm_cache_bytes "} {
		if !strings.Contains(metrics, want) {
			t.Errorf("no metric %s", want)
		}
	}
}

var told = regexp.MustCompile(`response-\d+-`)

// TestClientsThatLeave has many clients ask the same questions at once and leave at any time:
// no response reaches two clients, none is cut, and nobody waits for ever.
func TestClientsThatLeave(t *testing.T) {
	const clients, workers = 4, 24
	p := newProvider(t)
	p.slow.Store(true)
	_, url, status := start(t, config, p, nil, clients)
	var owners sync.Map
	var whole, hits atomic.Int64
	ctx, cancel := context.WithTimeout(t.Context(), 4*time.Second)
	defer cancel()
	var wg sync.WaitGroup
	for range workers {
		wg.Go(func() {
			for ctx.Err() == nil {
				client, r := rand.IntN(clients), requests[rand.IntN(len(requests))]
				body := strings.Replace(r.body, `hi"`, fmt.Sprintf(`hi %d"`, rand.IntN(8)), 1)
				own, leave := context.WithTimeout(context.Background(), time.Duration(5+rand.IntN(200))*time.Millisecond)
				req, _ := http.NewRequestWithContext(own, http.MethodPost, url+r.path, strings.NewReader(body))
				req.Header.Set("Content-Type", "application/json")
				req.Header.Set("Authorization", "Bearer "+key(client))
				if rand.IntN(4) == 0 {
					req.Header.Set("Cache-Control", "no-cache")
				}
				got := testclient.Try(http.DefaultClient, req)
				leave()
				if got.Status == 0 {
					continue // it left, before the response or in it
				}
				text := told.FindString(got.Body)
				if got.Status != 200 || text == "" {
					t.Errorf("%s: %+v", r.path, got)
					return
				}
				whole.Add(1)
				if strings.Contains(got.Header.Get("Cache-Status"), "hit") {
					hits.Add(1)
				}
				if strings.Contains(body, `"stream":true`) && !strings.Contains(got.Body, " more") {
					t.Errorf("%s: a stream that was cut: %s", r.path, got.Body)
				}
				if owner, _ := owners.LoadOrStore(text, client); owner != client {
					t.Errorf("client %d got the response to client %d", client, owner)
				}
			}
		})
	}
	wg.Wait()
	if whole.Load() < 100 || hits.Load() == 0 {
		t.Errorf("%d responses, of which %d were stored", whole.Load(), hits.Load())
	}
	// Nothing is left over: an equal request is answered at once.
	p.slow.Store(false)
	for _, r := range requests {
		began := time.Now()
		if got := testclient.Post(t, url+r.path, r.body, "Authorization", "Bearer "+key(0)); got.Status != 200 || time.Since(began) > 2*time.Second {
			t.Errorf("%s: after %s: %+v", r.path, time.Since(began), got)
		}
	}
	if got := testclient.Get(t, status+"/status.json"); !strings.Contains(got.Body, `"open_requests":0`) {
		t.Errorf("requests are left open: %.300s", got.Body)
	}
}

// TestSharedStore has two gateways share responses in a server, and holds that they go on
// without it.
func TestSharedStore(t *testing.T) {
	server := redisserver.New(t)
	p := newProvider(t)
	shared := strings.Replace(config, "ttl 10m", "store redis redis://{{.Redis}}/0 {\n\t\t\t\tsecret \"a secret of the two gateways\"\n\t\t\t}", 1)
	dir := t.TempDir()
	params := map[string]any{"Redis": server.Address}
	shared = strings.Replace(shared, "keys.txt", dir+"/keys.txt", 1)
	if err := os.WriteFile(dir+"/keys.txt", fmt.Appendf(nil, "client-0 sha256:%x\n", sha256.Sum256([]byte(key(0)))), 0o600); err != nil {
		t.Fatal(err)
	}
	_, one, _ := start(t, shared, p, params, 1)
	g, two, status := start(t, shared, p, params, 1)
	for _, r := range requests {
		first := testclient.Post(t, one+r.path, r.body, "Authorization", "Bearer "+key(0))
		var again testclient.Response
		for range 100 { // it is stored when the client has it
			again = testclient.Post(t, two+r.path, r.body, "Authorization", "Bearer "+key(0), "Cache-Control", "only-if-cached")
			if again.Status == 200 {
				break
			}
			time.Sleep(20 * time.Millisecond)
		}
		if first.Status != 200 || again.Body != first.Body || !strings.Contains(again.Header.Get("Cache-Status"), "hit") {
			t.Errorf("%s: %+v and at the other gateway %+v", r.path, first, again)
		}
	}
	if status, body := g.AdminDo("POST", "/llm/cache/purge", "application/json", nil); status != 200 || string(body) != fmt.Sprintf("{\"removed\":%d}\n", len(requests)) {
		t.Errorf("%d %s", status, body)
	}
	server.Kill()
	for range 3 {
		if r := testclient.Post(t, two+requests[0].path, requests[0].body, "Authorization", "Bearer "+key(0)); r.Status != 200 || !strings.Contains(r.Header.Get("Cache-Status"), "miss") {
			t.Errorf("without the server: %+v", r)
		}
	}
	if metrics := testclient.Get(t, status+"/metrics").Body; !strings.Contains(metrics, "llm_cache_store_down 1") {
		t.Error("no metric says that the store is down")
	}
}

// TestCacheService has two gateways share responses in a cache service of the documented
// system's protocol, which tells requests apart by the host, the model and the last message,
// and holds that they share no more than with another store, and go on when the service fails.
func TestCacheService(t *testing.T) {
	service := fakecache.New(t)
	p := newProvider(t)
	dir := t.TempDir()
	shared := strings.Replace(config, "ttl 10m", "store asm {{.Service}}", 1)
	shared = strings.Replace(shared, "keys.txt", dir+"/keys.txt", 1)
	keys := ""
	for i := range 2 {
		keys += fmt.Sprintf("client-%d sha256:%x\n", i, sha256.Sum256([]byte(key(i))))
	}
	if err := os.WriteFile(dir+"/keys.txt", []byte(keys), 0o600); err != nil {
		t.Fatal(err)
	}
	params := map[string]any{"Service": service.URL}
	_, one, _ := start(t, shared, p, params, 2)
	g, two, status := start(t, shared, p, params, 2)
	for _, r := range append(requests[:len(requests):len(requests)],
		struct{ path, body string }{requests[0].path, `{"model":"m","messages":[{"role":"system","content":"be rude"},{"role":"user","content":"hi"}]}`}) {
		first := testclient.Post(t, one+r.path, r.body, "Authorization", "Bearer "+key(0))
		var again testclient.Response
		for range 100 { // it is stored when the client has it
			again = testclient.Post(t, two+r.path, r.body, "Authorization", "Bearer "+key(0), "Cache-Control", "only-if-cached")
			if again.Status == 200 {
				break
			}
			time.Sleep(20 * time.Millisecond)
		}
		if first.Status != 200 || first.Header.Get("Cache-Status") != "llm; fwd=miss" || again.Body != first.Body || !strings.Contains(again.Header.Get("Cache-Status"), "hit") ||
			again.Header.Get("Content-Type") != first.Header.Get("Content-Type") {
			t.Errorf("%s: %+v and at the other gateway %+v", r.path, first, again)
		}
		if other := testclient.Post(t, two+r.path, r.body, "Authorization", "Bearer "+key(1)); other.Status != 200 || other.Body == first.Body {
			t.Errorf("%s: another client: %+v", r.path, other)
		}
	}
	if told := fmt.Sprint(service.Told()); strings.Contains(told, `"messages":[{"role":"user","content":"hi"`) || strings.Contains(told, key(0)) || strings.Contains(told, "rude") {
		t.Errorf("the service is told of requests: %s", told)
	}
	if status, body := g.AdminDo("POST", "/llm/cache/purge", "application/json", nil); status != http.StatusNotImplemented || !strings.Contains(string(body), "store asm") {
		t.Errorf("a purge: %d %s", status, body)
	}
	service.Be(func(w http.ResponseWriter, r *http.Request) { http.Error(w, "no", http.StatusInternalServerError) })
	for range 3 {
		if r := testclient.Post(t, two+requests[0].path, requests[0].body, "Authorization", "Bearer "+key(0)); r.Status != 200 || !strings.Contains(r.Header.Get("Cache-Status"), "miss") {
			t.Errorf("while the service fails: %+v", r)
		}
	}
	if metrics := testclient.Get(t, status+"/metrics").Body; !strings.Contains(metrics, "llm_cache_store_down 1") {
		t.Error("no metric says that the store is down")
	}
}
