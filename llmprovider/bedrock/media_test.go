package bedrock

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/caddy-llm/gateway/llmprovider"
)

// TestFetchMedia holds that each of Bedrock's APIs gets no URL, and that the URL is fetched
// if that is configured: here from the gateway's own machine, which is refused.
func TestFetchMedia(t *testing.T) {
	staticAccount(t)
	const runtime, mantle = `"region":"eu-central-1"`, `"region":"eu-central-1","host":"bedrock-mantle.eu-central-1.api.aws"`
	for _, test := range []struct{ config, model string }{{runtime, "amazon.nova-pro-v1:0"}, {runtime, claude}, {mantle, claude}} {
		for config, code := range map[string]string{"{" + test.config + "}": "untranslatable_field", `{"fetch_media":{},` + test.config + "}": "media_unavailable"} {
			p := provisioned(t, config)
			r := httptest.NewRequest(http.MethodPost, "/v1/chat/completions", strings.NewReader(
				`{"model":"`+test.model+`","messages":[{"role":"user","content":[{"type":"image_url","image_url":{"url":"https://localhost/a.png"}}]}]}`))
			r.Header.Set("Content-Type", "application/json")
			in, refused := llmprovider.NewInbound(r)
			if refused == nil {
				refused = in.Read(r, llmprovider.DefaultMaxBody)
			}
			if refused != nil {
				t.Fatal(refused)
			}
			_, refused = p.NewAttempt(t.Context(), in, llmprovider.Settings{})
			if refused == nil || refused.Status != http.StatusBadRequest || refused.Code != code {
				t.Errorf("%s with %s: got %v, want %s", test.model, config, refused, code)
			}
		}
	}
}
