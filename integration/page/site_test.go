package page_test

import (
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	fp "github.com/caddy-llm/gateway/integration/fakeprovider"
	"github.com/caddy-llm/gateway/integration/gateway"
)

const config = `{
	llm {
		status_listen 127.0.0.1:{{.Status}}
		status_hosts status.example.com
		workload gateway
		namespace prod
		prices prices.yaml
		provider api.openai.com {
			for vip-route {
				model gpt-4o
			}
			for default {
				model gpt-4o-mini
			}
		}
		provider moonshot {
			host api.moonshot.cn
			model moonshot-v1-8k
		}
		source files objects.yaml
	}
}
http://:{{.Port}} {
	llm_route {
		rule vip-route {
			match header user-type subscriber
			to api.openai.com
			to moonshot priority 1
			attempts 2
		}
		rule embeddings {
			match path /v1/embeddings
			to api.openai.com
		}
		rule default {
			to api.openai.com weight 80
			to moonshot weight 20
			attempts 2
		}
	}
}
http://:{{.Mesh}} {
	llm_route {
		table mesh
	}
}
`

const prices = `currency: USD
prices:
  - {model: gpt-4o, input: 2.50, output: 10}
  - {model: gpt-4o-mini, input: 0.15, output: 0.60}
  - {model: moonshot-v1-8k, input: 0.20, output: 2}
  - {model: "qwen*", input: 0.80, output: 2}
`

const objects = `apiVersion: istio.alibabacloud.com/v1beta1
kind: LLMProvider
metadata: {name: dashscope, namespace: prod}
spec:
  host: dashscope.aliyuncs.com
  path: /compatible-mode/v1/chat/completions
  configs: {defaultConfig: {openAIConfig: {model: qwen1.5-72b-chat}}}
---
apiVersion: istio.alibabacloud.com/v1beta1
kind: LLMRoute
metadata: {name: demo-llm-server, namespace: prod}
spec:
  host: demo-llm-server
  rules:
  - name: migrate-rule
    backendRefs:
    - {providerHost: dashscope.aliyuncs.com, weight: 90}
    - {providerHost: api.moonshot.cn, weight: 10}
---
apiVersion: istio.alibabacloud.com/v1beta1
kind: LLMRoute
metadata: {name: typo, namespace: prod}
spec:
  host: other-server
  rules:
  - backendRefs: [{providerHost: dashscope.aliyuncs.co}]
`

// site is a gateway before three providers that answer under their real names.
type site struct {
	t                      *testing.T
	g                      *gateway.Gateway
	port, mesh, status     int
	openai, moonshot, qwen *fp.Server
	client                 *http.Client
	config                 string
	gate                   chan struct{} // what is asked for with X-Wait waits for
	options                []gateway.Option
}

func newSite(t *testing.T, config string) *site {
	t.Helper()
	ports := gateway.FreePorts(t, 3)
	s := &site{t: t, port: ports[0], mesh: ports[1], status: ports[2], client: &http.Client{}, gate: make(chan struct{})}
	// One server has one authority; all three names are its own.
	names := fp.Names("api.openai.com", "api.moonshot.cn", "dashscope.aliyuncs.com")
	s.openai = fp.New(t, names, fp.Keep(1))
	s.openai.Script(s.answer)
	proxy := fp.NewProxy(t, map[string]*fp.Server{"api.openai.com": s.openai, "api.moonshot.cn": s.openai, "dashscope.aliyuncs.com": s.openai})
	s.config = gateway.Render(t, config, map[string]any{"Port": s.port, "Mesh": s.mesh, "Status": s.status})
	s.options = []gateway.Option{gateway.File("prices.yaml", prices), gateway.File("objects.yaml", objects),
		gateway.Env("HTTPS_PROXY", proxy.URL()), gateway.Env("SSL_CERT_FILE", s.openai.CAFile())}
	s.g = gateway.Start(t, s.config, s.options...)
	return s
}

func (s *site) url() string { return fmt.Sprintf("http://127.0.0.1:%d/", s.status) }

// answer is what providers say: as fast and as much as its kind of model does,
// or what the request asks for.
func (s *site) answer(_ int, r *fp.Recorded) fp.Reply {
	switch want := r.Header.Get("X-Want"); want {
	case "":
	case "wait":
		<-s.gate
	default:
		status := 500
		_, _ = fmt.Sscan(want, &status)
		if r.Model != "moonshot-v1-8k" {
			return fp.JSON(status, `{"error":{"message":"no"}}`)
		}
	}
	words, pause := 20+rand.IntN(60), time.Duration(0)
	first := time.Duration(0)
	if p := r.Header.Get("X-Pace"); p != "" {
		factor := map[string]time.Duration{"gpt-4o": 3, "gpt-4o-mini": 2, "moonshot-v1-8k": 5}[r.Model]
		first = (20 + time.Duration(rand.ExpFloat64()*40)) * max(factor, 1) * time.Millisecond
		pause = 10 * time.Millisecond * max(factor, 1)
	}
	usage := fp.Usage{Prompt: int64(200 + rand.IntN(1800)), Completion: int64(words)}
	model := r.Model
	if r.Header.Get("X-Model") != "" {
		model = r.Header.Get("X-Model")
	}
	if !r.Stream {
		return fp.Chat(model, "Hello", usage).After(first)
	}
	reply := fp.ChatStream(model, strings.Repeat("word ", words), &usage)
	if pause > 0 {
		reply = reply.Every(pause)
	}
	return reply.After(first)
}

// ask sends a request and reads the answer. headers are pairs of name and value.
func (s *site) ask(ctx context.Context, port int, body string, headers ...string) (int, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, fmt.Sprintf("http://127.0.0.1:%d/v1/chat/completions", port), strings.NewReader(body))
	if err != nil {
		return 0, err
	}
	req.Header.Set("Content-Type", "application/json")
	for i := 0; i+1 < len(headers); i += 2 {
		if headers[i] == "Host" {
			req.Host = headers[i+1]
		}
		req.Header.Set(headers[i], headers[i+1])
	}
	res, err := s.client.Do(req)
	if err != nil {
		return 0, err
	}
	defer res.Body.Close()
	_, err = io.Copy(io.Discard, res.Body)
	return res.StatusCode, err
}

// must is ask for a status.
func (s *site) must(status int, port int, body string, headers ...string) {
	s.t.Helper()
	if got, err := s.ask(s.t.Context(), port, body, headers...); err != nil || got != status {
		s.t.Fatalf("status %d, %v; want %d", got, err, status)
	}
}

const (
	plain  = `{"messages":[{"role":"user","content":"Hello"}]}`
	stream = `{"messages":[{"role":"user","content":"Hello"}],"stream":true}`
)

// load sends requests of all kinds until it is stopped.
func (s *site) load(clients int) (stop func()) {
	ctx, cancel := context.WithCancel(s.t.Context())
	var wg sync.WaitGroup
	for range clients {
		wg.Go(func() {
			for ctx.Err() == nil {
				body, port := stream, s.port
				if rand.IntN(4) == 0 {
					body = plain
				}
				headers := []string{"X-Pace", "real"}
				switch n := rand.IntN(100); {
				case n < 30:
					headers = append(headers, "user-type", "subscriber")
				case n < 55:
					port, headers = s.mesh, append(headers, "Host", "demo-llm-server")
				case n < 58:
					headers = append(headers, "X-Want", "429")
				case n < 59:
					port, headers = s.mesh, append(headers, "Host", "nobody")
				}
				_, _ = s.ask(ctx, port, body, headers...) // some are meant to fail
				pause := time.Duration(rand.ExpFloat64() * 100 * float64(time.Millisecond))
				select {
				case <-ctx.Done():
				case <-time.After(pause):
				}
			}
		})
	}
	return sync.OnceFunc(func() { cancel(); wg.Wait() })
}
