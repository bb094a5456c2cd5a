package tap

import (
	"bytes"
	"net/http"
	"strings"
	"testing"

	"github.com/caddy-llm/gateway/integration/fakeprovider"
	"github.com/caddy-llm/gateway/integration/fixtures"
	"github.com/caddy-llm/gateway/llmprovider"
)

// readAnswer passes body through the reader in pieces of the given size and
// returns what the client would get. Pieces are overwritten after each call, as
// a connection's buffer is.
func readAnswer(t testing.TB, r llmprovider.Reader, body []byte, piece int) []byte {
	t.Helper()
	var out bytes.Buffer
	pass := func(p []byte) error {
		if len(p) == 0 {
			t.Error("an empty slice was passed on")
		}
		out.Write(p)
		return nil
	}
	buf := make([]byte, piece)
	for len(body) > 0 {
		n := copy(buf, body)
		if err := r.Write(buf[:n], pass); err != nil {
			t.Fatal(err)
		}
		for i := range buf {
			buf[i] = '#'
		}
		body = body[n:]
	}
	if err := r.Finish(pass); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

// pieceSizes are the sizes that a response is cut into.
func pieceSizes(n int) []int { return []int{1, 2, 3, 7, 61, 4 << 10, 8 << 10, max(n, 1)} }

func TestEveryProviderAnswerIsReadAtEveryPieceSize(t *testing.T) {
	for _, f := range fixtures.Load(t) {
		t.Run(f.ID, func(t *testing.T) {
			sizes := pieceSizes(len(f.Body))
			for _, hide := range []bool{false, true} {
				for _, size := range sizes {
					if size < 61 && len(f.Body) > 64<<10 && testing.Short() {
						continue
					}
					attempt := &llmprovider.Attempt{HideUsage: hide}
					r := NewReader(attempt, &http.Response{Header: f.Header}, llmprovider.IsEvents(f.Header))
					got := readAnswer(t, r, f.Body, size)
					if want := expectedOutput(f, hide); !bytes.Equal(got, want) {
						t.Fatalf("hide %v, pieces of %d: the client got\n%q\nwant\n%q", hide, size, got, want)
					}
					checkUsage(t, f, *r.Usage(), size)
					if f.Stream && r.Failed() != f.Want.StreamError {
						t.Errorf("pieces of %d: failed is %v, want %v", size, r.Failed(), f.Want.StreamError)
					}
				}
			}
		})
	}
}

// expectedOutput is the fixture without the events that carry usage and no
// choices, and without usage that is null.
func expectedOutput(f fixtures.Fixture, hide bool) []byte {
	if !hide || !f.Stream || f.Kind == "responses" {
		return f.Body
	}
	var out []byte
	for _, event := range fakeprovider.Events(f.Body) {
		out = append(out, shownEvent(event)...)
	}
	return out
}

func checkUsage(t *testing.T, f fixtures.Fixture, got llmprovider.Usage, size int) {
	t.Helper()
	want := llmprovider.Usage{Model: f.Want.Model, FinishReason: f.Want.FinishReason}
	if u := f.Want.Usage; u != nil {
		want.Known = true
		want.PromptTokens, want.CompletionTokens, want.CachedTokens, want.ReasoningTokens = u.Prompt, u.Completion, u.Cached, u.Reasoning
	}
	switch f.Kind {
	case "responses": // which has a status in place of a finish reason
		want.FinishReason = "completed"
		for _, status := range []string{"failed", "incomplete"} {
			if strings.Contains(f.Name, status) {
				want.FinishReason = status
			}
		}
	case "models", "error":
		want.Model, got.Model = "", ""
	}
	if got != want {
		t.Errorf("pieces of %d: read %+v, want %+v", size, got, want)
	}
}
