package redisstore

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/caddyserver/caddy/v2"

	"github.com/caddy-llm/gateway/integration/redisserver"
	"github.com/caddy-llm/gateway/internal/redisclient"
	"github.com/caddy-llm/gateway/llmprovider"
	"github.com/caddy-llm/gateway/llmroute/cache"
)

const secret = "0123456789abcdef0123456789abcdef"

func entry(client, model, rule, body string) *cache.Entry {
	now := time.Now().Truncate(time.Millisecond).UTC()
	return &cache.Entry{
		Stored: now, Expires: now.Add(time.Minute), Header: http.Header{"Content-Type": {"application/json"}}, Stream: true, Body: []byte(body),
		Usage: llmprovider.Usage{Known: true, PromptTokens: 3, FinishReason: "stop"}, Provider: "p", Tags: cache.Tags{Client: client, Model: model, Rule: rule},
	}
}

func open(t *testing.T, s *Store) *Store {
	t.Helper()
	if err := s.Provision(caddy.Context{}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Cleanup() })
	return s
}

// TestStore holds what a real server keeps, for how long, for whom, and what is removed.
func TestStore(t *testing.T) {
	server := redisserver.New(t)
	url := server.URL()
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	s, same := open(t, &Store{Server: redisclient.Server{URL: url}, Secret: secret}), open(t, &Store{Server: redisclient.Server{URL: url}, Secret: secret})
	others := []*Store{open(t, &Store{Server: redisclient.Server{URL: url}}), open(t, &Store{Server: redisclient.Server{URL: url}, Secret: secret + "x"}), open(t, &Store{Server: redisclient.Server{URL: url, KeyPrefix: "other"}, Secret: secret})}
	key := cache.Key{1}
	if got, _, err := s.Get(ctx, key); got != nil || err != nil {
		t.Fatalf("%+v, %v", got, err)
	}
	e := entry("alice", "m", "r", "text")
	if err := s.Put(ctx, key, e, 0); err != nil {
		t.Fatal(err)
	}
	if got, _, err := same.Get(ctx, key); err != nil || !reflect.DeepEqual(got, e) {
		t.Errorf("%+v, %v", got, err)
	}
	for i, other := range others {
		if got, _, err := other.Get(ctx, key); got != nil || err != nil {
			t.Errorf("store %d has %+v, %v", i, got, err)
		}
	}
	short := entry("alice", "m", "r", "text")
	short.Expires = time.Now().Add(200 * time.Millisecond)
	if err := s.Put(ctx, cache.Key{2}, short, 0); err != nil {
		t.Fatal(err)
	}
	time.Sleep(300 * time.Millisecond)
	if got, _, err := s.Get(ctx, cache.Key{2}); got != nil || err != nil {
		t.Errorf("%+v, %v", got, err)
	}
	for i := range 3000 {
		if err := s.Put(ctx, cache.Key{3, byte(i), byte(i >> 8)}, entry(fmt.Sprint("c", i%3), "m", "r", "text"), 0); err != nil {
			t.Fatal(err)
		}
	}
	for _, test := range []struct {
		tags cache.Tags
		want int
	}{{cache.Tags{Client: "c1"}, 1000}, {cache.Tags{Client: "c1"}, 0}, {cache.Tags{Client: "c2", Model: "other"}, 0}, {cache.Tags{Client: "alice", Model: "m", Rule: "r"}, 1}, {cache.Tags{}, 2000}} {
		if n, err := same.Purge(ctx, test.tags); n != test.want || err != nil {
			t.Errorf("%+v: %d, %v", test.tags, n, err)
		}
	}
	server.Kill()
	short1, cancel1 := context.WithTimeout(ctx, time.Second)
	defer cancel1()
	if got, _, err := s.Get(short1, key); got != nil || err == nil {
		t.Errorf("without a server: %+v, %v", got, err)
	}
	_ = s.Cleanup()
	if _, _, err := s.Get(ctx, key); !errors.Is(err, cache.ErrClosed) {
		t.Errorf("after its end: %v", err)
	}
}

// TestPurgesAndPuts holds that of requests that began before a purge nothing is stored once it has
// ended, at whatever moment another gateway stores it, and that later ones are stored.
func TestPurgesAndPuts(t *testing.T) {
	server := redisserver.New(t)
	s, other := open(t, &Store{Server: redisclient.Server{URL: server.URL()}}), open(t, &Store{Server: redisclient.Server{URL: server.URL()}})
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	for i := range 200 {
		key := cache.Key{1, byte(i)}
		_, before, err := other.Get(ctx, key)
		if err != nil {
			t.Fatal(err)
		}
		put := make(chan error)
		go func() {
			time.Sleep(time.Duration(i*5) * time.Microsecond)
			put <- other.Put(ctx, key, entry("c", "m", "r", "text"), before)
		}()
		if _, err := s.Purge(ctx, cache.Tags{Client: "c"}); err != nil {
			t.Fatal(err)
		}
		if err := <-put; err != nil {
			t.Fatal(err)
		}
		got, after, err := s.Get(ctx, key)
		if got != nil || err != nil || after == before {
			t.Fatalf("%d: %+v, %v, epochs %d and %d", i, got, err, before, after)
		}
		if err := other.Put(ctx, key, entry("d", "m", "r", "text"), after); err != nil {
			t.Fatal(err)
		}
		if got, _, err := s.Get(ctx, key); got == nil || err != nil {
			t.Fatalf("%d: %+v, %v", i, got, err)
		}
	}
}

// TestNobodyWaitsForTheServer holds that a request does not wait for a connection longer
// than it may.
func TestNobodyWaitsForTheServer(t *testing.T) {
	s := open(t, &Store{Server: redisclient.Server{URL: "redis://192.0.2.1:6379/0"}}) // nobody is there (RFC 5737)
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	began := time.Now()
	if _, _, err := s.Get(ctx, cache.Key{}); err == nil || time.Since(began) > 500*time.Millisecond {
		t.Errorf("%v after %s", err, time.Since(began))
	}
}

// TestConfiguration holds what is refused.
func TestConfiguration(t *testing.T) {
	for _, test := range []struct {
		store *Store
		says  string
	}{
		{&Store{Server: redisclient.Server{URL: "http://a"}}, "the URL is not usable"},
		{&Store{Server: redisclient.Server{URL: "redis://a"}, Secret: "short"}, "shorter than 16 bytes"},
		{&Store{Server: redisclient.Server{URL: "redis://a"}, Secret: "{env.NOT_THERE_AT_ALL}"}, "secret"},
		{&Store{Server: redisclient.Server{URL: "redis://a", KeyPrefix: "a*"}}, "key_prefix"},
	} {
		if err := test.store.Provision(caddy.Context{}); err == nil || !strings.Contains(err.Error(), test.says) || strings.Contains(err.Error(), "short\"") {
			t.Errorf("%v, want %s", err, test.says)
		}
	}
}
