package limit_test

import (
	"errors"
	"fmt"
	"maps"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/caddyserver/caddy/v2"
	rls "github.com/envoyproxy/go-control-plane/envoy/service/ratelimit/v3"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/caddy-llm/gateway/integration/fakelimits"
	"github.com/caddy-llm/gateway/llmroute/limit"
	"github.com/caddy-llm/gateway/llmroute/limit/countup"
	"github.com/caddy-llm/gateway/llmroute/limit/grant"
	"github.com/caddy-llm/gateway/llmroute/limit/rlsstore"
)

// service is one that only counts up, with a limit of so much of a unit in a window.
type service interface {
	Be(fakelimits.Answer)
	Total() uint64
	Forget()
	Register(*grpc.Server)
}

// services are the services, and the stores that speak with them.
var services = map[string]struct {
	begin func(t *testing.T, now func() time.Time, unit limit.Unit, most int, window string) (s service, at string, stop func())
	store func(at string, gateways int) counting
}{
	"envoy": {
		func(t *testing.T, now func() time.Time, _ limit.Unit, _ int, _ string) (service, string, func()) {
			return fakelimits.NewEnvoy(t, now)
		},
		func(at string, gateways int) counting {
			return &rlsstore.Envoy{Service: rlsstore.Service{URL: "grpc://" + at, Store: countup.Store{GatewayCount: gateways}}}
		},
	},
	"kuadrant": {
		func(t *testing.T, now func() time.Time, unit limit.Unit, most int, window string) (service, string, func()) {
			return fakelimits.NewKuadrant(t, now, kuadrantLimit(unit, most, window))
		},
		func(at string, gateways int) counting {
			return &rlsstore.Kuadrant{Service: rlsstore.Service{URL: "grpc://" + at, Store: countup.Store{GatewayCount: gateways}}}
		},
	},
}

// kuadrantLimit is the limit as the documentation says it is to be written in Limitador.
func kuadrantLimit(unit limit.Unit, most int, window string) fakelimits.Limit {
	return fakelimits.Limit{
		Entries: map[string]string{"limit": "a", "unit": string(unit), "window": window}, Variables: []string{"key", "start"}, Max: uint64(most), Window: 32 * 24 * time.Hour,
	}
}

// noon is a time that goes on from the middle of a day, so that no window of the calendar ends
// in a test; ahead moves it.
type noon struct {
	began time.Time
	ahead atomic.Int64
}

func newNoon() *noon { return &noon{began: time.Now()} }

func (n *noon) now() time.Time {
	return time.Date(2026, 3, 10, 12, 10, 10, 0, time.UTC).Add(time.Since(n.began)).Add(time.Duration(n.ahead.Load()))
}

// until has the time go on until done, and ends the test with what is wrong if it never is.
func (n *noon) until(t *testing.T, wrong string, done func() bool) {
	t.Helper()
	for end := time.Now().Add(10 * time.Second); !done(); time.Sleep(20 * time.Millisecond) {
		n.ahead.Add(int64(100 * time.Millisecond))
		if time.Now().After(end) {
			t.Fatal(wrong)
		}
	}
}

// counting is a store that only counts up.
type counting interface {
	limit.Restricted
	grant.Store
	caddy.Provisioner
}

// gatewayOf is a gateway with a store of its own.
func gatewayOf(t *testing.T, now func() time.Time, s counting, defs ...*limit.Definition) *limit.Set {
	t.Helper()
	c := &limit.Config{Limits: defs}
	if err := errors.Join(c.Check(), s.Provision(caddy.Context{}), s.Holds(defs)); err != nil {
		t.Fatal(err)
	}
	set := limit.NewTestEngine(now).Compile(c, s)
	set.Activate()
	t.Cleanup(set.Close)
	return set
}

// who is a client.
type who string

func (w who) Value(limit.Key) string { return string(w) }
func (who) Matches(int) bool         { return true }

// spend makes a request that reserves and uses so much.
func spend(t *testing.T, s *limit.Set, client who, reserves, uses int64) *limit.Refusal {
	t.Helper()
	r, refused := s.Reserve(t.Context(), &limit.Request{Subject: client, Output: reserves, Choices: 1, NoOutput: reserves == 0, Price: &limit.Price{Output: 1_000_000}})
	if refused == nil {
		r.Charge(limit.Metered, limit.Usage{Output: uses, Cost: -1})
	}
	r.End()
	return refused
}

func amounts(unit limit.Unit, n int, window string) []limit.Amount {
	text := fmt.Sprint(n)
	if unit == limit.UnitCost {
		text = fmt.Sprintf("0.%06d", n)
	}
	return []limit.Amount{{Unit: unit, Amount: limit.Number(text), Window: window}}
}

// TestCountsUpIsUsedUp has several gateways use up a limit at once, of each unit and window that
// the services can count: all of it, and no more, again in the next window.
func TestCountsUpIsUsedUp(t *testing.T) {
	for name, of := range services {
		windows := []string{"1h", "hour", "24h", "day"}
		if name == "kuadrant" {
			windows = []string{"1h30m", "24h", "week", "month"}
		}
		for _, unit := range []limit.Unit{limit.UnitRequests, limit.UnitTokens, limit.UnitOutput, limit.UnitCost} {
			for _, window := range windows {
				t.Run(name+string(unit)+window, func(t *testing.T) {
					const most = 900
					clock := newNoon()
					service, at, _ := of.begin(t, clock.now, unit, most, window)
					d := &limit.Definition{Name: "a", Key: []limit.Key{limit.KeyClient}, Amounts: amounts(unit, most, window)}
					var gateways []*limit.Set
					for range 3 {
						gateways = append(gateways, gatewayOf(t, clock.now, of.store(at, 3), d))
					}
					for round := range 2 {
						var used atomic.Int64
						each := int64(9)
						if unit == limit.UnitRequests {
							each = 1
						}
						var wg sync.WaitGroup
						for _, g := range gateways {
							wg.Go(func() {
								for spend(t, g, "alice", each, each) == nil {
									used.Add(each)
								}
							})
						}
						wg.Wait()
						// A lease that was granted while others asked may be lost, and what is left of it.
						if n := used.Load(); n > most || n < most*8/10 {
							t.Errorf("round %d: %d of %d used", round, n, most)
						}
						if refused := spend(t, gateways[0], "bob", each, each); refused != nil {
							t.Errorf("another client is refused: %+v", refused)
						}
						clock.ahead.Add(int64(31 * 24 * time.Hour))
					}
					if service.Total() < most {
						t.Errorf("the service has counted %d", service.Total())
					}
				})
			}
		}
	}
}

// TestCountsUpHolds lets the service fail at random, before and after it has counted: what is charged
// is at most the limit and the recorded overruns, and nothing stays reserved.
func TestCountsUpHolds(t *testing.T) {
	for name, of := range services {
		t.Run(name, func(t *testing.T) {
			const most = 3000
			clock := newNoon()
			service, at, _ := of.begin(t, clock.now, limit.UnitTokens, most, "hour")
			var n atomic.Int64
			service.Be(func(right *rls.RateLimitResponse) (*rls.RateLimitResponse, error) {
				if n.Add(1)%4 == 0 {
					return nil, status.Error(codes.Unavailable, "try again")
				}
				return right, nil
			})
			d := &limit.Definition{Name: "a", Amounts: amounts(limit.UnitTokens, most, "hour"), OnStoreFailure: limit.OnFailureDeny}
			var used, over atomic.Int64
			var wg sync.WaitGroup
			var gateways []*limit.Set
			for range 4 {
				g := gatewayOf(t, clock.now, of.store(at, 4), d)
				gateways = append(gateways, g)
				wg.Go(func() {
					for i := range int64(400) {
						uses := i % 13
						refused := spend(t, g, "alice", 10, uses)
						switch {
						case refused == nil:
							used.Add(uses)
							over.Add(max(uses-10, 0))
						case refused.Reason == limit.ReasonStore:
							clock.ahead.Add(int64(300 * time.Millisecond)) // until it is asked again
						}
					}
				})
			}
			wg.Wait()
			if u := used.Load(); u > most+over.Load() || u < most/3 {
				t.Errorf("%d of %d used, %d of it overruns", u, most, over.Load())
			}
			for _, g := range gateways {
				if a := g.View()[0].Amounts[0]; a.Reserved != "0" {
					t.Errorf("%+v", a)
				}
			}
		})
	}
}

// TestCountsUpIsAwkward has the service do what it should not: what happens to requests is the limit's
// on_store_failure, and once it works again, it is used.
func TestCountsUpIsAwkward(t *testing.T) {
	nonsense := func(change func(*rls.RateLimitResponse)) func(*rls.RateLimitResponse) (*rls.RateLimitResponse, error) {
		return func(right *rls.RateLimitResponse) (*rls.RateLimitResponse, error) {
			change(right)
			return right, nil
		}
	}
	code := func(r *rls.RateLimitResponse, code rls.RateLimitResponse_Code) {
		r.OverallCode = code
		for _, s := range r.GetStatuses() {
			s.Code = code
		}
	}
	both := map[string]fakelimits.Answer{
		"error": func(*rls.RateLimitResponse) (*rls.RateLimitResponse, error) {
			return nil, status.Error(codes.Internal, "no")
		},
		"not implemented": func(*rls.RateLimitResponse) (*rls.RateLimitResponse, error) {
			return nil, status.Error(codes.Unimplemented, "no")
		},
		"slow": func(right *rls.RateLimitResponse) (*rls.RateLimitResponse, error) {
			time.Sleep(1200 * time.Millisecond)
			return right, nil
		},
		"no code":           nonsense(func(r *rls.RateLimitResponse) { code(r, rls.RateLimitResponse_UNKNOWN) }),
		"a code of its own": nonsense(func(r *rls.RateLimitResponse) { code(r, 77) }),
	}
	own := map[string]map[string]fakelimits.Answer{"envoy": {
		"no status":       nonsense(func(r *rls.RateLimitResponse) { r.Statuses = nil }),
		"two statuses":    nonsense(func(r *rls.RateLimitResponse) { r.Statuses = append(r.Statuses, r.GetStatuses()[0]) }),
		"a status of nil": nonsense(func(r *rls.RateLimitResponse) { r.Statuses = []*rls.RateLimitResponse_DescriptorStatus{{}} }),
		"no limit":        nonsense(func(r *rls.RateLimitResponse) { r.GetStatuses()[0].CurrentLimit = nil }),
		"another window": nonsense(func(r *rls.RateLimitResponse) {
			r.GetStatuses()[0].CurrentLimit = &rls.RateLimitResponse_RateLimit{RequestsPerUnit: 40, Unit: rls.RateLimitResponse_RateLimit_MONTH}
		}),
		"more left than there is": nonsense(func(r *rls.RateLimitResponse) { r.GetStatuses()[0].LimitRemaining = 1 << 31 }),
	}, "kuadrant": {
		"no response": func(*rls.RateLimitResponse) (*rls.RateLimitResponse, error) { return new(rls.RateLimitResponse), nil },
		"no limit":    nonsense(func(r *rls.RateLimitResponse) { code(r, rls.RateLimitResponse_OK) }),
	}}
	for store, of := range services {
		maps.Copy(own[store], both)
		for name, f := range own[store] {
			t.Run(store+" "+name, func(t *testing.T) {
				t.Parallel()
				clock := newNoon()
				service, at, _ := of.begin(t, clock.now, limit.UnitRequests, 40, "hour")
				service.Be(f)
				gateway := func(failure string) *limit.Set {
					d := &limit.Definition{Name: "a", Amounts: amounts(limit.UnitRequests, 40, "hour"), OnStoreFailure: failure}
					return gatewayOf(t, clock.now, of.store(at, 4), d)
				}
				deny, share := gateway(limit.OnFailureDeny), gateway(limit.OnFailureShare)
				for range 2 {
					if refused := spend(t, deny, "", 0, 0); refused == nil || refused.Reason != limit.ReasonStore {
						t.Errorf("deny: %+v", refused)
					}
				}
				n := 0
				for ; n < 40 && spend(t, share, "", 0, 0) == nil; n++ {
				}
				if n != 10 {
					t.Errorf("share: %d of 40 were admitted at one of 4 gateways", n)
				}
				service.Be(nil)
				clock.until(t, "the service is not used although it works again", func() bool { return spend(t, deny, "", 0, 0) == nil })
				if n := service.Total(); n > 20 { // what the one has shared, and a lease or two
					t.Errorf("the service has counted %d", n)
				}
			})
		}
	}
}

// TestEnvoyUnknownDomain holds that a domain that the service does not know is said to be the
// cause, and that a limit there is not taken for one that always has room.
func TestEnvoyUnknownDomain(t *testing.T) {
	clock := newNoon()
	_, at, _ := fakelimits.NewEnvoy(t, clock.now)
	s := &rlsstore.Envoy{Service: rlsstore.Service{URL: "grpc://" + at, Domain: "other"}}
	set := gatewayOf(t, clock.now, s, &limit.Definition{Name: "a", Amounts: amounts(limit.UnitRequests, 40, "hour"), OnStoreFailure: limit.OnFailureDeny})
	if refused := spend(t, set, "", 0, 0); refused == nil || refused.Reason != limit.ReasonStore {
		t.Errorf("%+v", refused)
	}
	r := s.Do(t.Context(), []grant.Call{{Op: grant.OpRaise, Sort: grant.SortWindow, Target: 5, Amount: 9, Of: grant.Counted{Limit: "a", Length: time.Hour}}})[0]
	if !errors.Is(r.Err, grant.ErrCounter) || !strings.Contains(r.Err.Error(), `"other"`) {
		t.Errorf("%+v", r)
	}
}

// TestCountsUpComesAndGoes has a gateway begin without its service, then with it, then with one that
// was restarted and has forgotten everything, and then without it again.
func TestCountsUpComesAndGoes(t *testing.T) {
	for name, of := range services {
		t.Run(name, func(t *testing.T) {
			clock := newNoon()
			service, at, stop := of.begin(t, clock.now, limit.UnitRequests, 40, "hour")
			stop()
			d := &limit.Definition{Name: "a", Key: []limit.Key{limit.KeyClient}, Amounts: amounts(limit.UnitRequests, 40, "hour"), OnStoreFailure: limit.OnFailureDeny}
			set := gatewayOf(t, clock.now, of.store(at, 1), d)
			if refused := spend(t, set, "alice", 0, 0); refused == nil || refused.Reason != limit.ReasonStore {
				t.Errorf("without the service: %+v", refused)
			}
			until := func(what string, is bool, client who) {
				t.Helper()
				clock.until(t, what, func() bool { return (spend(t, set, client, 0, 0) == nil) == is })
			}
			_, stop = fakelimits.Serve(t, at, service.Register)
			until("the service is not used when it comes", true, "alice")
			stop()
			until("requests pass without the service", false, "bob")
			service.Forget()
			_, stop = fakelimits.Serve(t, at, service.Register)
			until("the service is not used when it comes again", true, "bob")
			stop()
			until("requests pass without the service", false, "carol")
		})
	}
}

// TestCountsUpConfiguration holds which limits the stores refuse that only count up, and that they
// say what to write instead.
func TestCountsUpConfiguration(t *testing.T) {
	for _, test := range []struct {
		d               limit.Definition
		envoy, kuadrant string // what the errors say, empty if it is held
	}{
		{limit.Definition{Amounts: amounts(limit.UnitTokens, 5, "1m")}, "", ""},
		{limit.Definition{Amounts: amounts(limit.UnitCost, 5, "day")}, "", ""},
		{limit.Definition{Amounts: []limit.Amount{{Unit: limit.UnitTokens, Amount: "4000000000", Window: "day", Timezone: "UTC"}}}, "", ""},
		{limit.Definition{Concurrent: 5}, "concurrent", "concurrent"},
		{limit.Definition{Amounts: amounts(limit.UnitTokens, 5, "90s")}, "in place of 90s", ""},
		{limit.Definition{Amounts: amounts(limit.UnitTokens, 5, "1500ms")}, "in place of 1500ms", "in place of 1500ms"},
		{limit.Definition{Amounts: amounts(limit.UnitTokens, 5, "month")}, "in place of month", ""},
		{limit.Definition{Amounts: []limit.Amount{{Unit: limit.UnitTokens, Amount: "5", Window: "day", Timezone: "Europe/Berlin"}}}, "in place of day timezone Europe/Berlin", ""},
		{limit.Definition{Amounts: []limit.Amount{{Unit: limit.UnitTokens, Amount: "5", Window: "1m", Burst: "9"}}}, "burst", "burst"},
		{limit.Definition{Amounts: []limit.Amount{{Unit: limit.UnitTokens, Amount: "4000000001", Window: "1m"}}}, "at most 4000000000 ", "at most 4000000000 "},
		{limit.Definition{Amounts: []limit.Amount{{Unit: limit.UnitCost, Amount: "4000.000000001", Window: "day"}}}, "at most 4000 ", "at most 4000 "},
	} {
		test.d.Name = "some"
		if err := test.d.Check(); err != nil {
			t.Fatal(err)
		}
		for want, store := range map[string]limit.Restricted{"envoy " + test.envoy: new(rlsstore.Envoy), "kuadrant " + test.kuadrant: new(rlsstore.Kuadrant)} {
			name, want, _ := strings.Cut(want, " ")
			err := store.Holds([]*limit.Definition{{Name: "first", Amounts: amounts(limit.UnitRequests, 1, "hour")}, &test.d})
			if (err != nil) != (want != "") || err != nil && (!strings.Contains(err.Error(), want) || !strings.Contains(err.Error(), "limit some: ") || !strings.Contains(err.Error(), "store "+name)) {
				t.Errorf("%s: %+v: %v", name, test.d, err)
			}
		}
	}
	for url, want := range map[string]string{
		"grpc://127.0.0.1:8081": "", "grpcs://db.example.com:443/": "", "grpc://[::1]:81": "",
		"": "URL", "127.0.0.1:8081": "URL", "http://db:1": "URL", "grpc://": "URL", "grpc://db": "URL", "grpc://db:0": "URL", "grpc://db:1/x": "URL", "grpc://db:x": "URL",
		"grpc://u:hunter2@db:1": "password", "grpc://db:1?x=1": "parameters",
	} {
		err := (&rlsstore.Service{URL: url}).Check()
		if (err != nil) != (want != "") || err != nil && !strings.Contains(err.Error(), want) || err != nil && strings.Contains(err.Error(), "hunter2") {
			t.Errorf("%q: %v", url, err)
		}
	}
	if err := (&rlsstore.Service{URL: "grpc://db:1", Store: countup.Store{GatewayCount: -1}}).Check(); err == nil {
		t.Error("-1 gateways")
	}
}

// TestCountsUpRefusesChanges holds that a reset, which the service does not know, is refused with the
// reason.
func TestCountsUpRefusesChanges(t *testing.T) {
	for name, of := range services {
		t.Run(name, func(t *testing.T) {
			clock := newNoon()
			_, at, _ := of.begin(t, clock.now, limit.UnitRequests, 40, "hour")
			set := gatewayOf(t, clock.now, of.store(at, 1),
				&limit.Definition{Name: "a", Key: []limit.Key{limit.KeyClient}, Amounts: amounts(limit.UnitRequests, 40, "hour")})
			for _, key := range []map[string]string{nil, {"client": "alice"}} {
				if n, err := set.Reset("a", limit.Change{Key: key}); n != 0 || err == nil || !strings.Contains(err.Error(), "only counts up") {
					t.Errorf("reset of %v: %d, %v", key, n, err)
				}
				if n, err := set.Credit("a", limit.Change{Key: key, Unit: limit.UnitRequests, Amount: "5"}); n != 0 || err == nil || !strings.Contains(err.Error(), "only counts up") {
					t.Errorf("credit of %v: %d, %v", key, n, err)
				}
			}
		})
	}
}

// TestKuadrantUnknownLimit holds that a limit that the service does not have, or has with a higher number, is
// said to be the cause, and is not taken for one that always has room.
func TestKuadrantUnknownLimit(t *testing.T) {
	for name, test := range map[string]struct {
		domain string
		of     fakelimits.Limit
	}{
		"no namespace":    {"other", kuadrantLimit(limit.UnitRequests, 40, "hour")},
		"another unit":    {"", kuadrantLimit(limit.UnitTokens, 40, "hour")},
		"another window":  {"", kuadrantLimit(limit.UnitRequests, 40, "day")},
		"a higher number": {"", kuadrantLimit(limit.UnitRequests, 41, "hour")},
	} {
		t.Run(name, func(t *testing.T) {
			clock := newNoon()
			_, at, _ := fakelimits.NewKuadrant(t, clock.now, test.of)
			s := &rlsstore.Kuadrant{Service: rlsstore.Service{URL: "grpc://" + at, Domain: test.domain}}
			set := gatewayOf(t, clock.now, s, &limit.Definition{Name: "a", Amounts: amounts(limit.UnitRequests, 40, "hour"), OnStoreFailure: limit.OnFailureDeny})
			for range 3 {
				if refused := spend(t, set, "", 0, 0); refused == nil || refused.Reason != limit.ReasonStore {
					t.Errorf("%+v", refused)
				}
				clock.ahead.Add(int64(2 * time.Second))
			}
			r := s.Do(t.Context(), []grant.Call{{Op: grant.OpRaise, Sort: grant.SortWindow, Target: 5, Amount: 40, Of: grant.Counted{Limit: "a", Unit: string(limit.UnitRequests), Window: "hour"}}})[0]
			if !errors.Is(r.Err, grant.ErrCounter) || !strings.Contains(r.Err.Error(), "at most 40 ") {
				t.Errorf("%+v", r)
			}
		})
	}
}

// TestKuadrantLowerNumber holds that a lower number in the service holds.
func TestKuadrantLowerNumber(t *testing.T) {
	clock := newNoon()
	service, at, _ := fakelimits.NewKuadrant(t, clock.now, kuadrantLimit(limit.UnitRequests, 7, "hour"))
	set := gatewayOf(t, clock.now, &rlsstore.Kuadrant{Service: rlsstore.Service{URL: "grpc://" + at}},
		&limit.Definition{Name: "a", Amounts: amounts(limit.UnitRequests, 40, "hour"), OnStoreFailure: limit.OnFailureDeny})
	n := 0
	for range 60 {
		if spend(t, set, "", 0, 0) == nil {
			n++
		}
		clock.ahead.Add(int64(300 * time.Millisecond))
	}
	if n != 7 || service.Total() != 7 {
		t.Errorf("%d requests were admitted, %d counted, of 7", n, service.Total())
	}
}
