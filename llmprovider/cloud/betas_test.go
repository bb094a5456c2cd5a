package cloud

import (
	"slices"
	"testing"

	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"
)

func TestBetas(t *testing.T) {
	core, logs := observer.New(zap.WarnLevel)
	b := NewBetas([]string{"context-1m", "interleaved-thinking", "tool-search-tool", "plain"}, zap.New(core))
	for range 2 {
		got := b.Of([]string{
			"claude-code-20250219,interleaved-thinking-2025-05-14, context-1m-2025-08-07,context-1m-2027-01-01",
			" ,plain, plain ,oauth-2025-04-20,advanced-tool-use-2025-11-20,tool-search-tool-2025-10-19, context-1m-x, context-1m2025-08-07",
		})
		want := []string{"interleaved-thinking-2025-05-14", "context-1m-2025-08-07", "context-1m-2027-01-01", "plain", "tool-search-tool-2025-10-19"}
		if !slices.Equal(got, want) {
			t.Errorf("%q, want %q", got, want)
		}
	}
	var left []string
	for _, entry := range logs.All() {
		left = append(left, entry.ContextMap()["beta"].(string))
	}
	if want := []string{"claude-code-20250219", "oauth-2025-04-20", "context-1m-x", "context-1m2025-08-07"}; !slices.Equal(left, want) {
		t.Errorf("logged %q, want each once: %q", left, want)
	}
	if b.Of(nil) != nil {
		t.Error("without a header there are some")
	}
}
