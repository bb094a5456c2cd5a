package llmroute

import (
	"bytes"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"testing"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"

	"github.com/caddy-llm/gateway/llmprovider"
)

// canned is a provider whose responses come from memory.
type canned struct {
	llmprovider.Provider
	header http.Header
	body   []byte
	piece  int // bytes that one read gives
}

func (c *canned) RoundTrip(r *http.Request) (*http.Response, error) {
	if r.Body != nil {
		_, _ = io.Copy(io.Discard, r.Body)
		_ = r.Body.Close()
	}
	length := int64(len(c.body))
	if llmprovider.IsEvents(c.header) {
		length = -1
	}
	return &http.Response{
		StatusCode: http.StatusOK, ProtoMajor: 2, Header: c.header.Clone(), ContentLength: length,
		Body: &pieces{rest: c.body, size: c.piece}, Request: r,
	}, nil
}

// pieces is a body that comes in pieces of one size.
type pieces struct {
	rest []byte
	size int
}

func (p *pieces) Read(into []byte) (int, error) {
	n := copy(into, p.rest[:min(p.size, len(p.rest))])
	if p.rest = p.rest[n:]; n == 0 {
		return 0, io.EOF
	}
	return n, nil
}

func (*pieces) Close() error { return nil }

// nowhere is a client that takes everything at once.
type nowhere struct{ header http.Header }

func (w *nowhere) Header() http.Header         { return w.header }
func (w *nowhere) Write(p []byte) (int, error) { return len(p), nil }
func (w *nowhere) WriteHeader(int)             {}
func (w *nowhere) Flush()                      {}

// BenchmarkServe is what a request takes inside the handler, without the HTTP of either
// side: rules, key, model, usage and metrics.
func BenchmarkServe(b *testing.B) {
	const whole = `{"id":"1","object":"chat.completion","model":"m","choices":[{"index":0,"message":{"role":"assistant","content":"hello"},"finish_reason":"stop"}],` +
		`"usage":{"prompt_tokens":11,"completion_tokens":85,"total_tokens":96}}`
	const event = `data: {"id":"1","object":"chat.completion.chunk","model":"m","choices":[{"index":0,"delta":{"content":"hello"},"finish_reason":null}]}` + "\n\n"
	const last = `data: {"id":"1","object":"chat.completion.chunk","model":"m","choices":[{"index":0,"delta":{},"finish_reason":"stop"}]}` + "\n\n" +
		`data: {"id":"1","object":"chat.completion.chunk","model":"m","choices":[],"usage":{"prompt_tokens":11,"completion_tokens":85,"total_tokens":96}}` + "\n\ndata: [DONE]\n\n"
	b.Setenv("LLM_BENCH_KEY", "sk-bench")
	for _, bb := range []struct {
		name          string
		prompt        int
		media, answer string
		stream        string
		piece         int
	}{
		{"300 B", 150, "application/json", whole, "", 4096},
		{"20 KB", 20_000, "application/json", whole, "", 4096},
		{"1 MB", 1 << 20, "application/json", whole, "", 4096},
		{"100 events", 150, "text/event-stream", strings.Repeat(event, 100) + last, `"stream":true,`, len(event)},
		{"100 events at once", 150, "text/event-stream", strings.Repeat(event, 100) + last, `"stream":true,`, 32 << 10},
	} {
		b.Run(bb.name, func(b *testing.B) {
			handler := benchHandler(b, "", &canned{header: http.Header{"Content-Type": {bb.media}, "Date": {"x"}, "Server": {"y"}}, body: []byte(bb.answer), piece: bb.piece})
			body := []byte(`{` + bb.stream + `"messages":[{"role":"user","content":"` + strings.Repeat("hello wor ", bb.prompt/10) + `"}]}`)
			in := bytes.NewReader(body)
			request := httptest.NewRequest(http.MethodPost, "http://bench.test/v1/chat/completions", in)
			request.Header = http.Header{"Content-Type": {"application/json"}, "Authorization": {"Bearer sk-client"}, "User-Agent": {"bench"}, "Accept-Encoding": {"gzip"}, "X-Team": {"a"}}
			server := new(caddyhttp.Server)
			b.ReportAllocs()
			for b.Loop() {
				in.Reset(body)
				w := &nowhere{header: make(http.Header)}
				r := caddyhttp.PrepareRequest(request, caddy.NewReplacer(), w, server)
				r.Body = io.NopCloser(in)
				if err := handler.ServeHTTP(w, r, nil); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// BenchmarkCacheHit is what a request takes inside the handler whose response is stored.
func BenchmarkCacheHit(b *testing.B) {
	b.Setenv("LLM_BENCH_KEY", "sk-bench")
	for _, prompt := range []int{150, 20_000} {
		b.Run(strconv.Itoa(prompt), func(b *testing.B) {
			c := &canned{
				header: http.Header{"Content-Type": {"application/json"}}, piece: 4096,
				body: []byte(`{"model":"m","choices":[{"index":0,"message":{"role":"assistant","content":"hello"},"finish_reason":"stop"}],"usage":{"prompt_tokens":11,"completion_tokens":85}}`),
			}
			handler := benchHandler(b, `"cache":{"scope":"everyone"},`, c)
			body := []byte(`{"messages":[{"role":"user","content":"` + strings.Repeat("hello wor ", prompt/10) + `"}]}`)
			in := bytes.NewReader(body)
			request := httptest.NewRequest(http.MethodPost, "http://bench.test/v1/chat/completions", in)
			request.Header = http.Header{"Content-Type": {"application/json"}}
			server, last := new(caddyhttp.Server), ""
			b.ReportAllocs()
			for b.Loop() {
				in.Reset(body)
				w := &nowhere{header: make(http.Header)}
				r := caddyhttp.PrepareRequest(request, caddy.NewReplacer(), w, server)
				r.Body = io.NopCloser(in)
				if err := handler.ServeHTTP(w, r, nil); err != nil {
					b.Fatal(err)
				}
				last = w.header.Get("Cache-Status")
			}
			if b.N > 1 && !strings.HasPrefix(last, "llm; hit") {
				b.Fatalf("no hit: %q", last)
			}
		})
	}
}

// benchHandler returns a handler with rules and a key whose provider is c. all goes before the
// rule for all requests.
func benchHandler(b *testing.B, all string, c *canned) caddyhttp.MiddlewareHandler {
	b.Helper()
	ctx, err := caddy.ProvisionContext(&caddy.Config{
		Admin: &caddy.AdminConfig{Disabled: true},
		AppsRaw: caddy.ModuleMap{"llm": json.RawMessage(providers(
			"a", `{"kind":"openai","host":"a.test","config":{"model":"m-1","api_key":"{env.LLM_BENCH_KEY}"}}`))},
	})
	if err != nil {
		b.Fatal(err)
	}
	app, err := ctx.App("llm")
	if err != nil {
		b.Fatal(err)
	}
	module, err := ctx.LoadModuleByID("http.handlers.llm_route", json.RawMessage(
		`{"rules":[{"name":"vip","match":[{"header":{"X-Team":["b"]}}],"backends":[{"provider":"a"}]},{`+all+`"name":"all","backends":[{"provider":"a"}]}]}`))
	if err != nil {
		b.Fatal(err)
	}
	for _, p := range app.(*App).snapshot().providers {
		c.Provider, p.Provider = p.Provider, c
	}
	return module.(caddyhttp.MiddlewareHandler)
}
