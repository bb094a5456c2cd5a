package status

import (
	"regexp"
	"strings"
	"testing"

	"github.com/caddy-llm/gateway/llmroute/spec"
)

// TestStatusPageSource holds the page to what makes text safe, whatever is in
// it: nothing turns text into elements, and nothing comes from elsewhere.
func TestStatusPageSource(t *testing.T) {
	for _, pattern := range []string{
		`innerHTML`, `outerHTML`, `insertAdjacentHTML`, `document\.write`, `\beval\(`, `new Function`, `srcdoc`, `DOMParser`, `createContextualFragment`,
		`\son\w+=`, `javascript:`, `\sstyle=`, `https?://[^'w]`, `<link rel="stylesheet`, `<script src`, `@import`, `url\(`,
	} {
		if found := regexp.MustCompile(pattern).Find(statusPage); found != nil {
			t.Errorf("the page has %q", found)
		}
	}
	for _, element := range []string{"<script>", "</script>", "<style>", "</style>"} {
		if n := strings.Count(string(statusPage), element); n != 1 {
			t.Errorf("the page has %s %d times, and the policy allows one", element, n)
		}
	}
}

func TestSharesOfTheLargestWeights(t *testing.T) {
	largest := 1 << 30
	var rule Rule
	for range 4 {
		rule.Backends = append(rule.Backends, Backend{Backend: &spec.Backend{Weight: &largest}, Usable: true})
	}
	for _, b := range ruleRows([]Rule{rule})[0].Backends {
		if b.Share != .25 {
			t.Errorf("the share is %v, want 0.25", b.Share)
		}
	}
}
