package openai

import (
	"bytes"
	"context"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/caddy-llm/gateway/internal/moduletest"
	"github.com/caddy-llm/gateway/llmprovider"
	"github.com/caddy-llm/gateway/llmprovider/kind"
	"github.com/caddy-llm/gateway/llmprovider/upstream"
)

// benchProvider is a provider with a key and a model, as most are.
func benchProvider(b *testing.B) *Provider {
	b.Helper()
	model := "qwen-turbo"
	p := &Provider{Base: kind.Base{Connection: upstream.Connection{Host: "dashscope.aliyuncs.com"}, Path: "/compatible-mode/v1/chat/completions", Config: kind.Config{Model: &model, Key: upstream.Literal("sk-bench")}}}
	moduletest.Provision(b, p)
	return p
}

func BenchmarkNewAttempt(b *testing.B) {
	p := benchProvider(b)
	header := http.Header{
		"Content-Type": {"application/json"}, "Authorization": {"Bearer client"}, "User-Agent": {"OpenAI/Python 1.99.0"},
		"Accept": {"application/json"}, "Accept-Encoding": {"gzip, deflate"}, "X-Stainless-Lang": {"python"}, "X-Stainless-Os": {"Linux"},
		"X-Stainless-Arch": {"x64"}, "X-Stainless-Runtime": {"CPython"}, "X-Stainless-Async": {"false"},
	}
	for name, size := range map[string]int{"300B": 300, "20KB": 20 << 10} {
		body := []byte(`{"model":"gpt-4o-mini","messages":[{"role":"user","content":"` + strings.Repeat("words ", size/6) + `"}],"stream":true}`)
		b.Run(name, func(b *testing.B) {
			ctx := context.Background()
			reader := bytes.NewReader(body)
			r, _ := http.NewRequest(http.MethodPost, "http://gateway/v1/chat/completions", nil)
			r.Header, r.Body, r.ContentLength = header, io.NopCloser(reader), int64(len(body))
			b.SetBytes(int64(len(body)))
			b.ReportAllocs()
			for b.Loop() {
				reader.Reset(body)
				in, refused := llmprovider.NewInbound(r)
				if refused != nil {
					b.Fatal(refused)
				}
				if refused = in.Read(r, llmprovider.DefaultMaxBody); refused != nil {
					b.Fatal(refused)
				}
				a, refused := p.NewAttempt(ctx, in, llmprovider.Settings{})
				if refused != nil {
					b.Fatal(refused)
				}
				_ = a.Request.Body.Close()
				in.Release()
			}
		})
	}
}
