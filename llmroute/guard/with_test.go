package guard

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"go.uber.org/zap"
)

// TestWith holds that guards that did not change are taken over, and those that cannot be
// used are named.
func TestWith(t *testing.T) {
	word := func(w string) *Definition { return &Definition{Deny: []Pattern{{Regex: w}}} }
	base, err := New(map[string]*Definition{"own": word("a")}, zap.NewNop(), func(string, string, Action, string) {}, nil)
	if err != nil {
		t.Fatal(err)
	}
	one, failed := base.With(map[string]*Definition{"ns/p/same": word("b"), "ns/p/other": word("c"), "ns/p/bad": word("("), "ns/p/null": nil}, base)
	if len(failed) != 2 || failed["ns/p/bad"] == nil || failed["ns/p/null"] == nil || one.guards["ns/p/bad"] != nil {
		t.Errorf("failed are %v", failed)
	}
	two, failed := base.With(map[string]*Definition{"ns/p/same": word("b"), "ns/p/other": word("d")}, one)
	if failed != nil || two.guards["ns/p/same"] != one.guards["ns/p/same"] || two.guards["ns/p/other"] == one.guards["ns/p/other"] || two.guards["own"] != base.guards["own"] {
		t.Errorf("%v: what did not change is not taken over", failed)
	}
	if len(base.guards) != 1 {
		t.Error("the base changed")
	}
}

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
	q := &question{of: onRequest, messages: []message{{"user", "text"}}, header: client}
	if _, err := newWebhook(w).ask(t.Context(), q); err != nil {
		t.Fatal(err)
	}
	if got.Get("X-Api-Key") != "secret" || got.Get("X-Team") != "a" || got.Get("Sec-Fetch-Mode") != "no-cors" {
		t.Errorf("the service got %v", got)
	}
	if got := newWebhook(w).headers(client)["x-api-key"]; strings.Contains(got, "secret") {
		t.Errorf("the body has the credential: %q", got)
	}
}
