package bedrock

import (
	"net/http"
	"strings"
	"testing"
)

// TestFetchMedia holds that each of Bedrock's APIs gets no URL but those of S3 in chat
// completions, and that the URL is fetched if that is configured: here from the gateway's own
// machine, which is refused.
func TestFetchMedia(t *testing.T) {
	staticAccount(t)
	const runtime, mantle = `"region":"eu-central-1"`, `"region":"eu-central-1","host":"bedrock-mantle.eu-central-1.api.aws"`
	const chatPath, messagesPath = "/v1/chat/completions", "/v1/messages"
	images := map[string]string{
		chatPath:     `{"type":"image_url","image_url":{"url":"https://localhost/a.png"}}`,
		messagesPath: `{"type":"image","source":{"type":"url","url":"https://localhost/a.png"}}`,
	}
	for _, test := range []struct{ config, model, path string }{
		{runtime, "amazon.nova-pro-v1:0", chatPath}, {runtime, claude, chatPath}, {mantle, claude, chatPath}, {mantle, "qwen.qwen3-vl-235b-a22b", messagesPath},
	} {
		for config, code := range map[string]string{"{" + test.config + "}": "untranslatable_field", `{"fetch_media":{},` + test.config + "}": "media_unavailable"} {
			p := provisioned(t, config)
			_, refused := attempt(t, p, test.path, `{"model":"`+test.model+`","max_tokens":9,"messages":[{"role":"user","content":[`+images[test.path]+`]}]}`)
			if refused == nil || refused.Status != http.StatusBadRequest || refused.Code != code {
				t.Errorf("%s with %s: got %v, want %s", test.model, config, refused, code)
			}
		}
	}
	_, refused := attempt(t, provisioned(t, "{"+mantle+"}"), messagesPath, `{"model":"qwen.qwen3-vl-235b-a22b","max_tokens":9,"messages":[{"role":"user","content":[`+
		strings.Replace(images[messagesPath], "https://localhost", "s3://bucket", 1)+`]}]}`)
	if refused != nil {
		t.Errorf("with an image in S3: %v", refused)
	}
}
