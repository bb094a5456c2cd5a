package google

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/caddy-llm/gateway/llmprovider"
)

// TestFetchMedia holds that URLs are refused unless fetching is configured, and that it
// reaches nothing beside the gateway.
func TestFetchMedia(t *testing.T) {
	asked := false
	beside := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { asked = true }))
	defer beside.Close()
	for _, test := range []struct{ config, url, code string }{
		{`{}`, "https://localhost/a.png", "untranslatable_field"},
		{`{"fetch_media":{}}`, "https://localhost/a.png", "media_unavailable"},
		{`{"fetch_media":{"max_size":1000}}`, beside.URL + "/a.png", "media_unavailable"},
	} {
		g := provisioned(t, test.config)
		r := httptest.NewRequest(http.MethodPost, "/v1/chat/completions", strings.NewReader(
			`{"model":"m","messages":[{"role":"user","content":[{"type":"image_url","image_url":{"url":"`+test.url+`"}}]}]}`))
		r.Header.Set("Content-Type", "application/json")
		in, refused := llmprovider.NewInbound(r)
		if refused == nil {
			refused = in.Read(r, llmprovider.DefaultMaxBody)
		}
		if refused != nil {
			t.Fatal(refused)
		}
		_, refused = g.NewAttempt(t.Context(), in, llmprovider.Settings{})
		if refused == nil || refused.Status != http.StatusBadRequest || refused.Code != test.code || refused.Param != "messages[].content[].image_url.url" {
			t.Errorf("%s with %s: got %v", test.url, test.config, refused)
		}
	}
	if asked {
		t.Error("a server beside the gateway was asked")
	}
}
