package llmroute

import (
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"testing"
)

// says answers with status 200.
func says(media, body string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.Header()["Content-Type"] = []string{media}
		_, _ = io.WriteString(w, body)
	}
}

func TestFallbackFromAnAnswerThatIsNone(t *testing.T) {
	const sse = "text/event-stream"
	for name, test := range map[string]struct {
		first  http.HandlerFunc
		retry  string
		status int    // with no other provider that answers
		code   string // in its body
		stays  bool   // with the first provider
	}{
		"an error":                   {first: says("application/json", `{"error":{"message":"m","code":"overloaded"}}`), status: 502, code: "overloaded"},
		"an error that has a status": {first: says("application/json", `{"error":{"message":"m","code":503}}`), status: 503, code: "503"},
		"a rate limit":               {first: says("application/json", `{"error":{"message":"m","type":"rate_limit_error"}}`), status: 429, code: "rate_limit_error"},
		"nothing":                    {first: says("application/json", ``), status: 502, code: "provider_no_answer"},
		"no content":                 {first: func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(204) }, status: 502, code: "provider_no_answer"},
		"a page":                     {first: says("text/html", `<html>login</html>`), status: 502, code: "provider_no_answer"},
		"no choices":                 {first: says("application/json", `{"id":"1","choices":[]}`), status: 502, code: "provider_no_answer"},
		"a redirect":                 {first: fails(307, "Location", "http://secret.example/x"), status: 502, code: "provider_redirected"},
		"a stream that is an error":  {first: says(sse, "data: {\"error\":{\"message\":\"m\",\"code\":\"server_error\"}}\n\n"), status: 502, code: "server_error"},
		"a stream that is nothing":   {first: says(sse, "data: [DONE]\n\n"), status: 502, code: "provider_no_answer"},
		"a head, and no more": {first: func(w http.ResponseWriter, r *http.Request) {
			w.WriteHeader(200)
			_ = http.NewResponseController(w).Flush()
			panic(http.ErrAbortHandler)
		}, status: 502, code: "provider_unreachable"},
		"the client's own error":       {first: says("application/json", `{"error":{"message":"m","code":"context_length_exceeded"}}`), status: 200, code: "context_length_exceeded", stays: true},
		"where 502 is not in the list": {first: says("text/html", `<html>login</html>`), retry: `,"retry_on":[503]`, status: 200, code: "login", stays: true},
	} {
		t.Run(name, func(t *testing.T) {
			first, second, failing := newUpstream(t, test.first), newUpstream(t, answers("second")), unreachable
			a, b, c := unique("first"), unique("second"), unique("failing")
			config := providers(a, first.provider(""), b, second.provider(""), c, failing)
			rule := func(other string) string {
				return fmt.Sprintf(`{"rules":[{"attempts":2%s,"backends":[{"provider":%q},{"provider":%q,"priority":1}]}]}`, test.retry, a, other)
			}
			res, body := newGateway(t, config, rule(b)).post(t, `{"stream":true}`)
			if fell := strings.Contains(body, "second"); fell == test.stays || res.StatusCode != 200 {
				t.Errorf("got %d %s", res.StatusCode, body)
			}
			res, body = newGateway(t, config, rule(c)).post(t, `{"stream":true}`)
			want, code := test.status, test.code
			if code == "provider_no_answer" || code == "provider_redirected" { // the last one's own
				code = "provider_unreachable"
			}
			if res.StatusCode != want || !strings.Contains(body, code) || strings.Contains(body, "secret") {
				t.Errorf("with no other: %d %s, want %d with %s", res.StatusCode, body, want, code)
			}
		})
	}
}

func TestTheLastAnswerThatIsNone(t *testing.T) {
	page := newUpstream(t, says("text/html", `<html>login</html>`))
	a, b := unique("a"), unique("b")
	g := newGateway(t, providers(a, unreachable, b, page.provider("")), fmt.Sprintf(
		`{"rules":[{"attempts":2,"backends":[{"provider":%q},{"provider":%q,"priority":1}]}]}`, a, b))
	if res, body := g.post(t, chat); res.StatusCode != 502 || !strings.Contains(body, "an HTML page") {
		t.Errorf("got %d %s", res.StatusCode, body)
	}
	one := newGateway(t, providers(b, page.provider("")), fmt.Sprintf(`{"rules":[{"backends":[{"provider":%q}]}]}`, b))
	if res, body := one.post(t, chat); res.StatusCode != 200 || body != `<html>login</html>` {
		t.Errorf("a provider alone: %d %s, want what it says", res.StatusCode, body)
	}
}

// TestUsageWithoutChoicesCounts has a provider charge for nothing.
func TestUsageWithoutChoicesCounts(t *testing.T) {
	empty := newUpstream(t, says("application/json", `{"choices":[],"usage":{"prompt_tokens":7,"completion_tokens":1}}`))
	second := newUpstream(t, answers("second"))
	a, b := unique("a"), unique("b")
	g := newGateway(t, providers(a, empty.provider(`"config":{"model":"m"}`), b, second.provider("")), fmt.Sprintf(
		`{"rules":[{"attempts":2,"backends":[{"provider":%q},{"provider":%q,"priority":1}]}]}`, a, b))
	if res, body := g.post(t, chat); res.StatusCode != 200 || !strings.Contains(body, "second") {
		t.Fatalf("got %d %s", res.StatusCode, body)
	}
	_, body := fetch(t, statusOf(t, g.app), "GET", "localhost", "/status.json?filter="+a)
	if !strings.Contains(body, `"prompt_tokens":7`) {
		t.Errorf("the status is %s", body)
	}
	if got := errorTypes(t, g, a); !slices.Equal(got, []string{"provider_no_answer"}) {
		t.Errorf("counted as %v", got)
	}
}

// errorTypes are those that metrics have of a provider's requests, sorted.
func errorTypes(t *testing.T, g *gateway, provider string) (out []string) {
	t.Helper()
	g.settled(t)
	families, err := g.app.ctx.GetMetricsRegistry().Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, family := range families {
		for _, m := range family.GetMetric() {
			label := make(map[string]string)
			for _, l := range m.GetLabel() {
				label[l.GetName()] = l.GetValue()
			}
			if kind, has := label["error_type"]; has && label["gen_ai_provider_name"] == provider && !slices.Contains(out, kind) {
				out = append(out, kind)
			}
		}
	}
	slices.Sort(out)
	return out
}

// TestStreamsPassAtOnceWhereOthersCouldBeTried holds that looking at the beginning
// of a stream holds nothing back.
func TestStreamsPassAtOnceWhereOthersCouldBeTried(t *testing.T) {
	for _, begin := range []string{event("a"), ": comment\n\n", "data: {\"choices\":[]}\n\n"} {
		next := make(chan struct{})
		u := newUpstream(t, func(w http.ResponseWriter, r *http.Request) {
			send := streams(w)
			send(begin)
			<-next
			send(event("b") + "data: [DONE]\n\n")
		})
		a, b := unique("a"), unique("b")
		g := newGateway(t, providers(a, u.provider(""), b, unreachable), fmt.Sprintf(
			`{"rules":[{"attempts":2,"backends":[{"provider":%q},{"provider":%q,"priority":1}]}]}`, a, b))
		_, body := g.stream(t, t.Context(), streamChat)
		got := make([]byte, len(": comment\n\n")) // the rest may be changed
		if _, err := io.ReadFull(body, got); err != nil || !strings.HasPrefix(begin, string(got)) {
			t.Errorf("got %q, %v", got, err)
		}
		close(next)
		rest, err := io.ReadAll(body)
		if err != nil || !strings.HasSuffix(string(rest), "[DONE]\n\n") {
			t.Errorf("then %q, %v", rest, err)
		}
	}
}
