package limit_test

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/caddyserver/caddy/v2"
	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"

	"github.com/caddy-llm/gateway/integration/fakelimits"
	"github.com/caddy-llm/gateway/llmroute/limit"
	"github.com/caddy-llm/gateway/llmroute/limit/countup"
	"github.com/caddy-llm/gateway/llmroute/limit/grant"
	"github.com/caddy-llm/gateway/llmroute/limit/tokenstore"
)

// tokens is a gateway whose limit is in the service at that address.
func tokens(t *testing.T, now func() time.Time, at string, gateways int, d *limit.Definition) *limit.Set {
	t.Helper()
	s := &tokenstore.Store{URL: "http://" + at, Store: countup.Store{GatewayCount: gateways}}
	c := &limit.Config{Limits: []*limit.Definition{d}}
	if err := errors.Join(c.Check(), s.Provision(caddy.Context{}), s.Holds(c.Limits)); err != nil {
		t.Fatal(err)
	}
	set := limit.NewTestEngine(now).Compile(c, s.Shared())
	set.Activate()
	t.Cleanup(set.Close)
	return set
}

func fills(tokens int64, in time.Duration) fakelimits.TokenRule {
	return fakelimits.TokenRule{Key: regexp.MustCompile("^subscriber-"), Fill: tokens, In: in, Max: tokens}
}

// TestTokenServiceProtocol holds what the service is asked and told: the key as it is, and what was leased in
// each of the numbers that services may count.
func TestTokenServiceProtocol(t *testing.T) {
	for _, test := range []struct {
		unit                      limit.Unit
		key                       []limit.Key
		client                    who
		want                      string
		prompt, completion, total bool
	}{
		{limit.UnitTokens, []limit.Key{"header User-Type"}, "subscriber-7", "subscriber-7", false, true, true},
		{limit.UnitOutput, []limit.Key{limit.KeyClient}, `a "b"&c=ä+`, `a "b"&c=ä+`, false, true, true},
		{limit.UnitTokens, []limit.Key{limit.KeyClient}, "", "", false, true, true},
		{limit.UnitTokens, nil, "", "a", false, true, true},
		{limit.UnitTokens, []limit.Key{limit.KeyClient}, who(strings.Repeat("x", 200)), "sha256:", false, true, true},
	} {
		clock := newNoon()
		service, at, _ := fakelimits.NewTokens(t, clock.now)
		set := tokens(t, clock.now, at, 1, &limit.Definition{Name: "a", Key: test.key, Amounts: amounts(test.unit, 1000, "1m")})
		if refused := spend(t, set, test.client, 100, 40); refused != nil {
			t.Fatalf("%+v", refused)
		}
		if refused := spend(t, set, test.client, 10, 40); refused != nil { // what it uses beyond is recorded, too
			t.Fatalf("%+v", refused)
		}
		for end := time.Now().Add(5 * time.Second); len(service.Records()) < 1 && time.Now().Before(end); time.Sleep(5 * time.Millisecond) {
		}
		asked, err := url.ParseQuery(service.Asked()[0])
		if err != nil {
			t.Fatal(err)
		}
		told := service.Records()[0]
		got := asked.Get("ratelimit_keys")
		if len(asked) != 1 || !strings.HasPrefix(told.Keys[0], test.want) || len(told.Keys) != 1 || test.want != "" && !strings.HasPrefix(strings.ReplaceAll(strings.ReplaceAll(got, `\"`, `"`), `\u0026`, "&"), `["`+test.want) {
			t.Errorf("%q: asked %s, told %+v", test.client, got, told)
		}
		n := *told.Total
		if n < 100 || *told.Prompt != map[bool]int64{true: n}[test.prompt] || *told.Completion != map[bool]int64{true: n}[test.completion] {
			t.Errorf("%s: told %d, %d and %d", test.unit, *told.Prompt, *told.Completion, *told.Total)
		}
	}
}

// TestTokenServiceInput holds that a limit of prompts is told in the number of prompts.
func TestTokenServiceInput(t *testing.T) {
	clock := newNoon()
	service, at, _ := fakelimits.NewTokens(t, clock.now)
	set := tokens(t, clock.now, at, 1, &limit.Definition{Name: "a", Amounts: amounts(limit.UnitInput, 1000, "1m")})
	r, refused := set.Reserve(t.Context(), &limit.Request{Subject: who(""), Typical: 50, NoOutput: true})
	if refused != nil {
		t.Fatalf("%+v", refused)
	}
	r.End()
	if told := service.Records()[0]; *told.Prompt < 50 || *told.Prompt != *told.Total || *told.Completion != 0 {
		t.Errorf("told %d, %d and %d", *told.Prompt, *told.Completion, *told.Total)
	}
}

// TestTokenServiceIsUsedUp has several gateways use up what the service has for a key, at once: all of it, and
// at most a lease for each more.
func TestTokenServiceIsUsedUp(t *testing.T) {
	const most, gateways = 3000, 3
	clock := newNoon()
	_, at, _ := fakelimits.NewTokens(t, clock.now, fills(most, 24*time.Hour))
	d := &limit.Definition{Name: "a", Key: []limit.Key{limit.KeyClient}, Amounts: amounts(limit.UnitTokens, most, "day")}
	var sets []*limit.Set
	for range gateways {
		sets = append(sets, tokens(t, clock.now, at, gateways, d))
	}
	for round := range 2 {
		var used atomic.Int64
		var wg sync.WaitGroup
		for _, s := range sets {
			wg.Go(func() {
				for spend(t, s, "subscriber-7", 10, 9) == nil {
					used.Add(9)
				}
			})
		}
		wg.Wait()
		if n := used.Load(); n > most+gateways*most/20 || n < most*8/10 {
			t.Errorf("round %d: %d of %d used", round, n, most)
		}
		if refused := spend(t, sets[0], "subscriber-8", 10, 9); refused != nil {
			t.Errorf("another client is refused: %+v", refused)
		}
		clock.ahead.Add(int64(24 * time.Hour))
	}
}

// TestTokenServiceLimitOfEach holds that each gateway stays within the limit's own number if the service has no
// rule for a key, which it then always allows.
func TestTokenServiceLimitOfEach(t *testing.T) {
	clock := newNoon()
	_, at, _ := fakelimits.NewTokens(t, clock.now)
	set := tokens(t, clock.now, at, 1, &limit.Definition{Name: "a", Key: []limit.Key{limit.KeyClient}, Amounts: amounts(limit.UnitTokens, 1000, "hour")})
	n := 0
	for ; n < 300 && spend(t, set, "anybody", 10, 10) == nil; n++ {
	}
	if n != 100 {
		t.Errorf("%d requests of 10 of 1000 tokens were admitted", n)
	}
}

// TestTokenServiceIsAwkward has the service do what it should not: what happens to requests is the
// limit's on_store_failure, and once it works again, it is used, and told once what was used meanwhile.
func TestTokenServiceIsAwkward(t *testing.T) {
	says := func(status int, body string) http.HandlerFunc {
		return func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(status)
			_, _ = io.WriteString(w, body)
		}
	}
	for name, f := range map[string]http.HandlerFunc{
		"500": says(500, `{"allow":true}`), "400": says(400, `{"allow":true}`), "429": says(429, ""), "204": says(204, ""), "201": says(201, `{"allow":true}`),
		"redirect": func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, "/elsewhere", http.StatusFound) },
		"no JSON":  says(200, "yes"), "nothing": says(200, ""), "null": says(200, "null"), "a list": says(200, `[true]`), "no verdict": says(200, `{"description":"all is well"}`),
		"a verdict of another type": says(200, `{"allow":"true"}`), "a number": says(200, `{"allow":1}`), "two objects": says(200, `{"allow":true}{"allow":true}`), "half of it": says(200, `{"allow":true`),
		"long": says(200, `{"allow":true,"description":"`+strings.Repeat("x", 70_000)+`"}`),
		"slow": func(w http.ResponseWriter, r *http.Request) {
			select {
			case <-r.Context().Done():
			case <-time.After(1500 * time.Millisecond):
			}
			says(200, `{"allow":true}`)(w, r)
		},
		"hangs up": func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) },
		"takes no record": func(w http.ResponseWriter, r *http.Request) {
			if r.Method == http.MethodPost {
				http.Error(w, "no", http.StatusServiceUnavailable)
				return
			}
			says(200, `{"allow":true}`)(w, r)
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			clock := newNoon()
			service, at, _ := fakelimits.NewTokens(t, clock.now, fills(400, time.Hour))
			service.Be(f)
			gateway := func(failure string) *limit.Set {
				return tokens(t, clock.now, at, 4, &limit.Definition{Name: "a", Key: []limit.Key{limit.KeyClient}, Amounts: amounts(limit.UnitTokens, 400, "hour"), OnStoreFailure: failure})
			}
			deny, share := gateway(limit.OnFailureDeny), gateway(limit.OnFailureShare)
			for range 2 {
				if refused := spend(t, deny, "subscriber-1", 10, 10); refused == nil || refused.Reason != limit.ReasonStore {
					t.Errorf("deny: %+v", refused)
				}
			}
			n := 0
			for ; n < 40 && spend(t, share, "subscriber-1", 10, 10) == nil; n++ {
			}
			if n != 10 {
				t.Errorf("share: %d of 40 were admitted at one of 4 gateways", n)
			}
			service.Be(nil)
			clock.until(t, "the service is not used although it works again", func() bool { return spend(t, deny, "subscriber-1", 10, 10) == nil })
			told := int64(0)
			for _, r := range service.Records() {
				told += *r.Total
			}
			if told > 200 { // what the one has shared, and a lease or two
				t.Errorf("the service was told %d", told)
			}
		})
	}
}

// TestTokenServiceComesAndGoes has a gateway begin without its service, then with it, then without it
// again.
func TestTokenServiceComesAndGoes(t *testing.T) {
	clock := newNoon()
	service, at, stop := fakelimits.NewTokens(t, clock.now, fills(400, time.Hour))
	stop()
	set := tokens(t, clock.now, at, 1, &limit.Definition{Name: "a", Key: []limit.Key{limit.KeyClient}, Amounts: amounts(limit.UnitTokens, 400, "hour"), OnStoreFailure: limit.OnFailureDeny})
	until := func(what string, is bool, client who) {
		t.Helper()
		clock.until(t, what, func() bool { return (spend(t, set, client, 100, 100) == nil) == is })
	}
	until("requests pass without the service", false, "subscriber-1")
	_, stop = service.Serve(t, at)
	until("the service is not used when it comes", true, "subscriber-1")
	stop()
	until("requests pass without the service", false, "subscriber-2")
	service.Forget()
	_, stop = service.Serve(t, at)
	until("the service is not used when it comes again", true, "subscriber-2")
	stop()
	until("requests pass without the service", false, "subscriber-3")
}

// TestTokenServiceErrors holds that what is logged has no text of clients, whatever fails.
func TestTokenServiceErrors(t *testing.T) {
	clock := newNoon()
	service, at, stop := fakelimits.NewTokens(t, clock.now)
	core, logs := observer.New(zap.DebugLevel)
	s := &tokenstore.Store{URL: "http://" + at}
	c := &limit.Config{Limits: []*limit.Definition{{Name: "a", Key: []limit.Key{limit.KeyClient}, Amounts: amounts(limit.UnitTokens, 400, "hour"), OnStoreFailure: limit.OnFailureDeny}}}
	if err := errors.Join(c.Check(), s.Provision(caddy.Context{})); err != nil {
		t.Fatal(err)
	}
	set := limit.NewTestEngine(clock.now).Compile(c, s.Shared())
	set.Use(nil, zap.New(core))
	set.Activate()
	t.Cleanup(set.Close)
	fail := func(what string) {
		t.Helper()
		if spend(t, set, "secret-client", 10, 10) == nil {
			t.Errorf("%s: the request is admitted", what)
		}
		clock.ahead.Add(int64(2 * time.Second))
	}
	service.Be(func(w http.ResponseWriter, r *http.Request) {
		http.Redirect(w, r, "/secret-client", http.StatusFound)
	})
	fail("redirect")
	service.Be(func(w http.ResponseWriter, _ *http.Request) { http.Error(w, "limited: secret-client", 400) })
	fail("status")
	service.Be(func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) })
	fail("hangs up")
	stop()
	fail("down")
	if logs.Len() == 0 {
		t.Error("nothing is logged")
	}
	for _, entry := range logs.All() {
		if text := fmt.Sprint(entry.Message, entry.ContextMap()); strings.Contains(text, "secret-client") {
			t.Error(text)
		}
	}
	r := s.Shared().Do(t.Context(), []grant.Call{{Op: grant.OpRaise, Sort: grant.SortWindow, Target: 5, Amount: 9, Of: grant.Counted{Limit: "secret-client"}}})[0]
	if r.Err == nil || strings.Contains(r.Err.Error(), "secret-client") {
		t.Errorf("%v", r.Err)
	}
	if n, err := set.Reset("a", limit.Change{}); n != 0 || err == nil || !strings.Contains(err.Error(), "only counts up") {
		t.Errorf("reset: %d, %v", n, err)
	}
}

func TestTokenServiceConfiguration(t *testing.T) {
	ok := &limit.Definition{Name: "some", Key: []limit.Key{limit.KeyClient}, Amounts: amounts(limit.UnitTokens, 5, "1m")}
	for want, limits := range map[string][]*limit.Definition{
		"":                  {ok},
		"holds one limit":   {{Name: "first", Amounts: ok.Amounts}, ok},
		"concurrent":        {{Concurrent: 5}},
		"one amount":        {{Amounts: append(amounts(limit.UnitTokens, 5, "1m"), amounts(limit.UnitTokens, 50, "day")...)}},
		"keep one key":      {{Key: []limit.Key{limit.KeyClient, limit.KeyModel}, Amounts: ok.Amounts}},
		"cost: ":            {{Amounts: amounts(limit.UnitCost, 5, "day")}},
		"requests: ":        {{Amounts: amounts(limit.UnitRequests, 5, "day")}},
		"burst":             {{Amounts: []limit.Amount{{Unit: limit.UnitTokens, Amount: "5", Window: "1m", Burst: "9"}}}},
		"instead of 1500ms": {{Amounts: amounts(limit.UnitTokens, 5, "1500ms")}},
	} {
		for _, d := range limits {
			if d.Name == "" {
				d.Name = "some"
			}
			if err := d.Check(); err != nil {
				t.Fatal(err)
			}
		}
		err := new(tokenstore.Store).Holds(limits)
		if (err != nil) != (want != "") || err != nil && (!strings.Contains(err.Error(), want) || !strings.Contains(err.Error(), "limit some: ") || !strings.Contains(err.Error(), "store redis")) {
			t.Errorf("%q: %v", want, err)
		}
	}
	for url, want := range map[string]string{
		"http://127.0.0.1:8081": "", "https://tokens.example.com/below/": "", "http://[::1]": "",
		"": "URL", "127.0.0.1:8081": "URL", "grpc://db:1": "URL", "http://": "URL", "http://db:0": "URL", "http://db:x": "URL",
		"http://u:hunter2@db:1": "password", "http://db:1?x=1": "parameters",
	} {
		err := (&tokenstore.Store{URL: url}).Check()
		if (err != nil) != (want != "") || err != nil && !strings.Contains(err.Error(), want) || err != nil && strings.Contains(err.Error(), "hunter2") {
			t.Errorf("%q: %v", url, err)
		}
	}
}
