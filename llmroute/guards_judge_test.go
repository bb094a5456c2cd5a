package llmroute

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	_ "github.com/caddy-llm/gateway/llmprovider/anthropic"
)

// TestGuardAsksJudge has a model decide about requests and responses: one that speaks the
// API of chat, and one that is asked in another.
func TestGuardAsksJudge(t *testing.T) {
	var mu sync.Mutex
	var asked []string
	said := func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		mu.Lock()
		asked = append(asked, r.URL.Path+" "+string(body))
		mu.Unlock()
		content, status := `{"result":"allow"}`, 200
		switch text := string(body); {
		case strings.Contains(text, "zebra"):
			content = "```json\n{\"result\": \"deny\", \"reason\": \"zebra\"}\n```"
		case strings.Contains(text, "words"):
			content = "I would deny this."
		case strings.Contains(text, "other"):
			content = `{"result":"maybe"}`
		case strings.Contains(text, "two"):
			content = `{"result":"allow"}{"result":"deny"}`
		case strings.Contains(text, "broken"):
			status = 500
		}
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(status)
		answer := map[string]any{"choices": []any{map[string]any{"message": map[string]any{"role": "assistant", "content": content}, "finish_reason": "stop"}}}
		if strings.HasSuffix(r.URL.Path, "/messages") {
			answer = map[string]any{
				"id": "m", "type": "message", "role": "assistant", "model": "m", "content": []any{map[string]any{"type": "text", "text": content}},
				"stop_reason": "end_turn", "usage": map[string]any{"input_tokens": 1, "output_tokens": 1},
			}
		}
		_ = json.NewEncoder(w).Encode(answer)
	}
	prompt := filepath.Join(t.TempDir(), "judge.txt")
	if err := os.WriteFile(prompt, []byte("Deny animals.\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	model, good, bad := newUpstream(t, said), newUpstream(t, streamedWords("nothing of that")), newUpstream(t, streamedWords("a zebra and more"))
	judge, p, q := unique("judge"), unique("p"), unique("q")
	for _, kind := range []string{"", `"kind":"anthropic"`} {
		path := "/v1/chat/completions"
		if kind != "" {
			path = "/messages"
		}
		for _, test := range []struct {
			provider, failure, content, code string
			status                           int
		}{
			{p, "closed", "fine", "", 200}, {p, "closed", "a z\\u0065bra", "content_policy", 403}, {q, "closed", "fine", "content_policy", 403},
			{p, "closed", "words", "guard_unavailable", 503}, {p, "open", "words", "", 200}, {p, "closed", "other", "guard_unavailable", 503},
			{p, "closed", "two", "guard_unavailable", 503}, {p, "closed", "broken", "guard_unavailable", 503}, {p, "open", "broken", "", 200},
		} {
			app := guarded(fmt.Sprintf(`"g":{"judge":{"provider":%q,"model":"small","prompt_file":%q,"on_failure":%q},"on_request":true,"on_response":{"stream":"whole"}}`, judge, prompt, test.failure),
				judge, model.provider(kind), p, good.provider(""), q, bad.provider(""))
			g := newGateway(t, app, fmt.Sprintf(`{"rules":[{"guards":["g"],"backends":[{"provider":%q,"model":"m"}]}]}`, test.provider))
			asked = nil
			res, body := g.post(t, `{"messages":[{"role":"user","content":"`+test.content+`"}]}`)
			if res.StatusCode != test.status || !strings.Contains(body, test.code) || strings.Contains(body, "zebra") {
				t.Errorf("%s %+v: %d %s", kind, test, res.StatusCode, body)
			}
			if len(asked) == 0 || !strings.Contains(asked[0], path+" ") || !strings.Contains(asked[0], "Deny animals.") || !strings.Contains(asked[0], `"model":"small"`) {
				t.Errorf("%s %+v: asked %q", kind, test, asked)
			}
		}
	}
	for says, guard := range map[string]string{
		`guard g: judge: there is no provider "nobody"`: fmt.Sprintf(`{"provider":"nobody","prompt_file":%q}`, prompt),
		`names no model`:      fmt.Sprintf(`{"provider":%q,"prompt_file":%q}`, p, prompt),
		`reading prompt_file`: fmt.Sprintf(`{"provider":%q,"model":"m","prompt_file":%q}`, p, prompt+"x"),
	} {
		_, err := tryGateway(t, guarded(`"g":{"judge":`+guard+`}`, p, good.provider("")), fmt.Sprintf(`{"rules":[{"backends":[{"provider":%q}]}]}`, p))
		if err == nil || !strings.Contains(err.Error(), says) {
			t.Errorf("%s: %v", says, err)
		}
	}
}
