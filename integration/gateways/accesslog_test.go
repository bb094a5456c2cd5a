package gateways_test

import (
	"encoding/json"
	"net/http"
	"strings"
	"testing"

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
