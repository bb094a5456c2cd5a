package llmprovider

import (
	"net/http"
	"strings"
	"testing"

	"github.com/caddy-llm/gateway/llmprovider/headername"
)

func TestLoops(t *testing.T) {
	others := func(n int) string {
		return strings.TrimSuffix(strings.Repeat(loopName+"other123, ", n), ", ")
	}
	for _, test := range []struct {
		name  string
		lines []string
		loop  bool
	}{
		{"no mark", nil, false},
		{"another product", []string{"cloudflare; loops=1; subreqs=1"}, false},
		{"another gateway", []string{others(1)}, false},
		{"itself", loopMark, true},
		{"itself in a list", []string{"cloudflare; loops=1, " + loopMark[0] + ", fastly"}, true},
		{"itself without spaces, with parameters", []string{"a," + loopMark[0] + ";x=\"1\""}, true},
		{"itself on a second line", []string{"cloudflare", loopMark[0]}, true},
		{"as many gateways as may be", []string{others(maxGateways - 1)}, false},
		{"too many gateways", []string{others(maxGateways)}, true},
		{"too many gateways on several lines", []string{others(maxGateways - 2), "fastly", others(2)}, true},
	} {
		t.Run(test.name, func(t *testing.T) {
			err := CheckLoop(http.Header{headername.Loop: test.lines})
			if (err != nil) != test.loop {
				t.Fatalf("the error is %v, want one: %v", err, test.loop)
			}
			if err != nil && (err.Status != http.StatusLoopDetected || err.Code != "loop_detected") {
				t.Errorf("the error is %d %s", err.Status, err.Code)
			}
			// Whatever there was is kept, in its order, and what is sent is known again.
			marked := MarkLoop(http.Header{headername.Loop: test.lines})
			if want := strings.Join(append(test.lines[:len(test.lines):len(test.lines)], loopMark[0]), ", "); len(marked) != 1 || marked[0] != want {
				t.Errorf("the mark is %q, want %q", marked, want)
			}
			if CheckLoop(http.Header{headername.Loop: marked}) == nil {
				t.Error("the mark is not known again")
			}
		})
	}
}
