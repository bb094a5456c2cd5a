package openai

import (
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"

	"github.com/caddy-llm/gateway/llmprovider"
)

func TestPathsOfAProvider(t *testing.T) {
	for _, test := range []struct {
		configured, method, path string
		want                     bool
	}{
		{"/api/generate", "POST", "/api/generate", true},
		{"/api/generate", "POST", "/api/generate/", true},
		{"/api/generate?key=1", "POST", "/api/generate?x=1", true},
		{"/api/generate/", "POST", "/api/generate", true},
		{"/api/generate", "POST", "/API/generate", false},
		{"/api/generate", "POST", "/api/generat%65", false},
		{"/api/generate", "POST", "/api", false},
		{"/api/generate", "POST", "/v1/x", false},
		{"/a%20b/x", "POST", "/a%20b/x", true},
		{"/v1beta/openai.x/chat/completions", "POST", "/v1beta/openai.x/embeddings", true},
		{"/v1beta/openai.x/chat/completions", "POST", "/v1beta/openai.x/chat/embeddings", false},
		{"/v1beta/openai.x/chat/completions", "GET", "/v1beta/openai.x/models", true},
		{"/v1beta/openai.x/chat/completions", "GET", "/v1beta/openai.x/models/a/b", true},
		{"/v1beta/openai.x/chat/completions", "POST", "/v1beta/openai.x/models", false},
		{"/models/chat/completions", "POST", "/models/chat/completions", true},
		{"/models/chat/completions", "POST", "/models/embeddings", true},
		{"/custom/embeddings", "POST", "/custom/embeddings", true},
		{"/custom/embeddings", "POST", "/custom/completions", false},
	} {
		at, err := url.Parse(test.path)
		if err != nil {
			t.Fatal(err)
		}
		p := provisioned(t, `{"host":"a.example","path":"`+test.configured+`"}`)
		e := llmprovider.EndpointOf(test.method, at)
		if got := p.Has(e); got != test.want || e.Own == "" {
			t.Errorf("a provider at %s has %s %s (%+v): %v", test.configured, test.method, test.path, e, got)
		}
	}
}

// TestPathsReachTheirEndpoint holds, for all endpoints and paths of a provider, that a
// request reaches the endpoint that it was judged as, or none: a provider that has
// embeddings alone takes no chat completion.
func TestPathsReachTheirEndpoint(t *testing.T) {
	suffixes := append(llmprovider.Suffixes(), llmprovider.ModelsSuffix, llmprovider.ChatSuffix)
	for _, configured := range append(suffixes, "/generate", "") {
		for _, base := range []string{"", "/v1", "/a%2Fb/v1", "/chat"} {
			for _, end := range []string{"", "/", "?x=1"} {
				if base+configured == "" {
					continue
				}
				apis := ""
				if strings.HasSuffix(base+configured, llmprovider.ChatSuffix) {
					apis = `,"apis":{"responses":{}}`
				}
				p := provisioned(t, `{"host":"a.example","path":"`+base+configured+end+`"`+apis+`}`)
				for _, called := range append(suffixes, "/") {
					if called == llmprovider.ModelsSuffix || strings.HasPrefix(called, llmprovider.ResponsesSuffix) && (configured == "/generate" || configured == "") {
						continue // the latter become chat completions
					}
					if configured == llmprovider.ResponsesSuffix && (called == "/" || called == llmprovider.ChatSuffix) {
						continue // and these responses; see TestWhichAPIKeepsMost
					}
					a, refused := p.NewAttempt(t.Context(), read(t, post(called, "", `{}`)), llmprovider.Settings{})
					reached := "" // nothing
					if refused == nil {
						reached = strings.TrimSuffix(a.Request.URL.Path, "/") + "/"
					} else if refused.Status != http.StatusNotFound {
						t.Fatalf("%s: %v", called, refused)
					}
					chat := called == "/" || called == llmprovider.ChatSuffix
					switch other := slices.IndexFunc(suffixes, func(s string) bool { return strings.HasSuffix(reached, s+"/") }); {
					case reached == "" && (configured == llmprovider.ChatSuffix || configured == called || chat && (configured == "/generate" || configured == "")):
						t.Errorf("a provider at %s%s%s refuses %s: %v", base, configured, end, called, refused)
					case reached == "":
					case chat && other >= 0 && !strings.HasSuffix(reached, llmprovider.ChatSuffix+"/"), !chat && !strings.HasSuffix(reached, called+"/"):
						t.Errorf("a provider at %s%s%s gets %s at %s", base, configured, end, called, reached)
					}
				}
			}
		}
	}
}
