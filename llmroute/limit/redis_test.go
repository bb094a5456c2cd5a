package limit_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/caddyserver/caddy/v2"

	"github.com/caddy-llm/gateway/integration/redisserver"
	"github.com/caddy-llm/gateway/internal/redisclient"
	"github.com/caddy-llm/gateway/llmroute/limit"
	"github.com/caddy-llm/gateway/llmroute/limit/grant"
	"github.com/caddy-llm/gateway/llmroute/limit/redisstore"
)

// ask sends a command to the server in its inline form.
func ask(t *testing.T, url, password, command string) {
	t.Helper()
	c, err := net.Dial("tcp", strings.TrimSuffix(strings.TrimPrefix(url, "redis://"), "/0"))
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if password != "" {
		command = "AUTH " + password + "\r\n" + command
	}
	if _, err := fmt.Fprintf(c, "%s\r\nQUIT\r\n", command); err != nil {
		t.Fatal(err)
	}
	if said, err := io.ReadAll(c); err != nil || strings.Contains(string(said), "-") {
		t.Fatalf("%s: %s, %v", command, said, err)
	}
}

func open(t *testing.T, s *redisstore.Store) *redisstore.Store {
	t.Helper()
	if err := s.Provision(caddy.Context{}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Close)
	return s
}

// anyCall is a call as gateways may make it, and some that they would not.
func anyCall(rng *rand.Rand, sort grant.Sort, key string, holders int, seq uint64) grant.Call {
	n := func(n int64) int64 { return rng.Int64N(n + 1) }
	c := grant.Call{
		Op: []grant.Op{grant.OpRaise, grant.OpRaise, grant.OpRaise, grant.OpLower, grant.OpCredit, grant.OpReset}[rng.IntN(5+rng.IntN(2))], Sort: sort, Key: key,
		Holder: fmt.Sprint("h", rng.IntN(holders)), Seq: seq, Base: n(8), Target: n(30), Known: n(60), Amount: 50 + n(3)*10, Burst: 50, Every: 8000 * time.Hour, Keep: time.Minute,
	}
	if rng.IntN(4) == 0 && seq > 4 {
		c.Seq -= uint64(n(4)) // late, or twice
	}
	if rng.IntN(3) > 0 {
		c.Base = 0
	}
	if rng.IntN(12) == 0 {
		c.Gen = n(3)
	}
	c.Claim = c.Base + n(2)
	c.Least = n(c.Target)
	return c
}

// TestScript holds the script to the model of the store: a call after the other.
func TestScript(t *testing.T) {
	url := redisserver.New(t).URL()
	s := open(t, &redisstore.Store{Server: redisclient.Server{URL: url}})
	rng := rand.New(rand.NewPCG(1, 5))
	for round := range 40 {
		for _, sort := range []grant.Sort{grant.SortWindow, grant.SortBucket, grant.SortSlots} {
			model := limit.NewStoreModel(func() time.Time { return time.Unix(1000, 0) })
			key := fmt.Sprint("a", round, sort)
			gen := int64(0)
			var past []string
			for seq := range uint64(60) {
				c := anyCall(rng, sort, key, 3, seq+1)
				if rng.IntN(3) > 0 {
					c.Gen = gen
				}
				got, want := s.Do(t.Context(), []grant.Call{c})[0], model.One(&c)
				past = append(past, fmt.Sprintf("%+v: %+v", c, want))
				if got != want {
					t.Fatalf("the script says %+v after\n%s", got, strings.Join(past, "\n"))
				}
				gen = want.Gen
			}
		}
	}
}

// TestScriptIsLinearizable makes calls at once, and looks for an order of them, in which
// each has its place between its beginning and its end, that the model gives the same
// replies to.
func TestScriptIsLinearizable(t *testing.T) {
	url := redisserver.New(t).URL()
	s := open(t, &redisstore.Store{Server: redisclient.Server{URL: url}})
	for round := range 60 {
		var clock atomic.Int64
		var history [16]event
		var wg sync.WaitGroup
		for g := range 4 {
			wg.Go(func() {
				rng := rand.New(rand.NewPCG(uint64(round), uint64(g)))
				for i := range 4 {
					e := &history[g*4+i]
					e.call = anyCall(rng, grant.SortWindow, fmt.Sprint("l", round), 2, uint64(i*4+g+1))
					e.began = clock.Add(1)
					e.reply = s.Do(context.Background(), []grant.Call{e.call})[0]
					e.ended = clock.Add(1)
				}
			})
		}
		wg.Wait()
		if !linearizable(history[:], limit.NewStoreModel(time.Now), 0, map[string]bool{}) {
			t.Fatalf("round %d: no order explains %+v", round, history)
		}
	}
}

type event struct {
	call         grant.Call
	reply        grant.Reply
	began, ended int64
}

// linearizable reports whether the events that are not done can come in some order.
func linearizable(history []event, store *limit.StoreModel, done uint, seen map[string]bool) bool {
	if done == 1<<len(history)-1 {
		return true
	}
	state := fmt.Sprint(done, store)
	if seen[state] {
		return false
	}
	seen[state] = true
	first := int64(1 << 62) // the earliest end of those that are not done
	for i := range history {
		if done&(1<<i) == 0 {
			first = min(first, history[i].ended)
		}
	}
	for i := range history {
		if e := &history[i]; done&(1<<i) == 0 && e.began <= first {
			next := store.Copy()
			if next.One(&e.call) == e.reply && linearizable(history, next, done|1<<i, seen) {
				return true
			}
		}
	}
	return false
}

// TestScriptBucket has a bucket refill by the server's clock: what is granted in a time is
// what it held and gained, whatever the steps.
func TestScriptBucket(t *testing.T) {
	url := redisserver.New(t).URL()
	s := open(t, &redisstore.Store{Server: redisclient.Server{URL: url}})
	began := time.Now()
	granted, seq := int64(0), uint64(0)
	var first, last time.Time
	for time.Since(began) < 700*time.Millisecond {
		seq++
		last = time.Now()
		r := s.Do(t.Context(), []grant.Call{{
			Op: grant.OpRaise, Sort: grant.SortBucket, Key: "b", Holder: "h", Seq: seq, Base: granted, Claim: granted, Target: granted + 100_000, Amount: 60_000, Burst: 5000, Every: time.Minute, Keep: time.Minute,
		}})[0]
		if r.Err != nil {
			t.Fatal(r.Err)
		}
		if granted = r.Granted; seq == 1 {
			first = time.Now()
		}
	}
	most := 5000 + time.Since(began).Milliseconds() + 1
	if least := 5000 + last.Sub(first).Milliseconds() - 1; granted > most || granted < least {
		t.Errorf("%d granted in %d steps, want from %d to %d", granted, seq, least, most)
	}
}

// TestScriptForgetsDeadSlots holds that open requests of a gateway that was not heard of
// do not count for ever. The server's clock cannot be moved, so its memory is.
func TestScriptForgetsDeadSlots(t *testing.T) {
	url := redisserver.New(t).URL()
	s := open(t, &redisstore.Store{Server: redisclient.Server{URL: url}})
	slots := func(holder string, seq uint64) grant.Reply {
		return s.Do(t.Context(), []grant.Call{{Op: grant.OpRaise, Sort: grant.SortSlots, Key: "s", Holder: holder, Seq: seq, Target: 3, Amount: 4, Burst: 4, Keep: time.Minute}})[0]
	}
	slots("dead", 1)
	if r := slots("alive", 1); r.Granted != 1 || r.Total != 4 {
		t.Errorf("got %+v", r)
	}
	long := time.Now().Add(-grant.DeadAfter - time.Second).UnixMicro()
	ask(t, url, "", fmt.Sprintf("HSET llm:s h:dead \"3 1 %d\"", long))
	if r := slots("alive", 2); r.Granted != 3 || r.Total != 3 {
		t.Errorf("the slots of the dead still count: %+v", r)
	}
}

// TestRedisComesAndGoes has a store without its server, then with it, and then with one
// that has forgotten its scripts and its data.
func TestRedisComesAndGoes(t *testing.T) {
	s := open(t, &redisstore.Store{Server: redisclient.Server{URL: "redis://127.0.0.1:1/0"}})
	call := []grant.Call{{Op: grant.OpRaise, Sort: grant.SortWindow, Key: "k", Holder: "h", Seq: 1, Target: 5, Amount: 9, Burst: 9, Keep: time.Minute}}
	if r := s.Do(t.Context(), call); r[0].Err == nil {
		t.Errorf("without a server: %+v", r)
	}
	if _, err := s.Gateways(t.Context(), "g", false); err == nil {
		t.Error("there are gateways without a server")
	}
	if _, err := s.Keys(t.Context(), "k"); err == nil {
		t.Error("there are keys without a server")
	}
	url := redisserver.New(t, "--requirepass", "secret").URL()
	t.Setenv("REDIS_PASSWORD", "wrong")
	s = open(t, &redisstore.Store{Server: redisclient.Server{URL: url, Password: "{env.REDIS_PASSWORD}", KeyPrefix: "x"}})
	if r := s.Do(t.Context(), call); r[0].Err == nil || strings.Contains(r[0].Err.Error(), "secret") {
		t.Errorf("with a wrong password: %+v", r)
	}
	t.Setenv("REDIS_PASSWORD", "secret")
	for range 2 {
		if r := s.Do(t.Context(), call); r[0].Err != nil || r[0].Granted != 5 {
			t.Errorf("with the right one: %+v", r)
		}
	}
	ask(t, url, "secret", "FLUSHALL")
	ask(t, url, "secret", "SCRIPT FLUSH")
	call[0].Seq, call[0].Base, call[0].Claim, call[0].Known, call[0].Target = 2, 5, 5, 7, 9
	if r := s.Do(t.Context(), call); r[0].Err != nil || r[0].Granted != 7 || r[0].Total != 9 {
		t.Errorf("after the data was lost: %+v", r)
	}
	for _, gone := range []bool{false, true} {
		if n, err := s.Gateways(t.Context(), "g1", gone); err != nil || n != map[bool]int{false: 1, true: 0}[gone] {
			t.Errorf("%d gateways, %v", n, err)
		}
	}
	if keys, err := s.Keys(t.Context(), "k"); err != nil || len(keys) != 1 || keys[0] != "k" {
		t.Errorf("keys %q, %v", keys, err)
	}
	if _, ok := any(s).(caddy.CleanerUpper); ok {
		t.Error("Caddy may clean up the store before the app has given its leases back")
	}
	s.Close()
	if r := s.Do(t.Context(), call); r[0].Err == nil || errors.Is(r[0].Err, context.DeadlineExceeded) {
		t.Errorf("after the end: %+v", r)
	}
}

// TestForeignKeys has keys in the store that no gateway has written: each concerns itself
// alone.
func TestForeignKeys(t *testing.T) {
	url := redisserver.New(t).URL()
	s := open(t, &redisstore.Store{Server: redisclient.Server{URL: url}})
	ask(t, url, "", "SET llm:text any")
	ask(t, url, "", "RPUSH llm:list any")
	ask(t, url, "", "HSET llm:hash gen any total 5")
	ask(t, url, "", "HSET llm:holder h:h any")
	ask(t, url, "", "HSET llm:other any any")
	for _, sort := range []grant.Sort{grant.SortWindow, grant.SortBucket, grant.SortSlots} {
		var calls []grant.Call
		for _, key := range []string{"text", "list", "hash", "holder", "other"} {
			calls = append(calls, grant.Call{Op: grant.OpRaise, Sort: sort, Key: key, Holder: "h", Seq: 1, Target: 5, Amount: 9, Burst: 9, Every: time.Hour, Keep: time.Minute})
		}
		replies := s.Do(t.Context(), calls)
		for i, r := range replies[:3] {
			if !errors.Is(r.Err, grant.ErrCounter) || !strings.Contains(r.Err.Error(), "llm:"+calls[i].Key) {
				t.Errorf("%s of %s: %+v", sort, calls[i].Key, r)
			}
		}
		for i, r := range replies[3:] {
			if r.Err != nil || r.Granted != 5 {
				t.Errorf("%s of %s: %+v", sort, calls[3+i].Key, r)
			}
		}
		ask(t, url, "", "DEL llm:holder")
		ask(t, url, "", "HSET llm:holder h:h any")
		ask(t, url, "", "DEL llm:other")
	}
	ask(t, url, "", "SET llm:gateways any")
	for _, gone := range []bool{false, true} {
		if _, err := s.Gateways(t.Context(), "g", gone); !errors.Is(err, grant.ErrCounter) {
			t.Errorf("gateways: %v", err)
		}
	}
}

func TestRedisConfiguration(t *testing.T) {
	for url, want := range map[string]string{
		"redis://127.0.0.1:6379/0": "", "rediss://db.example.com": "", "valkey://db:6380/3": "", "redis://[::1]:6379": "",
		"": "URL", "127.0.0.1:6379": "URL", "http://db": "URL", "redis://": "URL", "redis://db/x": "URL", "redis://db/0/1": "URL", "redis://db:x/0": "URL",
		"redis://u:hunter2@db/0": "password", "redis://db/0?addr=other:1": "parameters",
	} {
		s := &redisstore.Store{Server: redisclient.Server{URL: url}}
		err := s.Check()
		if (err != nil) != (want != "") || err != nil && !strings.Contains(err.Error(), want) || err != nil && strings.Contains(err.Error(), "hunter2") {
			t.Errorf("%q: %v", url, err)
		}
	}
	for address, good := range map[string]bool{
		"redis-0.redis": true, "redis-0.redis:26380": true, "192.0.2.1": true, "[2001:db8::1]:26379": true, "2001:db8::1": true, "[2001:db8::1]": true, "my_sentinel": true,
		"": false, ":26379": false, "a:": false, "a:0": false, "a:x": false, "a:65536": false, "redis://a": false, "a/0": false, "u@a": false, "a:1:2": false, "a b": false, "[a]:1": true, "{env.SENTINEL}": false,
	} {
		s := &redisstore.Store{Server: redisclient.Server{URL: "redis://main/0", Sentinels: []string{"good", address}}}
		if err := s.Check(); (err == nil) != good {
			t.Errorf("Sentinel %q: %v", address, err)
		}
	}
	for want, server := range map[string]*redisclient.Server{
		"in place of a host": {URL: "redis://main:6379/0", Sentinels: []string{"good"}},
		"are for sentinels;": {URL: "redis://main/0", SentinelPassword: "hunter2"},
		"are for sentinels":  {URL: "redis://main/0", SentinelUsername: "hunter2"},
	} {
		if err := server.Check(); err == nil || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "hunter2") {
			t.Errorf("want %q: %v", want, err)
		}
	}
	id := func(sentinel string) string {
		return (&redisstore.Store{Server: redisclient.Server{URL: "redis://main/0", Sentinels: []string{sentinel}}}).ID()
	}
	if id("a") == id("b") {
		t.Errorf("stores with Sentinels are %q and %q", id("a"), id("b"))
	}
}
