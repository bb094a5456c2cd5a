package gemini

import (
	"encoding/base64"
	"runtime"
	"strings"
	"testing"

	"github.com/caddy-llm/gateway/llmprovider/dialect"
)

// Media in the request are not copied while it is read, unless they are in base64 for
// URLs, which becomes the standard one.
func TestMedia(t *testing.T) {
	raw := strings.Repeat("\xfb\xff\xfe?", 1<<18)
	for name, tc := range map[string]struct {
		data  string
		limit uint64
	}{
		"standard": {base64.StdEncoding.EncodeToString([]byte(raw)), 64 << 10},
		"for URLs": {base64.URLEncoding.EncodeToString([]byte(raw)), 3 << 19},
	} {
		body := []byte(`{"contents":[{"parts":[{"inlineData":{"mimeType":"image/png","data":"` + tc.data + `"}}]}]}`)
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		r, refused := dialect.Read(API, body, dialect.Call{})
		runtime.ReadMemStats(&after)
		if refused != nil {
			t.Fatal(refused)
		}
		if took := after.TotalAlloc - before.TotalAlloc; took > tc.limit {
			t.Errorf("%s: reading takes %d bytes of memory", name, took)
		}
		if got := string(r.Turns[0].Parts[0].Media.Data); got != base64.StdEncoding.EncodeToString([]byte(raw)) {
			t.Errorf("%s: the content is another one", name)
		}
	}
}
