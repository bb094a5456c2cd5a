package llmroute

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
)

// TestKeysNameGuardsAndPrompts holds that the guards and prompts on the line of a virtual key
// are for the requests with it, and that a name without a definition refuses them.
func TestKeysNameGuardsAndPrompts(t *testing.T) {
	var mu sync.Mutex
	var sent string
	up := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		mu.Lock()
		sent = string(body)
		mu.Unlock()
		w.Header().Set("Content-Type", "application/json")
		_, _ = io.WriteString(w, `{"object":"chat.completion","choices":[]}`)
	}))
	defer up.Close()
	app := fmt.Sprintf(`{"status_listen":"off","providers":{"keys-upstream":{"kind":"openai","host":"127.0.0.1","scheme":"http","port":%s}},`+
		`"guards":{"pii":{"mask":[{"builtin":"email"}]},"policy":{"deny":[{"regex":"zebra"}]}},"prompts":{"house":{"prepend":[{"role":"system","content":"Be kind."}]}}}`,
		up.URL[strings.LastIndexByte(up.URL, ':')+1:])
	const carolKey, daveKey = "sk-carol-0123456789abcdef", "sk-dave-0123456789abcdef"
	s := keysGateway(t, writeKeys(t, keyLine("alice", aliceKey, "guards", "pii,policy", "prompt", "house"), keyLine("bob", bobKey),
		keyLine("carol", carolKey, "guards", "none"), keyLine("dave", daveKey, "prompt", "none")), app)

	for _, tc := range []struct {
		name, key, text string
		status          int
		says, sent      string
	}{
		{"masked, with a prompt", aliceKey, "mail bob@example.com", 200, "", "mail [EMAIL]"},
		{"denied", aliceKey, "a zebra", 403, "guard policy", ""},
		{"another client", bobKey, "a zebra, bob@example.com", 200, "", "a zebra, bob@example.com"},
		{"no such guard", carolKey, "hello", 503, "guard_unavailable", ""},
		{"no such prompt", daveKey, "hello", 503, "prompt_unavailable", ""},
	} {
		t.Run(tc.name, func(t *testing.T) {
			mu.Lock()
			sent = ""
			mu.Unlock()
			req, _ := http.NewRequest(http.MethodPost, s.URL+"/v1/chat/completions", strings.NewReader(`{"model":"m","messages":[{"role":"user","content":"`+tc.text+`"}]}`))
			req.Header.Set("Content-Type", "application/json")
			req.Header.Set("Authorization", "Bearer "+tc.key)
			res, err := s.Client().Do(req)
			if err != nil {
				t.Fatal(err)
			}
			defer res.Body.Close()
			body, _ := io.ReadAll(res.Body)
			mu.Lock()
			defer mu.Unlock()
			if res.StatusCode != tc.status || !strings.Contains(string(body), tc.says) || !strings.Contains(sent, tc.sent) || (tc.sent == "") != (sent == "") {
				t.Errorf("status %d, the provider got %s: %s", res.StatusCode, sent, body)
			}
			if strings.Contains(sent, "Be kind.") != (tc.key == aliceKey && sent != "") {
				t.Errorf("the prompt is in the wrong requests: %s", sent)
			}
		})
	}
}
