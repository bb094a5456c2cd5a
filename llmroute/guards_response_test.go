package llmroute

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"
)

// streamedWords is the response of a provider that streams a text in words.
func streamedWords(text string) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		if !strings.Contains(string(body), `"stream":true`) {
			answers(text)(w, r)
			return
		}
		send := streams(w)
		for _, word := range strings.SplitAfter(text, " ") {
			send(fmt.Sprintf(`data: {"id":"1","object":"chat.completion.chunk","created":1,"model":"m","choices":[{"index":0,"delta":{"content":%q},"finish_reason":null}]}`+"\n\n", word))
		}
		send(`data: {"id":"1","object":"chat.completion.chunk","created":1,"model":"m","choices":[{"index":0,"delta":{},"finish_reason":"stop"}]}` + "\n\n")
		send(`data: {"id":"1","object":"chat.completion.chunk","created":1,"model":"m","choices":[],"usage":{"prompt_tokens":11,"completion_tokens":85,"total_tokens":96}}` + "\n\n")
		send("data: [DONE]\n\n")
	}
}

// guardedClients are requests of all APIs, as a stream and not.
var guardedClients = []struct{ path, body, denied string }{
	{"/v1/chat/completions", `{"model":"m","messages":[{"role":"user","content":"to bob@example.com"}]}`, `{"error":{"message":"guard policy denies the response`},
	{"/v1/chat/completions", `{"model":"m","stream":true,"messages":[{"role":"user","content":"to bob@example.com"}]}`, "data: {\"error\":{\"message\":\"guard policy denies the response"},
	{"/v1/messages", `{"model":"m","max_tokens":9,"messages":[{"role":"user","content":"to bob@example.com"}]}`, `{"type":"error","error":{"type":"permission_error","message":"guard policy denies`},
	{"/v1/messages", `{"model":"m","max_tokens":9,"stream":true,"messages":[{"role":"user","content":"to bob@example.com"}]}`, "event: error\ndata: {\"type\":\"error\",\"error\":{\"type\":\"permission_error\",\"message\":\"guard policy denies"},
	{"/v1/responses", `{"model":"m","input":"to bob@example.com"}`, `{"error":{"message":"guard policy denies the response`},
	{"/v1/responses", `{"model":"m","stream":true,"input":"to bob@example.com"}`, "event: error\ndata: {\"type\":\"error\""},
	{"/v1beta/models/m:generateContent", `{"contents":[{"role":"user","parts":[{"text":"to bob@example.com"}]}]}`, `{"error":{"code":403,"message":"guard policy denies`},
	{"/v1beta/models/m:streamGenerateContent?alt=sse", `{"contents":[{"role":"user","parts":[{"text":"to bob@example.com"}]}]}`, "data: {\"error\":{\"code\":403"},
	{"/v1beta/models/m:streamGenerateContent", `{"contents":[{"role":"user","parts":[{"text":"to bob@example.com"}]}]}`, "{\"error\":{\"code\":403"},
}

func TestGuardsOnResponses(t *testing.T) {
	// The provider speaks chat completions, whatever the client speaks.
	const guards = `"policy":{"deny":[{"regex":"zebra"}],"on_response":{"stream":%q,"window":%d}},"pii":{"mask":[{"builtin":"email"}],"restore":true},
		"out":{"mask":[{"builtin":"card"}],"on_response":{"stream":"whole"}}`
	for round, on := range []struct {
		stream string
		window int
	}{{"window", 32}, {"whole", 0}} {
		good := newUpstream(t, streamedWords("I wrote to [EMAIL_1] about 4111 1111 1111 1111 and that is all."))
		bad := newUpstream(t, streamedWords("I wrote "+strings.Repeat("many words ", 20)+"of the secret zebra and more "+strings.Repeat("words ", 20)))
		goodName, badName := unique("good"), unique("bad")
		app := guarded(fmt.Sprintf(guards, on.stream, on.window), goodName, good.provider(""), badName, bad.provider(""))
		working := newGateway(t, app, fmt.Sprintf(`{"rules":[{"guards":["policy","pii","out"],"backends":[{"provider":%q,"model":"m"}]}]}`, goodName))
		denying := newGateway(t, app, fmt.Sprintf(`{"rules":[{"guards":["policy"],"backends":[{"provider":%q,"model":"m"}]}]}`, badName))
		prompt, completion := sumOf(t, denying, "asm_llm_proxy_prompt_tokens"), sumOf(t, denying, "asm_llm_proxy_completion_tokens")
		for _, c := range guardedClients {
			res, err := http.Post(working.URL+c.path, "application/json", strings.NewReader(c.body))
			if err != nil {
				t.Fatal(err)
			}
			body, err := io.ReadAll(res.Body)
			_ = res.Body.Close()
			if err != nil || res.StatusCode != 200 || !strings.Contains(string(body), "bob@example.com") || strings.Contains(string(body), "4111") || !strings.Contains(string(body), "[CARD]") {
				t.Errorf("%s %s: %d %v\n%s", on.stream, c.path, res.StatusCode, err, body)
			}
			if sent := (<-good.requests).body; strings.Contains(sent, "bob") || !strings.Contains(sent, "[EMAIL_1]") {
				t.Errorf("%s: the provider got %s", c.path, sent)
			}
			res, err = http.Post(denying.URL+c.path, "application/json", strings.NewReader(c.body))
			if err != nil {
				t.Fatal(err)
			}
			body, _ = io.ReadAll(res.Body) // a stream that is cut ends in an error
			_ = res.Body.Close()
			streams := strings.Contains(c.body, "stream") || strings.Contains(c.path, "stream")
			if status := res.StatusCode; streams && status != 200 || !streams && status != 403 {
				t.Errorf("%s %s: status %d", on.stream, c.path, status)
			}
			if !strings.Contains(string(body), c.denied) || strings.Contains(string(body), "zebra") || strings.Contains(string(body), "secret") {
				t.Errorf("%s %s: denied with\n%s", on.stream, c.path, body)
			}
			if streams && strings.Contains(string(body), "many words") && on.stream == "whole" {
				t.Errorf("%s %s: something was passed on\n%s", on.stream, c.path, body)
			}
			<-bad.requests
		}
		if on.stream == "whole" { // all has come by then, of what is denied as well
			prompt, completion := sumOf(t, denying, "asm_llm_proxy_prompt_tokens")-prompt, sumOf(t, denying, "asm_llm_proxy_completion_tokens")-completion
			if n := float64(2 * len(guardedClients)); prompt != 11*n || completion != 85*n {
				t.Errorf("%v and %v tokens are counted", prompt, completion)
			}
		}
		for g, labels := range map[*gateway][]string{
			denying: {"guard=policy", "direction=response", "action=deny", "category=regex"},
			working: {"guard=out", "direction=response", "action=mask", "category=card"},
		} {
			if n := guardCount(t, g, labels...); n != float64(len(guardedClients)*(round+1)) {
				t.Errorf("%v: counted %v", labels, n)
			}
		}
	}
}

// guardCount is how often a guard acted.
func guardCount(t *testing.T, g *gateway, labels ...string) float64 {
	t.Helper()
	return sumOf(t, g, "llm_guard_total", labels...)
}

// sumOf is the sum of the counters of that name with all these labels, once no request goes on.
func sumOf(t *testing.T, g *gateway, name string, labels ...string) float64 {
	t.Helper()
	g.settled(t)
	return sumSoFar(t, g, name, labels...)
}

// sumSoFar is sumOf while requests go on.
func sumSoFar(t *testing.T, g *gateway, name string, labels ...string) (n float64) {
	t.Helper()
	families, err := g.app.ctx.GetMetricsRegistry().Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, family := range families {
		if family.GetName() != name {
			continue
		}
		for _, m := range family.GetMetric() {
			all := 0
			for _, label := range m.GetLabel() {
				if slices.Contains(labels, label.GetName()+"="+label.GetValue()) {
					all++
				}
			}
			if all == len(labels) {
				n += m.GetCounter().GetValue()
			}
		}
	}
	return n
}

// TestGuardsDenyInStream has a stream that goes on after it is denied: the provider's
// connection is ended, and what it reported of its usage is counted.
// TestDeniedStreamEndsWithoutItsText holds that the events that end a denied stream repeat
// nothing of it, also if the response had come whole before a guard looked at it.
func TestDeniedStreamEndsWithoutItsText(t *testing.T) {
	u := newUpstream(t, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "text/event-stream")
		defer func() { _, _ = io.WriteString(w, "data: [DONE]\n\n") }()
		chunk := `data: {"id":"1","object":"chat.completion.chunk","created":1,"model":"m","choices":[{"index":0,"delta":%s,"finish_reason":%s}]}` + "\n\n"
		_, _ = fmt.Fprintf(w, chunk+chunk, `{"content":"many words and a zebra"}`, "null", "{}", `"stop"`)
		_ = http.NewResponseController(w).Flush()
		select { // the provider reports that the text is complete, and not yet that the stream is
		case <-r.Context().Done():
		case <-time.After(50 * time.Millisecond):
		}
	})
	p := unique("p")
	for _, mode := range []string{`"window","window":16`, `"whole"`} {
		g := newGateway(t, guarded(`"policy":{"deny":[{"regex":"zebra"}],"on_response":{"stream":`+mode+`}}`, p, u.provider("")),
			fmt.Sprintf(`{"rules":[{"guards":["policy"],"backends":[{"provider":%q,"model":"m"}]}]}`, p))
		for _, c := range guardedClients {
			if !strings.Contains(c.body+c.path, "stream") {
				continue
			}
			res, err := http.Post(g.URL+c.path, "application/json", strings.NewReader(c.body))
			if err != nil {
				t.Fatal(err)
			}
			body, _ := io.ReadAll(res.Body) // which is cut
			_ = res.Body.Close()
			if !strings.Contains(string(body), c.denied) || strings.Contains(string(body), "zebra") {
				t.Errorf("%s %s: %s", mode, c.path, body)
			}
		}
	}
}

func TestGuardsDenyInStream(t *testing.T) {
	left := make(chan struct{})
	u := newUpstream(t, func(w http.ResponseWriter, r *http.Request) {
		send := streams(w)
		send(`data: {"choices":[{"index":0,"delta":{"content":"a zebra, "}}],"usage":{"prompt_tokens":7,"completion_tokens":3,"total_tokens":10}}` + "\n\n")
		for range 100 {
			send(`data: {"choices":[{"index":0,"delta":{"content":"and more, "}}]}` + "\n\n")
			select {
			case <-r.Context().Done():
				close(left)
				return
			case <-time.After(20 * time.Millisecond):
			}
		}
	})
	p := unique("denied")
	g := newGateway(t, guarded(`"g":{"deny":[{"regex":"zebra"}],"on_response":{"stream":"window","window":16}}`, p, u.provider("")), fmt.Sprintf(`{"rules":[{"guards":["g"],"backends":[{"provider":%q}]}]}`, p))
	prompt, completion := sumOf(t, g, "asm_llm_proxy_prompt_tokens"), sumOf(t, g, "asm_llm_proxy_completion_tokens")
	res, body := g.stream(t, context.Background(), streamChat)
	text, _ := io.ReadAll(body)
	if res.StatusCode != 200 || strings.Contains(string(text), "zebra") || !strings.Contains(string(text), `"code":"content_policy"`) {
		t.Errorf("%d %s", res.StatusCode, text)
	}
	select {
	case <-left:
	case <-time.After(time.Second):
		t.Error("the provider's stream goes on")
	}
	prompt, completion = sumOf(t, g, "asm_llm_proxy_prompt_tokens")-prompt, sumOf(t, g, "asm_llm_proxy_completion_tokens")-completion
	if prompt != 7 || completion != 3 {
		t.Errorf("%v and %v tokens are counted", prompt, completion)
	}
}
