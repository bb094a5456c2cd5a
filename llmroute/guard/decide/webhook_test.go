package decide

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

// TestGuardedWebhook holds that a webhook of an object gets the headers that its source set,
// and that one whose name leads to an internal address is not asked.
func TestGuardedWebhook(t *testing.T) {
	var got http.Header
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		got = r.Header
		_, _ = w.Write([]byte(`{"action":{}}`))
	}))
	defer server.Close()
	client := http.Header{"X-Api-Key": {"the client's"}, "X-Team": {"a"}}
	w := &Webhook{URL: server.URL, Format: FormatAgentgateway, ForwardHeaders: []string{"X-Team", "X-Api-Key"}, FixedHeaders: map[string]string{"x-api-key": "secret"}, Guarded: true}
	q := &Question{Of: OnRequest, Messages: []Message{{"user", "text"}}, Header: client}
	if _, err := NewWebhook(w).Ask(t.Context(), q); err != nil {
		t.Fatal(err)
	}
	if got.Get("X-Api-Key") != "secret" || got.Get("X-Team") != "a" || got.Get("Sec-Fetch-Mode") != "no-cors" {
		t.Errorf("the service got %v", got)
	}
	if got := NewWebhook(w).(*webhook).headers(client)["x-api-key"]; strings.Contains(got, "secret") {
		t.Errorf("the body has the credential: %q", got)
	}
}
