package lanes_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/caddy-llm/gateway/integration/fakemodel"
	"github.com/caddy-llm/gateway/integration/fakeprovider"
)

// clients are the SDKs, by the API that they speak.
var clients = map[string]func(*testing.T, string) conversation{"chat": newChat, "responses": newResponses, "messages": newMessages, "gemini": newGemini}

// TestLanes has a conversation on every lane: a question with a picture, reasoning and two
// calls at once, their results, and the verdict; a response by a schema; errors of each
// class; a client that leaves.
func TestLanes(t *testing.T) {
	s, urls := serve(t)
	for name, client := range clients {
		for _, api := range fakemodel.All() {
			t.Run(name+" to "+string(api), func(t *testing.T) {
				for _, stream := range []bool{false, true} {
					t.Run(map[bool]string{false: "plain", true: "streamed"}[stream], func(t *testing.T) { converse(t, s, api, client(t, urls[api]), stream) })
				}
				t.Run("structured", func(t *testing.T) { structured(t, s, api, client(t, urls[api])) })
				t.Run("errors", func(t *testing.T) { failures(t, s, api, name, client(t, urls[api])) })
				t.Run("abort", func(t *testing.T) { abort(t, s, api, client(t, urls[api])) })
			})
		}
	}
}

// script has the provider say the turns, one after the other, and returns what it is asked.
func script(t *testing.T, s *fakeprovider.Server, api fakemodel.API, turns ...fakemodel.Turn) func() *fakemodel.Request {
	var last *fakemodel.Request
	s.Script(func(i int, r *fakeprovider.Recorded) fakeprovider.Reply {
		q, err := api.Read(r)
		if err != nil {
			t.Error(err)
			return api.Fail(400, err.Error())
		}
		if all := fmt.Sprint(r.Target, r.Header, string(r.Body)); strings.Contains(all, sdkKey) || !strings.Contains(all, providerKey) {
			t.Errorf("keys: %s %v", r.Target, r.Header)
		}
		last = q
		return api.Reply(q.Stream, turns[min(i, len(turns)-1)])
	})
	return func() *fakemodel.Request {
		if last == nil {
			t.Fatal("the provider was not asked")
		}
		return last
	}
}

func converse(t *testing.T, s *fakeprovider.Server, api fakemodel.API, c conversation, stream bool) {
	asked := script(t, s, api, fakemodel.Turn{Reasoning: reasoning, Text: looking, Calls: calls}, fakemodel.Turn{Text: verdict})
	h, err := c.ask(stream)
	if err != nil {
		t.Fatal(err)
	}
	q := asked()
	if q.Stream != stream || q.System != system || q.User != question || len(q.Images) != 1 || q.Images[0] != picture {
		t.Errorf("asked %+v", q)
	}
	if len(q.Tools) != 2 || !sameJSON(string(q.Tools["get_tide"]), tideSchema) || !sameJSON(string(q.Tools["get_wind"]), windSchema) {
		t.Errorf("tools %s", q.Tools)
	}
	if h.text != looking || h.finish != c.finishes()[0] || len(h.calls) != 2 {
		t.Fatalf("heard %+v", h)
	}
	_, native := c.(*geminiClient) // Google's models give calls no ids, and their clients need none
	native = native && api == fakemodel.Gemini
	for i, call := range h.calls {
		if call.Name != calls[i].Name || !sameJSON(call.Arguments, calls[i].Arguments) || (call.ID == "" || call.ID == h.calls[1-i].ID) && !native {
			t.Errorf("call %+v, want %+v", call, calls[i])
		}
	}
	if h.reasoning != reasoning {
		t.Errorf("reasoning %q", h.reasoning)
	}
	if h.prompt != fakemodel.PromptTokens || h.cached != fakemodel.CachedTokens || h.completion != fakemodel.CompletionTokens {
		t.Errorf("usage %d, %d, %d", h.prompt, h.cached, h.completion)
	}

	h, err = c.answer(stream, h.calls)
	if err != nil {
		t.Fatal(err)
	}
	q = asked()
	if h.text != verdict || h.finish != c.finishes()[1] || len(h.calls) != 0 {
		t.Errorf("heard %+v", h)
	}
	if len(q.Calls) != 2 || len(q.Results) != 2 {
		t.Fatalf("the second request has %+v", q)
	}
	for i, call := range q.Calls {
		if call.Name != calls[i].Name || !sameJSON(call.Arguments, calls[i].Arguments) || !strings.Contains(unescaped(q.Results[call.ID]), results[call.Name]) {
			t.Errorf("call %+v came back with %q", call, q.Results[call.ID])
		}
	}
	if want := []string{fakemodel.State}; api != fakemodel.Chat && !slices.Equal(q.States, want) {
		t.Errorf("the state of the reasoning came back as %q", q.States)
	}
}

// unescaped is a result as text, where it is in JSON.
func unescaped(s string) string { return strings.NewReplacer(`\"`, `"`, `\u003c`, "<").Replace(s) }

func structured(t *testing.T, s *fakeprovider.Server, api fakemodel.API, c conversation) {
	asked := script(t, s, api, fakemodel.Turn{Text: form})
	h, err := c.form()
	if err != nil {
		t.Fatal(err)
	}
	if q := asked(); !sameJSON(string(q.Format), formSchema) {
		t.Errorf("the schema of the response is %s", q.Format)
	}
	if h.text != form {
		t.Errorf("heard %+v", h)
	}
}

func failures(t *testing.T, s *fakeprovider.Server, api fakemodel.API, client string, c conversation) {
	for _, status := range []int{400, 401, 403, 404, 429, 500, 503} {
		for _, stream := range []bool{false, true} {
			s.Script(fakeprovider.Always(api.Fail(status, "The tide is out.")))
			_, err := c.ask(stream)
			want := status
			if client == "messages" && api != fakemodel.Messages && status == 503 {
				want = 529 // Anthropic's word for it
			}
			if got, text := c.status(err); got != want || !strings.Contains(text, "The tide is out.") {
				t.Errorf("%d: %d %q, %v", status, got, text, err)
			}
		}
	}
}

func abort(t *testing.T, s *fakeprovider.Server, api fakemodel.API, c conversation) {
	before := s.Cancelled()
	reply := api.Reply(true, fakemodel.Turn{Text: looking + looking})
	reply.Steps = append(reply.Steps[:len(reply.Steps)-2], fakeprovider.Hang())
	s.Script(fakeprovider.Always(reply))
	if err := c.leave(); err != nil {
		t.Fatal(err)
	}
	s.WaitCancelled(before+1, patience)
}
