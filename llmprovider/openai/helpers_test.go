package openai

import (
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"testing"

	"github.com/caddy-llm/gateway/llmprovider"
)

const keyText = "sk-never-shown"

func post(path, contentType, body string) *http.Request {
	r := httptest.NewRequest(http.MethodPost, path, strings.NewReader(body))
	r.Header.Del("Content-Type")
	if contentType != "" {
		r.Header.Set("Content-Type", contentType)
	}
	return r
}

// read reads a request that is expected to be good.
func read(t testing.TB, r *http.Request) *llmprovider.Inbound {
	t.Helper()
	in, refused := llmprovider.NewInbound(r)
	if refused == nil {
		refused = in.Read(r, llmprovider.DefaultMaxBody)
	}
	if refused != nil {
		t.Fatalf("%s %s: %v", r.Method, r.URL, refused)
	}
	return in
}

func writeSecret(t *testing.T, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}
