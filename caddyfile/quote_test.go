package caddyfile

import (
	"fmt"
	"strings"
	"testing"

	"github.com/caddyserver/caddy/v2/caddyconfig"
)

// TestKeysAtTheWrongPlace holds that no error repeats a key, wherever in a Caddyfile it
// stands.
func TestKeysAtTheWrongPlace(t *testing.T) {
	adapter := caddyconfig.GetAdapter("caddyfile")
	places := []string{
		"{\nllm K\n}", "{\nllm {\nK\n}\n}", "{\nllm {\nprovider K {\nK\n}\n}\n}", "{\nllm {\nprovider a K\n}\n}", "{\nllm {\nprovider a/K\n}\n}",
		"{\nllm {\nsource K\n}\n}", "{\nllm {\nstatus_page K\n}\n}",
		":80 {\nllm_route K\n}", ":80 {\nllm_route {\nK\n}\n}", ":80 {\nllm_route {\nto K\n}\n}", ":80 {\nllm_route {\nto a weight K\n}\n}", ":80 {\nllm_route {\nto a K\n}\n}",
		":80 {\nllm_route {\nrule K {\nK\n}\n}\n}", ":80 {\nllm_route {\nmatch K\n}\n}", ":80 {\nllm_route {\nretry_on K\n}\n}", ":80 {\nllm_route {\npolicy K\n}\n}",
		":80 {\nllm_authz {\nK\n}\n}", ":80 {\nllm_authz {\nallow a {\nK\n}\n}\n}", ":80 {\nllm_authz {\nallow a {\nfrom K b\n}\n}\n}", ":80 {\nllm_status K\n}",
	}
	for _, option := range []string{
		"K", "api_key K", "api_key K b", "model K b", "header X-Pass K", "header X-Team K b", "header X-Key:K b", "header K b", "scheme K", "port K", "path K", "stream K", "dial_timeout K", "kind K",
		"for K", "for r {\nK\n}", "for r {\nstream K\n}", "forward_headers K", "keep_stream_options K", "transport K",
	} {
		places = append(places, "{\nllm {\nprovider a {\n"+option+"\n}\n}\n}", "{\nllm {\nprovider a {\nhost a.example.com\n"+option+"\n"+option+"\n}\n}\n}")
	}
	for _, key := range []string{"sk-Ab3dEfGh1jKlMn0p", "sk-ab3defgh1jklmn0p", `"Bearer Ab3dEfGh1jKlMn0p"`, "https://u:Ab3dEfGh1jKlMn0p@h", "/v1?key=Ab3dEfGh1jKlMn0p"} {
		for _, place := range places {
			text := strings.ReplaceAll(place, "K", key)
			_, _, err := adapter.Adapt([]byte(text), map[string]any{"filename": "Caddyfile"})
			if shown := strings.ToLower(fmt.Sprint(err)); strings.Contains(shown, "ab3defgh1jklmn0p") {
				t.Errorf("%s\n%v", text, err)
			}
		}
	}
}
