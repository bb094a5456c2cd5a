package upstream

import (
	"context"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/caddy-llm/gateway/llmprovider"
)

// inbound is a client's chat completion with the body.
func inbound(t testing.TB, body string) *llmprovider.Inbound {
	t.Helper()
	r := httptest.NewRequest(http.MethodPost, "/v1/chat/completions", strings.NewReader(body))
	in, refused := llmprovider.NewInbound(r)
	if refused == nil {
		refused = in.Read(r, llmprovider.DefaultMaxBody)
	}
	if refused != nil {
		t.Fatal(refused)
	}
	return in
}

// attempt is one to the connection's chat completions, with the edits.
func attempt(t testing.TB, p *Connection, ctx context.Context, in *llmprovider.Inbound, edits llmprovider.Edits) *llmprovider.Attempt {
	t.Helper()
	path, err := ParsePath(DefaultPath)
	if err != nil {
		t.Fatal(err)
	}
	a, refused := p.NewAttempt(ctx, in, &llmprovider.Outgoing{URL: p.URL(path), Stream: in.Stream, Edits: edits})
	if refused != nil {
		t.Fatal(refused)
	}
	return a
}
