package dataplane_test

import (
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/caddy-llm/gateway/integration/fakeprovider"
)

// TestAdminShowsWhatIsLive asks GET /llm where everything came from, and looks
// for keys wherever they must not be.
func TestAdminShowsWhatIsLive(t *testing.T) {
	s, servers := startFiles(t, "50ms", manifest(1, backend{hostA, 1}, backend{hostB, 1}), hostA, hostB, hostC)
	servers[hostC].Script(fakeprovider.Always(fakeprovider.JSON(401, `{"error":{"message":"bad key"}}`)))
	c := newClient(t)
	for range 4 {
		mustPost(t, c, s.url, demoHost)
	}
	mark := s.LogMark()
	s.WriteFile(manifestFile, manifest(2, backend{hostC, 1}, backend{hostB, 0}))
	s.WaitLogSince(mark, "configuration from the source applied")
	if got := post(c, s.url, demoHost); got.status != http.StatusUnauthorized {
		t.Errorf("the provider's 401 was passed on as %v", &got)
	}

	v, text := s.getView()
	shown := map[string]string{}
	for _, p := range v.Providers {
		shown[p.Host] = p.Origin
	}
	for _, host := range []string{hostB, hostC} {
		if origin := shown[host]; !strings.Contains(origin, "demo/"+host) || !strings.Contains(origin, manifestFile) {
			t.Errorf("GET /llm gives provider %s the origin %q, want its object and its file", host, origin)
		}
	}
	if len(shown) != 2 {
		t.Errorf("GET /llm shows %d providers, want 2: %s", len(shown), text)
	}
	if !strings.Contains(text, `"table":"mesh"`) || !strings.Contains(text, version(2)) || strings.Contains(text, version(1)) {
		t.Errorf("GET /llm shows not the routes of version 2: %s", text)
	}

	places := map[string]string{"GET /llm": text, "the log": ""}
	for _, path := range []string{"/config/", "/metrics"} {
		_, body := s.AdminGet(path)
		places["GET "+path] = string(body)
	}
	for _, line := range s.Logs() {
		places["the log"] += line.Raw + "\n"
	}
	saved, err := os.ReadFile(filepath.Join(s.Dir, "home/config/caddy/autosave.json"))
	if err != nil {
		t.Errorf("reading the autosaved config: %v", err)
	}
	places["the autosaved config"] = string(saved)
	for place, text := range places {
		if i := strings.Index(text, "sk-kept"); i >= 0 {
			t.Errorf("%s holds a key: …%.200s", place, text[max(i-100, 0):])
		}
	}
}
