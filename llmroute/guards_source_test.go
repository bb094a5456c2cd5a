package llmroute

import (
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/caddy-llm/gateway/llmroute/guard"
	"github.com/caddy-llm/gateway/llmroute/guard/decide"
	"github.com/caddy-llm/gateway/llmroute/prompt"
	"github.com/caddy-llm/gateway/llmroute/spec"
)

// denies is a guard that denies a word.
func denies(word string) *guard.Definition {
	return &guard.Definition{Deny: []guard.Pattern{{Regex: word}}}
}

// saying is a request with a text.
func saying(text string) string {
	return `{"model":"m","messages":[{"role":"user","content":"` + text + `"}]}`
}

// TestGuardsOfSource holds that what a source's rules and providers name looks at requests,
// however these come to the provider, and that a name without a definition lets none pass.
func TestGuardsOfSource(t *testing.T) {
	u := newUpstream(t, answers("x"))
	with := func(change func(*spec.State)) *spec.State {
		s := liveState(u, "a.example", "m", "k")
		s.Guards = map[string]*guard.Definition{"ns/p/zebra": denies("zebra"), "ns/p/yak": denies("yak")}
		s.Prompts = map[string]*prompt.Definition{
			"ns/one": {Prepend: []prompt.Message{{Role: "system", Content: "first"}}}, "ns/two": {Prepend: []prompt.Message{{Role: "system", Content: "second"}}},
		}
		change(s)
		return s
	}
	of := func(s *spec.State) *spec.Rule { return s.Tables["mesh"][0].Rules[0] }
	for _, test := range []struct {
		name   string
		change func(*spec.State)
		yak    string // what becomes of a request with that word
		plain  string // and of one without
		sent   string
	}{
		{"nothing named", func(*spec.State) {}, "", "", ""},
		{"a rule's guard", func(s *spec.State) { of(s).Guards = []string{"ns/p/zebra", "ns/p/yak"} }, "content_policy", "", ""},
		{"a provider's guard", func(s *spec.State) { s.Providers[0].Guards = []string{"ns/p/yak"} }, "content_policy", "", ""},
		{"a rule's guard that cannot be used", func(s *spec.State) { of(s).Guards = []string{"ns/bad", "ns/p/yak"} }, "guard_unavailable", "guard_unavailable", ""},
		{"a provider's guard that cannot be used", func(s *spec.State) { s.Providers[0].Guards = []string{"ns/bad"} }, "guard_unavailable", "guard_unavailable", ""},
		{"guards that cannot be used, and none that can", func(s *spec.State) { s.Guards, of(s).Guards = nil, []string{"ns/bad"} }, "guard_unavailable", "guard_unavailable", ""},
		{"a definition that is wrong", func(s *spec.State) {
			s.Guards["ns/p/yak"].Deny[0].Regex = "("
			of(s).Guards = []string{"ns/p/yak"}
		}, "guard_unavailable", "guard_unavailable", ""},
		{"prompts, the rule's first", func(s *spec.State) {
			of(s).Prompts, s.Providers[0].Prompts = []string{"ns/one"}, []string{"ns/two", "ns/one"}
		}, "", "", `"content":"first\n\nsecond"},{"role":"user"`},
		{"a prompt that is not there", func(s *spec.State) { of(s).Prompts = []string{"ns/none"} }, "prompt_unavailable", "prompt_unavailable", ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			state := with(test.change)
			providers := len(state.Providers[0].Guards)+len(state.Providers[0].Prompts) > 0 && len(of(state).Prompts) == 0
			for handler, host := range map[string]string{`{"table":"mesh"}`: "a.example", `{}`: "127.0.0.1"} {
				if host != "a.example" && !providers {
					continue // the provider's own rule is another one
				}
				key := unique("feed")
				testFeeds.Store(key, &testFeed{first: state})
				g := newGateway(t, fmt.Sprintf(`{"status_listen":"off","source":{"source":"test","key":%q}}`, key), handler)
				if err := g.app.Start(); err != nil {
					t.Fatal(err)
				}
				for text, code := range map[string]string{"a yak": test.yak, "nothing": test.plain} {
					before := u.count()
					res, body := g.post(t, saying(text), "Host", host)
					passed := u.count() - before
					if code == "" != (res.StatusCode == 200) || !strings.Contains(body, code) || code == "" != (passed == 1) {
						t.Errorf("%s %q: status %d, %d requests at the provider: %s", handler, text, res.StatusCode, passed, body)
					}
					if passed == 1 {
						if sent := <-u.requests; !strings.Contains(sent.body, test.sent) {
							t.Errorf("%s: the provider got %s", handler, sent.body)
						}
					}
				}
			}
		})
	}
}

// TestGuardsChange holds that a change of guards holds for the next request, and that a
// stream ends under the guards that it began with.
func TestGuardsChange(t *testing.T) {
	goOn := make(chan bool)
	u := newUpstream(t, func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		if !strings.Contains(string(body), "slowly") {
			answers("x")(w, r)
			return
		}
		w.Header().Set("Content-Type", "text/event-stream")
		for _, word := range []string{"one ", "camel ", "yak ", "two "} {
			fmt.Fprintf(w, "data: {\"choices\":[{\"index\":0,\"delta\":{\"content\":%q}}]}\n\n", word)
			w.(http.Flusher).Flush()
			if word == "one " {
				<-goOn
			}
		}
		_, _ = io.WriteString(w, "data: [DONE]\n\n")
	})
	state := func(word string) *spec.State {
		s := liveState(u, "a.example", "m", "k")
		s.Tables["mesh"][0].Rules[0].Guards = []string{"ns/p/g", "ns/p/h"}
		d := &guard.Definition{Mask: []guard.Pattern{{Regex: word, As: "x"}}, OnRequest: true, OnResponse: &guard.OnResponse{Stream: guard.StreamWindow, Window: 16}}
		s.Guards = map[string]*guard.Definition{"ns/p/g": d, "ns/p/h": denies("zebra")}
		return s
	}
	g, feed := newLive(t, state("camel"))
	kept := g.app.snapshot().chains.guards
	req, _ := http.NewRequest("POST", g.URL+"/v1/chat/completions", strings.NewReader(`{"model":"m","stream":true,"messages":[{"role":"user","content":"slowly"}]}`))
	req.Host = "a.example"
	req.Header.Set("Content-Type", "application/json")
	stream := make(chan string)
	go func() {
		res, err := http.DefaultClient.Do(req)
		if err != nil {
			stream <- err.Error()
			return
		}
		defer res.Body.Close()
		body, _ := io.ReadAll(res.Body)
		stream <- string(body)
	}()
	<-u.requests
	feed.report(state("yak"))
	for range 20 { // the change holds at once, whatever else changes
		if res, body := g.post(t, saying("a yak and a camel"), "Host", "a.example"); res.StatusCode != 200 {
			t.Fatalf("status %d: %s", res.StatusCode, body)
		}
		if sent := <-u.requests; !strings.Contains(sent.body, "a [X] and a camel") {
			t.Fatalf("the provider got %s", sent.body)
		}
		feed.report(state("yak"))
	}
	goOn <- true
	if got := <-stream; !strings.Contains(got, "[X]") || strings.Contains(got, "camel") || !strings.Contains(got, "yak") || !strings.Contains(got, "[DONE]") {
		t.Errorf("the stream that had begun is %s", got)
	}
	if res, body := g.post(t, saying("a zebra"), "Host", "a.example"); res.StatusCode != 403 {
		t.Errorf("status %d: %s", res.StatusCode, body)
	}
	if next := g.app.snapshot().chains.guards; next == kept {
		t.Error("the filter did not change")
	}
	last := g.app.snapshot().chains.guards
	feed.report(state("yak"))
	if g.app.snapshot().chains.guards != last {
		t.Error("equal guards were not taken over")
	}
	feed.report(liveState(u, "a.example", "m", "k"))
	if res, body := g.post(t, saying("a zebra"), "Host", "a.example"); res.StatusCode != 200 {
		t.Errorf("guards that have gone: status %d: %s", res.StatusCode, body)
	}
}

// TestGuardAsksProviderOfSource has a provider of the same state moderate.
func TestGuardAsksProviderOfSource(t *testing.T) {
	u := newUpstream(t, answers("x"))
	moderator := newUpstream(t, func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		w.Header().Set("Content-Type", "application/json")
		fmt.Fprintf(w, `{"results":[{"flagged":%v}]}`, strings.Contains(string(body), "zebra"))
	})
	state := func(provider string) *spec.State {
		s := liveState(u, "a.example", "m", "k")
		s.Providers = append(s.Providers, liveState(moderator, "m.example", "m", "secret").Providers...)
		s.Tables["mesh"][0].Rules[0].Guards = []string{"ns/p/g"}
		s.Guards = map[string]*guard.Definition{"ns/p/g": {Moderation: &decide.Moderation{Provider: provider, Model: "omni"}}}
		return s
	}
	g, feed := newLive(t, state("ns/m.example"))
	for text, code := range map[string]string{"fine": "", "a zebra": "content_policy"} {
		if res, body := g.post(t, saying(text), "Host", "a.example"); (res.StatusCode == 200) != (code == "") || !strings.Contains(body, code) {
			t.Errorf("%q: status %d: %s", text, res.StatusCode, body)
		}
		if asked := <-moderator.requests; asked.header.Get("Authorization") != "Bearer secret" {
			t.Errorf("the moderator got %v", asked.header)
		}
	}
	feed.report(state("ns/none"))
	if res, body := g.post(t, saying("fine"), "Host", "a.example"); res.StatusCode != 503 || !strings.Contains(body, "guard_unavailable") {
		t.Errorf("a provider that is not there: status %d: %s", res.StatusCode, body)
	}
}
