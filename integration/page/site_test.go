package page_test

import (
	"context"
	"fmt"
	"io"
	"maps"
	"math/rand/v2"
	"net/http"
	"strconv"
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
{{.Extra}}
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
		rule own-model {
			match header X-Own-Model *
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
    - {providerHost: dashscope.aliyuncs.com}
---
apiVersion: istio.alibabacloud.com/v1beta1
kind: LLMRoute
metadata: {name: typo, namespace: prod}
spec:
  host: other-server
  rules:
  - backendRefs: [{providerHost: dashscope.aliyuncs.co}]
`

// site is a gateway before a provider that answers under three real names.
type site struct {
	t                  *testing.T
	g                  *gateway.Gateway
	port, mesh, status int
	provider           *fp.Server
	client             *http.Client
	gate               chan struct{} // open requests end when it is closed
	config             string
	options            []gateway.Option
}

func newSite(t *testing.T, config string, data map[string]any, options ...gateway.Option) *site {
	t.Helper()
	ports := gateway.FreePorts(t, 3)
	s := &site{t: t, port: ports[0], mesh: ports[1], status: ports[2], client: &http.Client{}, gate: make(chan struct{})}
	names := []string{"api.openai.com", "api.moonshot.cn", "dashscope.aliyuncs.com"}
	s.provider = fp.New(t, fp.Names(names...), fp.Keep(1))
	s.provider.Script(s.answer)
	routes := make(map[string]*fp.Server)
	for _, name := range names {
		routes[name] = s.provider
	}
	params := map[string]any{"Port": s.port, "Mesh": s.mesh, "Status": s.status, "Extra": ""}
	maps.Copy(params, data)
	s.config = gateway.Render(t, config, params)
	s.options = append([]gateway.Option{gateway.File("prices.yaml", prices), gateway.File("objects.yaml", objects),
		gateway.Env("HTTPS_PROXY", fp.NewProxy(t, routes).URL()), gateway.Env("SSL_CERT_FILE", s.provider.CAFile())}, options...)
	s.start()
	return s
}

func (s *site) start() { s.g = gateway.Start(s.t, s.config, s.options...) }

func (s *site) url() string { return fmt.Sprintf("http://127.0.0.1:%d/", s.status) }

// answer is what providers say. X-Want asks for a status, or a stream that stays
// open; X-Pace for the pace of a real provider.
func (s *site) answer(_ int, r *fp.Recorded) fp.Reply {
	model := r.Model
	switch want := r.Header.Get("X-Want"); {
	case want == "wait":
		first := fp.ChatStream(model, "Hello", nil).Steps[0]
		return fp.SSE().Then(first, fp.Pause(time.Hour))
	case want != "" && model != "moonshot-v1-8k": // which stands in
		status, _ := strconv.Atoi(want)
		return fp.JSON(status, `{"error":{"message":"no"}}`)
	}
	var first, pause time.Duration
	if r.Header.Get("X-Pace") != "" {
		slow := map[string]float64{"gpt-4o": 3, "gpt-4o-mini": 2, "moonshot-v1-8k": 5}[model] + 1
		milliseconds := func(n float64) time.Duration { return time.Duration(n * slow * float64(time.Millisecond)) }
		first, pause = milliseconds(20+rand.ExpFloat64()*40), milliseconds(10)
	}
	words := 20 + rand.IntN(60)
	usage := fp.Usage{Prompt: int64(200 + rand.IntN(1800)), Completion: int64(words)}
	if !r.Stream {
		return fp.Chat(model, "Hello", usage).After(first)
	}
	return fp.ChatStream(model, strings.Repeat("word ", words), &usage).Every(pause).After(first)
}

// ask sends a request and reads the response. headers are pairs of name and value.
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
