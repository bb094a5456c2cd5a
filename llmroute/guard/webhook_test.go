package guard

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/caddyserver/caddy/v2"
	"go.uber.org/zap"

	"github.com/caddy-llm/gateway/llmroute/filter"
	"github.com/caddy-llm/gateway/llmroute/guard/decide"
)

// agentgatewayService is a service in agentgateway's published format: it refuses texts
// with "zebra" and masks "bob".
func agentgatewayService(t *testing.T) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		type message struct{ Role, Content string }
		var asked struct {
			Body struct {
				Messages []message
				Choices  []struct{ Message message }
			}
		}
		d := json.NewDecoder(r.Body)
		d.DisallowUnknownFields()
		if err := d.Decode(&asked); err != nil || r.Method != http.MethodPost || r.Header.Get("Content-Type") != "application/json" {
			t.Errorf("%s %s: %v", r.Method, r.URL, err)
		}
		messages := asked.Body.Messages
		switch r.URL.Path {
		case "/guard/request":
		case "/guard/response":
			for _, c := range asked.Body.Choices {
				messages = append(messages, c.Message)
			}
		default:
			t.Errorf("asked at %s", r.URL)
		}
		action := map[string]any{"reason": "fine"}
		var out, choices []any
		for _, m := range messages {
			switch m.Role {
			case "system", "user", "assistant", "tool":
			default:
				t.Errorf("the role is %q", m.Role)
			}
			if strings.Contains(m.Content, "zebra") {
				action = map[string]any{"body": "no zebra", "status_code": 418}
			}
			masked := map[string]any{"role": m.Role, "content": strings.ReplaceAll(m.Content, "bob", "<somebody \"x\">")}
			out, choices = append(out, masked), append(choices, map[string]any{"message": masked})
		}
		if action["body"] == nil && strings.Contains(fmt.Sprint(messages), "bob") {
			action["body"] = map[string]any{"messages": out}
			if r.URL.Path == "/guard/response" {
				action["body"] = map[string]any{"choices": choices}
			}
		}
		_ = json.NewEncoder(w).Encode(map[string]any{"action": action})
	})
}

// liteLLMService is the same in the format of LiteLLM's generic guardrail API.
func liteLLMService(t *testing.T) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var asked struct {
			Texts          []string          `json:"texts"`
			InputType      string            `json:"input_type"`
			RequestHeaders map[string]string `json:"request_headers"`
			RequestData    map[string]any    `json:"request_data"`
		}
		if err := json.NewDecoder(r.Body).Decode(&asked); err != nil || r.URL.Path != "/beta/litellm_basic_guardrail_api" {
			t.Errorf("%s %s: %v", r.Method, r.URL, err)
		}
		if asked.InputType != "request" && asked.InputType != "response" || asked.RequestData == nil {
			t.Errorf("asked %+v", asked)
		}
		answer := map[string]any{"action": "NONE"}
		var texts []string
		for _, text := range asked.Texts {
			if strings.Contains(text, "zebra") {
				answer = map[string]any{"action": "BLOCKED", "blocked_reason": "no zebra"}
			}
			texts = append(texts, strings.ReplaceAll(text, "bob", "<somebody \"x\">"))
		}
		if answer["action"] == "NONE" && strings.Contains(strings.Join(asked.Texts, " "), "bob") {
			answer = map[string]any{"action": "GUARDRAIL_INTERVENED", "texts": texts}
		}
		_ = json.NewEncoder(w).Encode(answer)
	})
}

// TestWebhooks has services of both formats decide about requests and responses in all
// forms.
func TestWebhooks(t *testing.T) {
	rng := rand.New(rand.NewPCG(9, 10))
	for format, handler := range map[string]http.Handler{decide.FormatAgentgateway: agentgatewayService(t), decide.FormatLiteLLM: liteLLMService(t)} {
		s := httptest.NewServer(handler)
		defer s.Close()
		url := s.URL + "/guard"
		if format == decide.FormatLiteLLM {
			url = s.URL
		}
		d := &Definition{
			Webhook: &decide.Webhook{URL: url, Format: format, Timeout: caddy.Duration(20 * time.Second)}, Mask: []Pattern{{Regex: "sec..t", As: "word"}},
			OnRequest: true, OnResponse: &OnResponse{Stream: StreamWhole}, Unreadable: UnreadableOpen,
		}
		for path, list := range places {
			for _, place := range list {
				every := func(int) bool { return rng.IntN(4) == 0 }
				after, refused, counted := guarded(t, d, path, in(place, "to bob, the secret", every))
				if refused != nil || strings.Contains(after, "secret") || strings.Count(after, "[WORD]") != 1 || strings.Contains(after, "bob") || strings.Count(after, "<somebody") != 1 || !json.Valid([]byte(after)) {
					t.Errorf("%s, %s: %s became %s (%v, %v)", format, path, place, after, refused, counted)
				}
				status := 403
				if format == decide.FormatAgentgateway {
					status = 418
				}
				if _, refused, _ = guarded(t, d, path, in(place, "a zebra", every)); refused == nil || refused.Status != status || refused.Code != "content_policy" || strings.Contains(refused.Message, "zebra") {
					t.Errorf("%s, %s: %s: %v", format, path, place, refused)
				}
			}
		}
		for _, f := range forms {
			contentType := "application/json"
			if f.stream {
				contentType = eventStream
			}
			body := f.write(&writing{rng}, []string{"to b", "ob, the secret ", "and \u00e9t\u00e9"}, `{"a":"for bob","n":7}`)
			got, refused, counted := respond(t, d, noRequest, contentType, cutUp(rng, body)...)
			text, arguments := f.read(got)
			if refused != nil || text != "to <somebody \"x\">, the [WORD] and \u00e9t\u00e9" || decode(arguments) == nil || str(decode(arguments)["a"]) != "for <somebody \"x\">" {
				// A service sees the parts of arguments as JSON, and may break it.
				if !f.stream || refused != nil || !strings.Contains(arguments, "for <somebody") || text != "to <somebody \"x\">, the [WORD] and \u00e9t\u00e9" {
					t.Errorf("%s, %s: %q, %s (%v, %v)", format, f.name, text, arguments, refused, counted)
				}
			}
			if got, refused, _ := respond(t, d, noRequest, contentType, cutUp(rng, f.write(&writing{rng}, []string{"a ze", "bra"}, `{}`))...); refused == nil || strings.Contains(got, "a ze") || strings.Contains(got, "bra") {
				t.Errorf("%s, %s: %v, %s", format, f.name, refused, got)
			}
			body = f.write(&writing{rng}, []string{"nothing ", "of that"}, `{}`)
			if got, refused, counted := respond(t, d, noRequest, contentType, cutUp(rng, body)...); refused != nil || got != body || counted != nil {
				t.Errorf("%s, %s: %v, %v, %s", format, f.name, refused, counted, got)
			}
		}
	}
}

// TestWebhooksReadInOrder holds that a service is asked about a conversation as it goes, and that
// what it returns takes the place of what it was asked about.
func TestWebhooksReadInOrder(t *testing.T) {
	var asked []string
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var body struct{ Texts []string }
		if err := json.NewDecoder(r.Body).Decode(&body); err != nil {
			t.Error(err)
		}
		asked = slices.Clone(body.Texts)
		for i := range body.Texts {
			body.Texts[i] = strings.ToUpper(body.Texts[i])
		}
		_ = json.NewEncoder(w).Encode(map[string]any{"action": "GUARDRAIL_INTERVENED", "texts": body.Texts})
	}))
	defer s.Close()
	d := &Definition{Webhook: &decide.Webhook{URL: s.URL, Format: decide.FormatLiteLLM}, OnRequest: true}
	for path, body := range map[string]string{
		chatPath: `{"messages":[{"role":"system","content":"one"},{"role":"user","content":[{"type":"text","text":"two"}]},` +
			`{"role":"assistant","content":"three","tool_calls":[{"id":"c","type":"function","function":{"name":"f","arguments":"{\"a\":\"four\"}"}}]},` +
			`{"role":"tool","tool_call_id":"c","content":"five"},{"role":"user","content":"six"}]}`,
		"/v1/responses": `{"instructions":"one","input":[{"role":"user","content":[{"type":"input_text","text":"two"}]},{"role":"assistant","content":"three"},` +
			`{"type":"function_call","call_id":"c","name":"f","arguments":"{\"a\":\"four\"}"},{"type":"function_call_output","call_id":"c","output":"five"},{"role":"user","content":"six"}]}`,
		"/v1/messages": `{"system":"one","messages":[{"role":"user","content":"two"},{"role":"assistant","content":[{"type":"text","text":"three"},` +
			`{"type":"tool_use","id":"c","name":"f","input":{"a":"four"}}]},{"role":"user","content":[{"type":"tool_result","tool_use_id":"c","content":"five"},{"type":"text","text":"six"}]}]}`,
	} {
		after, refused, _ := guarded(t, d, path, body)
		if refused != nil {
			t.Fatal(refused)
		}
		last := -1
		for _, word := range []string{"one", "two", "three", "four", "five", "six"} {
			at := slices.IndexFunc(asked, func(text string) bool { return strings.Contains(text, word) })
			if at < 0 || at < last || !strings.Contains(after, strings.ToUpper(word)) {
				t.Errorf("%s: %q is asked about at %d, after %d: %q; the request became %s", path, word, at, last, asked, after)
			}
			last = max(last, at)
		}
	}
}

// TestWebhookFails has services that are not there, too slow, or do not say what they
// should.
func TestWebhookFails(t *testing.T) {
	says := func(status int, body string) http.HandlerFunc {
		return func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(status)
			_, _ = io.WriteString(w, body)
		}
	}
	end := make(chan struct{})
	defer close(end)
	for name, handler := range map[string]http.HandlerFunc{
		"slow": func(_ http.ResponseWriter, r *http.Request) {
			_, _ = io.ReadAll(r.Body) // or the server does not see that the client leaves
			select {
			case <-r.Context().Done():
			case <-end:
			}
		},
		"slow body": func(w http.ResponseWriter, r *http.Request) {
			_, _ = io.ReadAll(r.Body)
			_, _ = io.WriteString(w, `{"action":`)
			w.(http.Flusher).Flush()
			select {
			case <-r.Context().Done():
			case <-end:
			}
		},
		"500": says(500, `{"action":{}}`),
		"a redirect": func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, "/other", http.StatusTemporaryRedirect)
		},
		"no JSON":             says(200, `<html>`),
		"nothing":             says(200, ``),
		"no action":           says(200, `{}`),
		"an unknown action":   says(200, `{"action":"DANCE"}`),
		"a number":            says(200, `{"action":7}`),
		"too few texts":       says(200, `{"action":{"body":{"messages":[],"choices":[]}}}`),
		"a body of its own":   says(200, `{"action":{"body":7}}`),
		"texts left out":      says(200, `{"action":"GUARDRAIL_INTERVENED"}`),
		"longer than allowed": says(200, `{"action":{"reason":"`+strings.Repeat("x", decide.MaxAsked)+`"}}`),
		"an end":              func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) },
	} {
		s := httptest.NewServer(handler)
		for _, format := range []string{decide.FormatAgentgateway, decide.FormatLiteLLM} {
			for _, open := range []string{"", decide.FailureClosed, decide.FailureOpen} {
				d := &Definition{Webhook: &decide.Webhook{URL: s.URL, Format: format, Timeout: caddy.Duration(150 * time.Millisecond), OnFailure: open}}
				const body = `{"messages":[{"role":"user","content":"a"}]}`
				after, refused, counted := guarded(t, d, chatPath, body)
				if after != body || strings.Join(counted, ",") != "fail webhook" || (open == decide.FailureOpen) != (refused == nil) || refused != nil && (refused.Status != 503 || refused.Code != "guard_unavailable") {
					t.Errorf("%s, %s, %q: %v, %v", name, format, open, refused, counted)
				}
			}
		}
		s.Close()
	}
	d := &Definition{Webhook: &decide.Webhook{URL: "http://127.0.0.1:1", Format: decide.FormatLiteLLM}, OnResponse: &OnResponse{Stream: StreamWhole}}
	for contentType, body := range map[string]string{"application/json": `{"choices":[{"message":{"content":"a"}}]}`, eventStream: chatChunk(`"a"`)} {
		if got, refused, counted := respond(t, d, noRequest, contentType, body); refused == nil || refused.Status != 503 || got != "" || strings.Join(counted, ",") != "fail webhook" {
			t.Errorf("%v, %v, %s", refused, counted, got)
		}
	}
	// What is longer than a service may be asked about is a failure too.
	if _, refused, _ := guarded(t, &Definition{Webhook: &decide.Webhook{URL: "http://127.0.0.1:1", Format: decide.FormatLiteLLM}}, chatPath,
		`{"messages":[{"role":"user","content":"`+strings.Repeat("a ", decide.MaxAsked)+`"}]}`); refused == nil || refused.Status != 503 {
		t.Errorf("too long: %v", refused)
	}
}

// TestWebhookHeaders holds which of the client's headers a service gets.
func TestWebhookHeaders(t *testing.T) {
	var header http.Header
	var body string
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		header = r.Header
		b, _ := io.ReadAll(r.Body)
		body = string(b)
		_, _ = io.WriteString(w, `{"action":"NONE"}`)
	}))
	defer s.Close()
	f, err := New(map[string]*Definition{"g": {Webhook: &decide.Webhook{URL: s.URL, Format: decide.FormatLiteLLM, ForwardHeaders: []string{"x-team"}}}}, zap.NewNop(), func(string, string, Action, string) {}, nil)
	if err != nil {
		t.Fatal(err)
	}
	r := httptest.NewRequest(http.MethodPost, chatPath, nil)
	r.Header = http.Header{"X-Team": {"blue"}, "Authorization": {"Bearer secret"}}
	_, refused := f.Begin(context.Background(), &filter.Call{Request: r, Inbound: inbound(t, chatPath, `{"messages":[{"role":"user","content":"a"}]}`), Guards: []string{"g"}, Client: filter.Client{Name: "alice"}})
	if refused != nil || header.Get("X-Team") != "blue" || header.Get("Authorization") != "" || strings.Contains(body, "secret") ||
		!strings.Contains(body, `"authorization":"[present]"`) || !strings.Contains(body, `"x-team":"blue"`) || !strings.Contains(body, `"alice"`) {
		t.Errorf("%v: %v %s", refused, header, body)
	}
}

func FuzzDifference(f *testing.F) {
	f.Add("a bob b", "a <x> b")
	f.Add("\u00e9", "\u00e8\u00e9")
	f.Add("\u00a9", "\u00e9") // the same last byte
	f.Add("0\xa9", "1\xa9")
	f.Fuzz(func(t *testing.T, was, is string) {
		if was == is || was == "" {
			return
		}
		from, to, with := difference(was, is)
		if from >= to || was[:from]+with+was[to:] != is {
			t.Errorf("%q to %q: from %d to %d %q", was, is, from, to, with)
		}
	})
}
