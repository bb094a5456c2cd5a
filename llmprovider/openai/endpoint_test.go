package openai

import (
	"net/url"
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
