package llmroute

import (
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	mode "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/http/ext_proc/v3"
	"google.golang.org/grpc/health/grpc_health_v1"

	"github.com/caddy-llm/gateway/integration/fakepicker"
	_ "github.com/caddy-llm/gateway/llmroute/picker" // the module
)

// pickedPool is a gateway with a pool of three endpoints, whose picker is a fake one, and a
// provider in the cloud after it.
type pickedPool struct {
	*gateway
	picker    *fakepicker.Server
	endpoints [3]*fakeProvider
	cloud     *fakeProvider
	name      string
}

func newPickedPool(t *testing.T, failureMode, more string, handlers ...http.HandlerFunc) *pickedPool {
	t.Helper()
	p := &pickedPool{picker: fakepicker.New(t, ""), cloud: newUpstream(t, answers("cloud")), name: unique("picked")}
	var addresses []string
	for i := range p.endpoints {
		handler := answers(fmt.Sprint("endpoint ", i))
		if i < len(handlers) && handlers[i] != nil {
			handler = handlers[i]
		}
		p.endpoints[i] = newUpstream(t, handler)
		addresses = append(addresses, p.endpoints[i].address())
	}
	cloud := unique("cloud")
	config := pooled(fmt.Sprintf(`,"picker":{"protocol":"ext_proc","address":%q,"plaintext":true,"failure_mode":%q,"timeout":"1500ms"%s}`, p.picker.Address, failureMode, more), addresses...)
	config = strings.Replace(config, `"first_byte_timeout":"300ms"`, `"first_byte_timeout":"5s"`, 1)
	p.gateway = newGateway(t, providers(p.name, config, cloud, p.cloud.provider("")), fmt.Sprintf(
		`{"rules":[{"name":"both","match":[{"header":{"X-Both":["1"]}}],"backends":[{"provider":%[1]q},{"provider":%[2]q,"priority":1}],"attempts":2},{"name":"only","backends":[{"provider":%[1]q}]}]}`, p.name, cloud))
	return p
}

// at is the list of these endpoints as a picker sends it.
func (p *pickedPool) at(indexes ...int) string {
	var out []string
	for _, i := range indexes {
		out = append(out, p.endpoints[i].address())
	}
	return strings.Join(out, ",")
}

const megabytes = 5 << 20

var largeChat = `{"model":"m","messages":[{"role":"user","content":"` + strings.Repeat("x", megabytes) + `"}]}`

// TestPickerChooses goes through all ways in which a picker says where a request goes.
func TestPickerChooses(t *testing.T) {
	p := newPickedPool(t, "FailClose", "")
	for name, is := range map[string]fakepicker.Behaviour{
		"after the body":           {},
		"after the body, late":     {Delay: 100 * time.Millisecond},
		"before the body":          {Early: true},
		"in the header alone":      {Metadata: "-"},
		"in the metadata alone":    {HeaderOff: true},
		"with the body back":       {Echo: true},
		"early with the body back": {Early: true, Echo: true},
		"silent about the body":    {Silent: true},
		"and ends its stream":      {EndAfter: true},
		"gives back and ends":      {EndAfter: true, Echo: true},
		"silent, and ends":         {EndAfter: true, Silent: true},
		"echoes all headers":       {EchoHeaders: true},
	} {
		for size, body := range map[string]string{"small": chat, "5 MiB": largeChat} {
			t.Run(name+", "+size, func(t *testing.T) {
				is.Endpoints = p.at(1)
				p.picker.Is(is)
				before := p.endpoints[1].count()
				res, text := p.post(t, body, "Authorization", "Bearer client", "X-Gateway-Inference-Objective", "first", "X-Kept", "1")
				if res.StatusCode != 200 || !strings.Contains(text, "endpoint 1") || p.endpoints[1].count() != before+1 {
					t.Fatalf("%d %s", res.StatusCode, text)
				}
				var got seen
				for len(p.endpoints[1].requests) > 0 {
					got = <-p.endpoints[1].requests
				}
				if got.body != body || got.header.Get("Content-Length") == "7" {
					t.Errorf("the endpoint got %d bytes of %d", len(got.body), len(body))
				}
				if got.header.Get("Authorization") != "" || got.header.Get("X-Kept") != "1" || got.header.Get("X-Gateway-Destination-Endpoint") != "" {
					t.Errorf("the endpoint got the headers %v", got.header)
				}
				said := p.picker.Last(t, func(s *fakepicker.Seen) bool { return len(s.Body) == len(body) })
				for _, n := range said.Chunks {
					if n > 64<<10 {
						t.Errorf("a message of %d bytes", n)
					}
				}
				h := said.Header
				if h[":method"] != "POST" || h[":path"] != "/v1/chat/completions" || h[":authority"] == "" || h[":scheme"] != "http" || h["x-kept"] != "1" || h["authorization"] != "" || h["x-gateway-inference-objective"] != "" {
					t.Errorf("the picker got the headers %v", h)
				}
				if c := said.Config; c.GetRequestBodyMode() != mode.ProcessingMode_FULL_DUPLEX_STREAMED || c.GetResponseBodyMode() != mode.ProcessingMode_FULL_DUPLEX_STREAMED || said.EndsInHeaders {
					t.Errorf("the picker was told %v", c)
				}
				if !is.EndAfter {
					said = p.picker.Last(t, func(s *fakepicker.Seen) bool { return s.Ended })
					if said.Served != p.endpoints[1].address() || said.Status != "200" || len(said.Response) > 0 {
						t.Errorf("the picker was told of the response: %s by %s, %d bytes", said.Status, said.Served, len(said.Response))
					}
				}
			})
		}
	}
}

// TestPickerRewrites holds that the body that a picker sends back is the one that is sent.
func TestPickerRewrites(t *testing.T) {
	p := newPickedPool(t, "FailClose", "")
	p.picker.Is(fakepicker.Behaviour{Endpoints: p.at(2), Echo: true, From: `"m"`, To: `"m-adapter-7"`, Set: map[string]string{"X-Traced": "1"}, SetResponse: map[string]string{"X-By": "picker", "Content-Length": "3"}, EchoHeaders: true})
	res, text := p.post(t, largeChat)
	if res.StatusCode != 200 || res.Header.Get("X-By") != "picker" || !strings.Contains(text, "endpoint 2") || len(res.Header["Content-Type"]) != 1 {
		t.Errorf("%d %s %v", res.StatusCode, text, res.Header)
	}
	got := <-p.endpoints[2].requests
	if want := strings.Replace(largeChat, `"m"`, `"m-adapter-7"`, 1); got.body != want || got.header.Get("X-Traced") != "1" {
		t.Errorf("the endpoint got %.60s…, %d bytes, and %v", got.body, len(got.body), got.header)
	}
}

// TestPickerRewritesWithinBudget holds that a body from a picker counts against max_bodies.
func TestPickerRewritesWithinBudget(t *testing.T) {
	p := newPickedPool(t, "FailClose", "")
	p.picker.Is(fakepicker.Behaviour{Endpoints: p.at(2), Echo: true, EchoHeaders: true, From: `"m"`, To: `"m-adapter-7"`})
	before := p.app.bodies.All.Limit()
	t.Cleanup(func() { p.app.bodies.All.SetLimit(before) })
	p.app.bodies.All.SetLimit(megabytes * 3 / 2) // room for the client's body alone
	if res, text := p.post(t, largeChat); res.StatusCode < 400 || p.endpoints[2].count() != 0 {
		t.Errorf("%d %.100s", res.StatusCode, text)
	}
}

// TestPickerFails holds what becomes of a request when a picker fails, in whatever way: with
// FailClose 503 or the rule's next backend, with FailOpen another choice with the whole body.
func TestPickerFails(t *testing.T) {
	t.Parallel()
	for _, failureMode := range []string{"FailOpen", "FailClose"} {
		p := newPickedPool(t, failureMode, "")
		for name, is := range map[string]fakepicker.Behaviour{
			"ends without a choice":              {End: true},
			"hangs":                              {Hang: true},
			"breaks at the first byte":           {FailAfter: 1},
			"breaks after 1 MiB":                 {FailAfter: 1 << 20},
			"breaks at the end":                  {FailAfter: len(largeChat)},
			"names nothing":                      {},
			"names no address":                   {Endpoints: "nonsense, :80,x:y"},
			"names a host":                       {Endpoints: "localhost:80"},
			"names what is not in the pool":      {Endpoints: "127.0.0.1:1"},
			"names another port":                 {Endpoints: "127.0.0.1:1,127.0.0.1:2"},
			"contradicts itself":                 {Endpoints: p.at(0), Metadata: p.at(1)},
			"gives more than the request's body": {Endpoints: p.at(0), Echo: true, From: "x", To: "xx"},
			"gives a part of the body":           {Endpoints: p.at(0), Echo: true, Partial: true},
		} {
			t.Run(failureMode+" "+name, func(t *testing.T) {
				resetStates(p)
				p.picker.Is(is)
				res, text := p.post(t, largeChat)
				if failureMode == "FailClose" {
					if res.StatusCode != 503 || !strings.Contains(text, `"endpoint_picker_unavailable"`) {
						t.Errorf("%d %s", res.StatusCode, text)
					}
					resetStates(p)
					if res, text := p.post(t, largeChat, "X-Both", "1"); res.StatusCode != 200 || !strings.Contains(text, "cloud") {
						t.Errorf("with the cloud after it: %d %s", res.StatusCode, text)
					}
					return
				}
				if res.StatusCode != 200 || !strings.Contains(text, "endpoint ") {
					t.Fatalf("%d %s", res.StatusCode, text)
				}
				for _, u := range p.endpoints {
					for len(u.requests) > 0 {
						if got := <-u.requests; got.body != largeChat {
							t.Errorf("the endpoint got %d bytes of %d", len(got.body), len(largeChat))
						}
					}
				}
			})
		}
		t.Run(failureMode+" is gone", func(t *testing.T) {
			resetStates(p)
			p.picker.Stop()
			for range 3 {
				began := time.Now()
				res, text := p.post(t, chat)
				if took := time.Since(began); took > 8*time.Second {
					t.Errorf("it took %v", took)
				}
				if want := map[string]int{"FailOpen": 200, "FailClose": 503}[failureMode]; res.StatusCode != want {
					t.Errorf("%d %s", res.StatusCode, text)
				}
			}
			back := fakepicker.New(t, p.picker.Address)
			back.Is(fakepicker.Behaviour{Endpoints: p.at(1)})
			for end := time.Now().Add(20 * time.Second); back.Count() == 0; time.Sleep(100 * time.Millisecond) {
				if p.post(t, chat); time.Now().After(end) {
					t.Fatal("a picker that is back is not asked")
				}
			}
		})
	}
}

// resetStates forgets what is known of the pool, so that one test does not change another.
func resetStates(p *pickedPool) {
	p.app.snapshot().providers[p.name].state.Pauses.Forget()
}

// TestPickerRejects holds that a picker's own response is one of the pool: it is passed on,
// or leads to the rule's next backend, in both modes.
func TestPickerRejects(t *testing.T) {
	for _, failureMode := range []string{"FailOpen", "FailClose"} {
		p := newPickedPool(t, failureMode, "")
		for _, test := range []struct {
			is       fakepicker.Behaviour
			contains string
			status   int
			cloud    bool
		}{
			{fakepicker.Behaviour{Status: 503, Body: "no endpoints available"}, "no endpoints available", 503, true},
			{fakepicker.Behaviour{Status: 429, Header: map[string]string{"x-llm-d-request-dropped-reason": "shed", "Retry-After": "1"}}, `"endpoint_picker_rejected"`, 429, true},
			{fakepicker.Behaviour{Status: 429, Body: `{"error":{"message":"busy"}}`}, `{"error":{"message":"busy"}}`, 429, true},
			{fakepicker.Behaviour{Status: 400, Body: "unparsable", Early: true}, "unparsable", 400, false},
			{fakepicker.Behaviour{Status: 200}, `"endpoint_picker_rejected"`, 503, true},
		} {
			resetStates(p)
			p.picker.Is(test.is)
			res, text := p.post(t, chat)
			if res.StatusCode != test.status || !strings.Contains(text, test.contains) {
				t.Errorf("%s: %+v: got %d %s", failureMode, test.is, res.StatusCode, text)
			}
			for name, value := range test.is.Header {
				if got := res.Header.Get(name); got != value {
					t.Errorf("the header %s is %q", name, got)
				}
			}
			resetStates(p)
			res, text = p.post(t, chat, "X-Both", "1")
			if (res.StatusCode == 200 && strings.Contains(text, "cloud")) != test.cloud {
				t.Errorf("%s: %+v with the cloud after it: got %d %s", failureMode, test.is, res.StatusCode, text)
			}
		}
		for i, u := range p.endpoints {
			if u.count() > 0 {
				t.Errorf("endpoint %d got a request", i)
			}
		}
	}
}

// TestPickerList holds that a request goes along the picker's list, and then to others.
func TestPickerList(t *testing.T) {
	p := newPickedPool(t, "FailClose", "", fails(503), fails(503), nil)
	p.picker.Is(fakepicker.Behaviour{Endpoints: p.at(1) + ",10.9.9.9:1, " + p.at(0), Echo: true})
	res, text := p.post(t, largeChat)
	if res.StatusCode != 200 || !strings.Contains(text, "endpoint 2") {
		t.Fatalf("%d %s", res.StatusCode, text)
	}
	if p.endpoints[0].count() != 1 || p.endpoints[1].count() != 1 {
		t.Errorf("asked %d and %d times", p.endpoints[0].count(), p.endpoints[1].count())
	}
	said := p.picker.Last(t, func(s *fakepicker.Seen) bool { return s.Served != "" })
	if said.Served != p.endpoints[2].address() {
		t.Errorf("served by %s", said.Served)
	}
	if view := p.app.snapshot().providers[p.name].pool.View(time.Now(), 5); view.Choices["picker"] != 2 {
		t.Errorf("choices %v", view.Choices)
	}
	// Those that cool down are no candidates of the next request.
	p.picker.Is(fakepicker.Behaviour{Endpoints: p.at(2)})
	p.post(t, chat)
	said = p.picker.Last(t, func(s *fakepicker.Seen) bool { return s.Served != "" })
	if want := fmt.Sprint([]string{p.endpoints[2].address()}); fmt.Sprint(said.First) != want || fmt.Sprint(said.Last) != want {
		t.Errorf("the subset is %v, at the end %v", said.First, said.Last)
	}
}

// TestPickerEvicts has the picker end a request before the response and inside a stream.
func TestPickerEvicts(t *testing.T) {
	var gone atomic.Int32
	slow := func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("X-Stream") != "" {
			streams(w)(`data: {"choices":[{"index":0,"delta":{"content":"x"}}]}` + "\n\n")
		}
		select {
		case <-r.Context().Done():
			gone.Add(1)
		case <-time.After(10 * time.Second):
		}
	}
	p := newPickedPool(t, "FailOpen", "", slow, slow, slow)
	p.picker.Is(fakepicker.Behaviour{Endpoints: p.at(0), Evict: 100 * time.Millisecond})
	began := time.Now()
	res, text := p.post(t, chat)
	if res.StatusCode != 429 || !strings.Contains(text, "evicted") || res.Header.Get("X-Llm-D-Request-Dropped-Reason") != "evicted" {
		t.Errorf("%d %s %v", res.StatusCode, text, res.Header)
	}
	if res, text := p.post(t, chat, "X-Both", "1"); res.StatusCode != 200 || !strings.Contains(text, "cloud") {
		t.Errorf("with the cloud after it: %d %s", res.StatusCode, text)
	}
	_, text = p.postBroken(t, `{"stream":true,"messages":[]}`, "X-Stream", "1")
	if !strings.Contains(text, `"content":"x"`) || !strings.Contains(text, "evicted") {
		t.Errorf("the stream is %s", text)
	}
	if took := time.Since(began); took > 8*time.Second {
		t.Errorf("it took %v", took)
	}
	for end := time.Now().Add(20 * time.Second); gone.Load() < 3; time.Sleep(10 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("%d of 3 requests were ended at the endpoint", gone.Load())
		}
	}
	if until := p.app.snapshot().providers[p.name].pool.View(time.Now(), 5); until.Cooling > 0 {
		t.Error("an endpoint cools down because the picker ended its request")
	}
}

// postBroken is post for a response that may break off.
func (p *pickedPool) postBroken(t *testing.T, body string, header ...string) (*http.Response, string) {
	t.Helper()
	r, err := http.NewRequest(http.MethodPost, p.URL+"/v1/chat/completions", strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Content-Type", "application/json")
	for i := 0; i+1 < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	res, err := p.Client().Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	text, _ := io.ReadAll(res.Body)
	return res, string(text)
}

// TestPickerSeesResponses holds that a response goes through the picker only if it asks for
// it, and is complete whatever becomes of the picker.
func TestPickerSeesResponses(t *testing.T) {
	events := strings.Repeat(`data: {"choices":[{"index":0,"delta":{"content":"some words"}}]}`+"\n\n", 2000) + "data: [DONE]\n\n"
	stream := func(w http.ResponseWriter, _ *http.Request) {
		send := streams(w)
		for part := events; part != ""; {
			n := min(len(part), 7000)
			send(part[:n])
			part = part[n:]
		}
	}
	p := newPickedPool(t, "FailClose", "", stream, stream, stream)
	for name, test := range map[string]struct {
		is   fakepicker.Behaviour
		want string
		seen int
	}{
		"not asked for":        {fakepicker.Behaviour{}, events, 0},
		"asked for":            {fakepicker.Behaviour{See: mode.ProcessingMode_FULL_DUPLEX_STREAMED}, events, len(events)},
		"changed":              {fakepicker.Behaviour{See: mode.ProcessingMode_FULL_DUPLEX_STREAMED, Upper: true}, strings.ToUpper(events), len(events)},
		"in streamed mode":     {fakepicker.Behaviour{See: mode.ProcessingMode_STREAMED}, events, len(events)},
		"changed there":        {fakepicker.Behaviour{See: mode.ProcessingMode_STREAMED, Upper: true}, strings.ToUpper(events), len(events)},
		"the picker goes away": {fakepicker.Behaviour{See: mode.ProcessingMode_FULL_DUPLEX_STREAMED, EndInResponse: 40_000}, events, 40_000},
		"at the first byte":    {fakepicker.Behaviour{See: mode.ProcessingMode_FULL_DUPLEX_STREAMED, EndInResponse: 1}, events, 1},
		"buffered is not sent": {fakepicker.Behaviour{See: mode.ProcessingMode_BUFFERED}, events, 0},
	} {
		t.Run(name, func(t *testing.T) {
			test.is.Endpoints = p.at(0)
			p.picker.Is(test.is)
			_, text := p.postBroken(t, `{"stream":true,"stream_options":{"include_usage":true},"messages":[]}`)
			if text != test.want {
				t.Errorf("got %d bytes, want %d", len(text), len(test.want))
			}
			said := p.picker.Last(t, func(s *fakepicker.Seen) bool { return len(s.Response) >= test.seen })
			if test.seen == 0 && len(said.Response) > 0 {
				t.Errorf("the picker saw %d bytes", len(said.Response))
			}
		})
	}
}

// TestPickerHealth holds that a picker that says it is not serving is not waited for.
func TestPickerHealth(t *testing.T) {
	t.Parallel()
	p := newPickedPool(t, "FailOpen", "")
	p.picker.Is(fakepicker.Behaviour{Endpoints: p.at(1)})
	asked := func() bool {
		before := p.picker.Count()
		if res, text := p.post(t, chat); res.StatusCode != 200 {
			t.Fatalf("%d %s", res.StatusCode, text)
		}
		return p.picker.Count() > before
	}
	until := func(want bool) {
		t.Helper()
		for end := time.Now().Add(15 * time.Second); asked() != want; time.Sleep(20 * time.Millisecond) {
			if time.Now().After(end) {
				t.Fatalf("asked is not %v", want)
			}
		}
	}
	until(true)
	p.picker.Health.SetServingStatus(fakepicker.ServiceName, grpc_health_v1.HealthCheckResponse_NOT_SERVING)
	until(false)
	p.picker.Health.SetServingStatus(fakepicker.ServiceName, grpc_health_v1.HealthCheckResponse_SERVING)
	until(true)
	// A follower is left for another replica, which has the same address.
	p.picker.Health.SetServingStatus(fakepicker.ServiceName, grpc_health_v1.HealthCheckResponse_NOT_SERVING)
	until(false)
	until(true) // over another connection, before it has said that it does not serve
}
