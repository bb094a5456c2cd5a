package guard

import (
	"context"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"go.uber.org/zap"

	"github.com/caddy-llm/gateway/llmprovider"
	"github.com/caddy-llm/gateway/llmroute/filter"
)

// TestWhatIsMadeOfABodyCounts has requests of very many small parts: the memory that guards need
// for them is taken of the bound on all bodies, and given back.
func TestWhatIsMadeOfABodyCounts(t *testing.T) {
	const parts = 40_000
	repeated := func(part string) string { return strings.Repeat(part+",", parts) + part }
	mask := &Definition{Mask: []Pattern{{Regex: "[1x]", As: "it"}}}
	for name, test := range map[string]struct {
		d    *Definition
		body string
	}{
		"numbers":               {mask, `{"messages":[` + repeated("1") + `]}`},
		"numbers of a tool":     {mask, `{"messages":[],"tools":[` + repeated("1") + `]}`},
		"numbers in a string":   {mask, `{"messages":[{"role":"assistant","tool_calls":[{"function":{"arguments":"[` + repeated("1") + `]"}}]}]}`},
		"messages":              {mask, `{"messages":[` + repeated("{}") + `]}`},
		"texts":                 {mask, `{"messages":[` + repeated(`"x"`) + `]}`},
		"parts":                 {mask, `{"messages":[{"role":"user","content":[` + repeated(`{"text":"x"}`) + `]}]}`},
		"parts in a result":     {mask, `{"messages":[{"role":"tool","content":[` + repeated(`{"text":""}`) + `]}]}`},
		"what is masked":        {mask, `{"messages":[{"role":"user","content":"` + strings.Repeat("x", parts) + `"}]}`},
		"what is not looked at": {&Definition{Mask: mask.Mask, Roles: []string{"system"}}, `{"messages":[` + repeated("{}") + `]}`},
	} {
		t.Run(name, func(t *testing.T) {
			f, err := New(map[string]*Definition{"g": test.d}, zap.NewNop(), func(string, string, Action, string) {}, nil)
			if err != nil {
				t.Fatal(err)
			}
			for _, limit := range []struct {
				bytes  int64
				others int64 // that other requests hold
				status int
			}{{1 << 30, 0, 0}, {int64(len(test.body)) + 1<<20, 0, 413}, {1 << 30, 1<<30 - int64(len(test.body)) - 1<<20, 503}} {
				budget := new(llmprovider.Budget)
				budget.SetLimit(limit.bytes)
				other := new(llmprovider.Inbound)
				if other.Budget = budget; limit.others > 0 {
					if refused := other.Hold(limit.others); refused != nil {
						t.Fatal(refused)
					}
				}
				r := httptest.NewRequest(http.MethodPost, chatPath, strings.NewReader(test.body))
				r.Header.Set("Content-Type", "application/json")
				in, refused := llmprovider.NewInbound(r)
				if refused == nil {
					in.Budget = budget
					refused = in.Read(r, 64<<20)
				}
				if refused != nil {
					t.Fatal(refused)
				}
				_, refused = f.Begin(context.Background(), &filter.Call{Inbound: in, Guards: []string{"g"}})
				status := 0
				if refused != nil {
					status = refused.Status
				}
				if status != limit.status {
					t.Errorf("limit %d, %d held: %v, want status %d", limit.bytes, limit.others, refused, limit.status)
				}
				if held := budget.Held(); held > limit.others+int64(2*len(test.body)) && status != 0 {
					t.Errorf("limit %d: %d bytes are held for a body of %d", limit.bytes, held-limit.others, len(test.body))
				}
				in.Release()
				if held := budget.Held(); held != limit.others {
					t.Errorf("limit %d: %d bytes are held after it", limit.bytes, held-limit.others)
				}
				other.Release()
			}
		})
	}
}
