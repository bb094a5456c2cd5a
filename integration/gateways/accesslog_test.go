package gateways_test

import (
	"bufio"
	"context"
	"encoding/json"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/caddy-llm/gateway/integration/fakeprovider"
	"github.com/caddy-llm/gateway/integration/gateway"
)

// TestAccessLog reads what is logged of a request with credentials in all the
// places that clients put them.
func TestAccessLog(t *testing.T) {
	w := start(t, gatewayObject(server(80, "'*'")), "")
	w.params["Sites"] = ""
	if err := w.Reload(strings.Replace(gateway.Render(t, config, w.params), "status_listen off", "status_listen off\n\t\taccess_log", 1)); err != nil {
		t.Fatal(err)
	}
	w.answers(client(t, w.http, nil), "http://gw", "a.example.com", 200)
	t.Run("events are not held back", func(t *testing.T) { firstOfTwoEvents(t, w) })
	req, _ := http.NewRequest(http.MethodPost, "http://gw/v1/chat/completions?key=secret-1", strings.NewReader(chat))
	for _, name := range []string{"Authorization", "X-Api-Key", "Api-Key", "X-Goog-Api-Key", "Cookie"} {
		req.Header.Set(name, "secret-2")
	}
	req.Header.Set("Content-Type", "application/json")
	res, err := client(t, w.http, nil).Do(req)
	if err != nil {
		t.Fatal(err)
	}
	_ = res.Body.Close()
	for _, host := range []string{"a.example.com", "gw"} {
		line := w.WaitLog(`"host":"` + host + `"`)
		var got struct {
			Status  int
			Model   string `json:"request_model"`
			Prompt  int    `json:"request_prompt_tokens"`
			Request struct{ Method, URI string }
		}
		if err := json.Unmarshal([]byte(line.Raw), &got); err != nil {
			t.Fatal(err)
		}
		if line.Logger != "http.log.access" || got.Status != 200 || got.Model != "qwen1.5-72b-chat" || got.Prompt == 0 || got.Request.Method != "POST" || strings.Contains(line.Raw, "secret-") {
			t.Errorf("the line is %s", line.Raw)
		}
	}
}

// firstOfTwoEvents reads an event of a stream that does not go on.
func firstOfTwoEvents(t *testing.T, w *world) {
	t.Helper()
	const event = `data: {"id":"c","object":"chat.completion.chunk","choices":[{"index":0,"delta":{"content":"x"}}]}` + "\n\n"
	w.provider.Script(fakeprovider.Always(fakeprovider.SSE(event, event).HangAfter(1)))
	defer w.provider.Script(fakeprovider.Default)
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://"+w.http, strings.NewReader(`{"stream":true,"messages":[]}`))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/json")
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	if line, err := bufio.NewReader(res.Body).ReadString('\n'); err != nil || line+"\n" != event {
		t.Errorf("got %q, %v", line, err)
	}
}
