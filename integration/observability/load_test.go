package observability_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	fp "github.com/caddy-llm/gateway/integration/fakeprovider"
	"github.com/caddy-llm/gateway/integration/gateway"
)

const mainConfig = `{
	llm {
		status_listen 127.0.0.1:{{.Status}}
		prices {{.Prices}}
		source files manifests {
			namespace default
			labels app=shop
			workload shop
			mesh_listen 127.0.0.1:{{.Mesh}}
		}
		provider good {{.Good}}/v1/chat/completions {
			model small
		}
		provider tired {{.Tired}}/v1/chat/completions {
			model tired-1
		}
		provider busy {{.Tired}}/v1/chat/completions {
			model busy-1
		}
		provider locked {{.Tired}}/v1/chat/completions {
			model locked-1
		}
		provider slow {{.Good}}/v1/chat/completions {
			model slow-1
		}
		provider dead http://127.0.0.1:{{.Dead}} {
			model dead-1
			dial_timeout 2s
		}
		provider keyless {{.Good}}/v1/chat/completions {
			api_key {file.not-there}
		}
		guard texts {
			deny regex forbidden as words
			mask email
			on_request
		}
		guard gone {
			webhook http://127.0.0.1:{{.Dead}} {
				format agentgateway
			}
			on_request
		}
	}
}
http://127.0.0.1:{{.Port}} {
	llm_authz {
		deny outsiders {
			when request.headers[X-Team] outside
		}
	}
	llm_keys keys.txt
	llm_route {
		rule chain {
			match header X-Rule chain
			to tired
			to good priority 1
			attempts 2
		}
		rule busy {
			match header X-Rule busy
			to busy
			to good priority 1
			attempts 2
		}
		rule locked {
			match header X-Rule locked
			to locked
		}
		rule slow {
			match header X-Rule slow
			to slow
		}
		rule dead {
			match header X-Rule dead
			to dead
		}
		rule keyless {
			match header X-Rule keyless
			to keyless
		}
		rule nowhere {
			match header X-Rule nowhere
			to default/nowhere
		}
		rule guarded {
			match header X-Rule guarded
			guards texts
			to good
		}
		rule unguarded {
			match header X-Rule unguarded
			guards gone
			to good
		}
		rule cached {
			match header X-Rule cached
			cache
			to good
		}
		rule all {
			to good
		}
	}
}
`

// otherConfig is that of a second replica, and of one that is told to stop.
const otherConfig = `{
	llm {
		status_listen 127.0.0.1:{{.Status}}
		source files manifests {
			namespace default
			labels app=shop
			workload shop
		}
		provider good {{.Good}}/v1/chat/completions
	}
}
http://127.0.0.1:{{.Port}} {
	llm_route {
		to good
	}
}
`

const (
	// A token costs 1 so that a budget is soon spent; only one model has a price.
	prices = "currency: USD\nprices:\n  - {model: small, input: 1000000, cached: 500000, output: 2000000}\n"

	goodManifest = `apiVersion: istio.alibabacloud.com/v1beta1
kind: LLMProvider
metadata: {name: api}
spec: {host: api.example.com}
---
apiVersion: istio.alibabacloud.com/v1beta1
kind: LLMRoute
metadata: {name: api}
spec:
  host: api.example.com
  rules:
  - backendRefs:
    - providerHost: api.example.com
`
	wrongManifest = `apiVersion: istio.alibabacloud.com/v1beta1
kind: LLMProvider
metadata: {name: wrong}
spec: {host: no host}
`
	moreManifest = `apiVersion: istio.alibabacloud.com/v1beta1
kind: LLMProvider
metadata: {name: more}
spec: {host: more.example.com}
`
	key = "sk-observability-key-of-alice"
)

// scene is the gateways that Prometheus scrapes: one with everything that can go
// wrong, a replica of it with fewer objects, and one of another job that is told
// to stop.
type scene struct {
	t                           *testing.T
	main, leaving               *gateway.Gateway
	port, leavingPort, meshPort int
	jobs                        map[string][]int // ports of status listeners
	spoil                       func() error     // a reload that is refused
	good                        *fp.Server
	client                      http.Client
	loading                     sync.WaitGroup
}

func newScene(t *testing.T) *scene {
	t.Helper()
	good, tired := fp.New(t, fp.Plain(), fp.HTTP1Only(), fp.Keep(1)), fp.New(t, fp.Plain(), fp.HTTP1Only(), fp.Keep(1))
	good.Script(func(_ int, r *fp.Recorded) fp.Reply { return answer(r) })
	tired.Script(func(_ int, r *fp.Recorded) fp.Reply { return fail(r) })
	ports := gateway.FreePorts(t, 8)
	params := map[string]any{"Status": ports[0], "Port": ports[1], "Dead": ports[2], "Good": good.URL(), "Tired": tired.URL(), "Prices": "prices.yaml", "Mesh": ports[7]}
	s := &scene{t: t, port: ports[1], leavingPort: ports[6], meshPort: ports[7], good: good, jobs: map[string][]int{"llm-gateway": {ports[0], ports[3]}, "leaving": {ports[5]}}}
	s.main = gateway.Start(t, gateway.Render(t, mainConfig, params),
		gateway.File("keys.txt", fmt.Sprintf("alice sha256:%x\n", sha256.Sum256([]byte(key)))),
		gateway.File("prices.yaml", prices), gateway.File("manifests/good.yaml", goodManifest), gateway.File("manifests/wrong.yaml", wrongManifest))
	s.spoil = func() error {
		params["Prices"] = "not-there.yaml"
		return s.main.Reload(gateway.Render(t, mainConfig, params))
	}
	other := func(status, port int) *gateway.Gateway {
		return gateway.Start(t, gateway.Render(t, otherConfig, map[string]any{"Status": status, "Port": port, "Good": good.URL()}), gateway.File("manifests/none.yaml", ""))
	}
	other(ports[3], ports[4])
	s.leaving = other(ports[5], ports[6])
	s.client.Timeout = patience
	return s
}

const (
	usage = `"usage":{"prompt_tokens":100,"completion_tokens":20,"prompt_tokens_details":{"cached_tokens":64},"completion_tokens_details":{"reasoning_tokens":12}}`
	chunk = `data: {"model":"m","choices":[{"index":0,"delta":{"content":"a"}}]}` + "\n\n"
	last  = `data: {"choices":[],` + usage + "}\n\n"
)

// answer is what the provider replies that works, as far as X-Answer lets it.
func answer(r *fp.Recorded) fp.Reply {
	stream := fp.SSE(chunk, chunk, chunk, last, "data: [DONE]\n\n").Every(2 * time.Millisecond)
	switch r.Header.Get("X-Answer") {
	case "hang":
		return stream.HangAfter(1)
	case "cut":
		return stream.CloseAfter(1)
	case "slow": // all events after the time that an alert asks for
		return stream.After(6 * time.Second)
	case "silent":
		return fp.JSON(200, `{"model":"m","choices":[{"index":0,"finish_reason":"stop"}]}`)
	case "400":
		return fp.JSON(400, `{"error":{"message":"no such thing"}}`)
	case "500":
		return fp.JSON(500, `{"error":{"message":"oops"}}`)
	}
	if r.Stream {
		return stream
	}
	return fp.JSON(200, `{"model":"m","choices":[{"index":0,"finish_reason":"stop"}],`+usage+`}`)
}

// fail is what the providers reply that do not work.
func fail(r *fp.Recorded) fp.Reply {
	switch r.Model {
	case "busy-1":
		return fp.JSON(429, `{"error":{"message":"slow down"}}`).WithHeader("Retry-After", "3000")
	case "locked-1":
		return fp.JSON(401, `{"error":{"message":"wrong key"}}`)
	}
	// It has worked, says so, and fails all the same.
	return fp.JSON(500, `{"error":{"message":"ran out of time"},"model":"tired-1",`+usage+`}`).WithHeader("Retry-After-Ms", "100")
}

// kinds are the requests of the load, as a body and headers.
var kinds = []struct {
	path, body string
	headers    string // pairs of a name and a value
}{
	{"", `{"messages":[]}`, ""},
	{"", `{"messages":[],"stream":true}`, ""},
	{"/v1/embeddings", `{"input":"x"}`, ""},
	{"", `{"messages":[]}`, "X-Rule chain"},
	{"", `{"messages":[]}`, "X-Rule busy"},
	{"", `{"messages":[]}`, "X-Rule locked"},
	{"", `{"messages":[]}`, "X-Rule dead"},
	{"", `{"messages":[]}`, "X-Rule keyless"},
	{"", `{"messages":[]}`, "X-Rule nowhere"},
	{"", `{"messages":[]}`, "X-Answer silent"},
	{"", `{"messages":[]}`, "X-Answer 400"},
	{"", `{"messages":[]}`, "X-Answer 500"},
	{"", `{"messages":[],"stream":true}`, "X-Answer cut"},
	{"", `{"messages":[{"role":"user","content":"this is forbidden"}]}`, "X-Rule guarded"},
	{"", `{"messages":[{"role":"user","content":"to bob@example.com"}]}`, "X-Rule guarded"},
	{"", `{"messages":[{"role":"user","content":"hello"}]}`, "X-Rule unguarded"},
	{"", `{"messages":[{"role":"user","content":"again"}]}`, "X-Rule cached"},
	{"", `{"messages":[{"role":"user","content":"not stored here"}],"store":true}`, "X-Rule cached"},
	{"", `{"messages":`, ""},
	{"", `{"messages":[]}`, "X-Team outside"},
	{"", `{"messages":[]}`, "X-Team outside"},
	{"", `{"messages":[]}`, "Authorization Nobody"},
	{"", `{"messages":[]}`, "Authorization Nobody"},
}

// load sends requests of all kinds, over and over, until the context ends.
func (s *scene) load(ctx context.Context) {
	for range 2 {
		s.loading.Go(func() {
			for ctx.Err() == nil {
				for _, k := range kinds {
					s.send(ctx, s.port, k.path, k.body, strings.Fields(k.headers)...)
				}
				s.tunnel()
				time.Sleep(100 * time.Millisecond) // so that Prometheus has a turn on a small machine
			}
		})
	}
	s.loading.Go(func() {
		for ctx.Err() == nil {
			s.send(ctx, s.port, "", `{"messages":[],"stream":true}`, "X-Rule", "slow", "X-Answer", "slow")
		}
	})
	s.loading.Go(func() { s.send(ctx, s.leavingPort, "", `{"messages":[],"stream":true}`, "X-Answer", "hang") })
}

// send does what clients do; what becomes of it is the gateway's to count.
func (s *scene) send(ctx context.Context, port int, path, body string, headers ...string) {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, fmt.Sprintf("http://127.0.0.1:%d%s", port, path), bytes.NewReader([]byte(body)))
	if err != nil {
		s.t.Error(err)
		return
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("Authorization", "Bearer "+key)
	for i := 0; i+1 < len(headers); i += 2 {
		req.Header.Set(headers[i], headers[i+1])
	}
	res, err := s.client.Do(req)
	if err != nil {
		return
	}
	_, _ = io.Copy(io.Discard, res.Body)
	_ = res.Body.Close()
}

// tunnel asks the gateway, as a sidecar, for a connection with the provider.
func (s *scene) tunnel() {
	c, err := net.Dial("tcp", fmt.Sprintf("127.0.0.1:%d", s.meshPort))
	if err != nil {
		return
	}
	defer c.Close()
	_ = c.SetDeadline(time.Now().Add(patience))
	_, _ = fmt.Fprintf(c, "CONNECT %s HTTP/1.1\r\nHost: x\r\n\r\nGET / HTTP/1.0\r\n\r\n", s.good.Addr())
	_, _ = io.Copy(io.Discard, c)
}

// change gives the gateway one more object.
func (s *scene) change() { s.main.WriteFile("manifests/more.yaml", moreManifest) }

// leave tells the gateway of the other job to stop, which it cannot while a
// stream is open.
func (s *scene) leave() { s.leaving.Signal(syscall.SIGTERM) }
