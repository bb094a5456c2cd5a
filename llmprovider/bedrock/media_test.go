package bedrock

import (
	"net/http"
	"testing"
)

// TestFetchMedia holds that each of Bedrock's APIs gets no URL, and that the URL is fetched
// if that is configured: here from the gateway's own machine, which is refused.
func TestFetchMedia(t *testing.T) {
	staticAccount(t)
	const runtime, mantle = `"region":"eu-central-1"`, `"region":"eu-central-1","host":"bedrock-mantle.eu-central-1.api.aws"`
	for _, test := range []struct{ config, model string }{{runtime, "amazon.nova-pro-v1:0"}, {runtime, claude}, {mantle, claude}} {
		for config, code := range map[string]string{"{" + test.config + "}": "untranslatable_field", `{"fetch_media":{},` + test.config + "}": "media_unavailable"} {
			p := provisioned(t, config)
			_, refused := attempt(t, p, "/v1/chat/completions",
				`{"model":"`+test.model+`","messages":[{"role":"user","content":[{"type":"image_url","image_url":{"url":"https://localhost/a.png"}}]}]}`)
			if refused == nil || refused.Status != http.StatusBadRequest || refused.Code != code {
				t.Errorf("%s with %s: got %v, want %s", test.model, config, refused, code)
			}
		}
	}
}
