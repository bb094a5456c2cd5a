package authz

import (
	"context"
	"io"
	"net/http"
	"testing"
	"time"

	"go.uber.org/zap"

	"github.com/caddy-llm/gateway/llmprovider"
)

// TestBodiesForServicesAreBounded holds that what services are shown of bodies counts against
// a budget until it is read again, or the request is over.
func TestBodiesForServicesAreBounded(t *testing.T) {
	for _, length := range []int64{11, -1} {
		for name, test := range map[string]struct {
			limit   int64
			partial bool
			status  int
		}{"room": {limit: 100}, "room for a part": {limit: 6, partial: true}, "none": {limit: 4, status: http.StatusRequestEntityTooLarge}} {
			config, questions := service(t, allow)
			config.FailOpen = true
			config.IncludeRequestBodyInCheck = &ExtAuthzBody{MaxRequestBytes: 11, AllowPartialMessage: test.partial}
			if test.partial {
				config.IncludeRequestBodyInCheck.MaxRequestBytes = 5
			}
			set, _ := New(&Config{ExtAuthz: map[string]*ExtAuthz{"e": config}, Policies: []*Policy{{Action: Custom, Provider: "e", Rules: []*Rule{{}}}}}, zap.NewNop())
			var budget llmprovider.Budget
			budget.SetLimit(test.limit)
			set.UseBodies(&budget)
			for _, read := range []bool{true, false} {
				ctx, cancel := context.WithCancel(t.Context())
				r := original("hello world").WithContext(ctx)
				r.ContentLength = length
				d := set.Authorize(http.Header{}, r, nil)
				if test.status != 0 {
					if d.Refusal == nil || d.Refusal.Status != test.status || len(questions) > 0 || budget.Held() != 0 {
						t.Errorf("%s: %+v, %d questions, %d bytes held", name, d.Refusal, len(questions), budget.Held())
					}
					cancel()
					continue
				}
				if d.Refusal != nil || budget.Held() == 0 {
					t.Errorf("%s: %+v, %d bytes held", name, d.Refusal, budget.Held())
				}
				<-questions
				if read {
					if body, err := io.ReadAll(r.Body); string(body) != "hello world" || err != nil {
						t.Errorf("%s: the body is %q, %v", name, body, err)
					}
				} else {
					cancel() // which releases it soon
					for end := time.Now().Add(10 * time.Second); budget.Held() != 0 && time.Now().Before(end); {
						time.Sleep(time.Millisecond)
					}
				}
				if budget.Held() != 0 {
					t.Errorf("%s: %d bytes are held at the end", name, budget.Held())
				}
				cancel()
			}
		}
	}
}
