package limit

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/caddy-llm/gateway/llmroute/limit/grant"
)

// slow is a store with a way to it.
type slow struct {
	*StoreModel
	trip time.Duration
}

func (s slow) Do(ctx context.Context, calls []grant.Call) []grant.Reply {
	time.Sleep(s.trip)
	return s.StoreModel.Do(ctx, calls)
}

// BenchmarkShared has many requests at once spend from ten shared limits, with a store
// that is so far away: requests do not wait for it.
func BenchmarkShared(b *testing.B) {
	for _, trip := range []time.Duration{0, time.Millisecond, 20 * time.Millisecond} {
		b.Run(trip.String(), func(b *testing.B) {
			var limits []*Definition
			for i := range 10 {
				limits = append(limits, &Definition{
					Name: fmt.Sprint("limit-", i), Key: []Key{KeyClient},
					Amounts: one([]Unit{UnitTokens, UnitRequests, UnitOutput}[i%3], "900000000000", []string{"1m", "month"}[i%2]),
				})
			}
			e := newEngine(time.Now)
			s := e.Compile(&Config{Limits: limits}, slow{NewStoreModel(time.Now), trip})
			s.Activate()
			defer s.Close()
			r := request(subject{KeyClient: "alice"}, 100, 200)
			b.ReportAllocs()
			b.RunParallel(func(pb *testing.PB) {
				for pb.Next() {
					got, refused := s.Reserve(b.Context(), r)
					if refused != nil {
						b.Error(refused)
						return
					}
					got.Charge(Metered, Usage{Input: 90, Output: 10})
					got.End()
				}
			})
		})
	}
}
