package asmstore

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/caddyserver/caddy/v2"

	"github.com/caddy-llm/gateway/integration/fakecache"
	"github.com/caddy-llm/gateway/llmprovider"
	"github.com/caddy-llm/gateway/llmroute/cache"
)

const secret = "0123456789abcdef0123456789abcdef"

func entry(body string) *cache.Entry {
	now := time.Now().Truncate(time.Millisecond).UTC()
	return &cache.Entry{
		Stored: now, Expires: now.Add(time.Minute), Header: http.Header{"Content-Type": {"text/event-stream"}}, Stream: true, Body: []byte(body),
		Usage: llmprovider.Usage{Known: true, PromptTokens: 3, FinishReason: "stop"}, Provider: "p", Tags: cache.Tags{Client: "alice", Model: "m", Rule: "r"},
	}
}

func jsonOf(m fakecache.Message) string {
	text, _ := json.Marshal(m)
	return string(text)
}

func open(t *testing.T, s *Store) *Store {
	t.Helper()
	if err := s.Provision(caddy.Context{}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Cleanup() })
	return s
}

// TestStore holds what a service keeps, with and without a secret, and what it is told.
func TestStore(t *testing.T) {
	service := fakecache.New(t)
	ctx := t.Context()
	for _, s := range []*Store{open(t, &Store{URL: service.URL + "/"}), open(t, &Store{URL: service.URL, Secret: secret})} {
		one, two := cache.Key{1, byte(len(s.Secret))}, cache.Key{2, byte(len(s.Secret))}
		for key, body := range map[cache.Key]string{one: "data: {\"text of\": \"one \\u00e9 ü \"}\n\n", two: "the other"} {
			if got, _, err := s.Get(ctx, key); got != nil || err != nil {
				t.Fatalf("%+v, %v", got, err)
			}
			e := entry(body)
			if err := s.Put(ctx, key, e, 0); err != nil {
				t.Fatal(err)
			}
			if got, _, err := s.Get(ctx, key); err != nil || !reflect.DeepEqual(got, e) {
				t.Errorf("%+v, %v, want %+v", got, err, e)
			}
		}
		told := fmt.Sprint(service.Told()[len(service.Told())-2:])
		if sealed := s.Secret != ""; strings.Contains(told, "the other") == sealed || strings.Contains(told, "alice") == sealed {
			t.Errorf("the service is told %s", told)
		}
		for _, late := range []time.Duration{0, -time.Second} {
			e := entry("late")
			e.Expires = time.Now().Add(late)
			if err := s.Put(ctx, one, e, 0); err != nil {
				t.Fatal(err)
			}
			if got, _, err := s.Get(ctx, one); got != nil || err != nil {
				t.Errorf("one that has expired: %+v, %v", got, err)
			}
		}
		if err := s.Put(ctx, cache.Key{3}, entry("no text \xff"), 0); err != nil {
			t.Fatal(err)
		}
		if got, _, _ := s.Get(ctx, cache.Key{3}); got != nil && string(got.Body) != "no text \xff" {
			t.Errorf("bytes that are no text come back as %q", got.Body)
		}
		if n, err := s.Purge(ctx, cache.Tags{}); n != 0 || err == nil {
			t.Errorf("%d, %v", n, err)
		}
	}
}

// TestOthersResponses holds that a service that tells requests apart by less, or not at all,
// gives nobody the response to another request, and that one who writes to it chooses no
// response where there is a secret.
func TestOthersResponses(t *testing.T) {
	service := fakecache.New(t)
	plain, sealed := open(t, &Store{URL: service.URL}), open(t, &Store{URL: service.URL, Secret: secret})
	for _, s := range []*Store{plain, sealed, open(t, &Store{URL: service.URL, Secret: secret + "x"})} {
		key, other := cache.Key{1, byte(len(s.Secret))}, cache.Key{2, byte(len(s.Secret))}
		if err := s.Put(t.Context(), key, entry("to one"), 0); err != nil {
			t.Fatal(err)
		}
		last := service.Told()[len(service.Told())-1].Response
		for _, response := range []fakecache.Part{last, {}, {Headers: map[string]string{"content-type": "application/json"}, Body: "a text that the service made"}} {
			service.Be(func(w http.ResponseWriter, _ *http.Request) {
				fmt.Fprint(w, jsonOf(fakecache.Message{Response: response}))
			})
			for _, reader := range []*Store{plain, sealed, s} {
				got, _, err := reader.Get(t.Context(), other)
				if got != nil || err != nil {
					t.Errorf("%+v, %v", got, err)
				}
				if got, _, _ := reader.Get(t.Context(), key); got != nil && (reader.Secret != s.Secret || !reflect.DeepEqual(response, last)) {
					t.Errorf("%q stored with %q is read with %q", got.Body, s.Secret, reader.Secret)
				}
			}
		}
		service.Be(nil)
	}
	if err := sealed.Put(t.Context(), cache.Key{1}, entry("sealed"), 0); err != nil {
		t.Fatal(err)
	}
	moved := service.Told()[len(service.Told())-1].Response
	moved.Headers[keyHeader] = requestOf(cache.Key{9}).Headers["host"]
	service.Be(func(w http.ResponseWriter, _ *http.Request) {
		fmt.Fprint(w, jsonOf(fakecache.Message{Response: moved}))
	})
	if got, _, _ := sealed.Get(t.Context(), cache.Key{9}); got != nil {
		t.Errorf("a sealed response is read under another key: %+v", got)
	}
}

// TestBrokenServices holds that a service that fails, or talks nonsense, is an error without
// its text, and that nobody waits longer for it than asked.
func TestBrokenServices(t *testing.T) {
	service := fakecache.New(t)
	s := open(t, &Store{URL: service.URL})
	says := func(status int, body string) http.HandlerFunc {
		return func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Location", service.URL+"/elsewhere")
			w.WriteHeader(status)
			fmt.Fprint(w, body)
		}
	}
	for name, f := range map[string]http.HandlerFunc{
		"failure": says(500, "private"), "refusal": says(400, "private"), "redirect": says(307, "private"), "nothing": says(200, ""), "no JSON": says(200, "private"),
		"no response": says(200, `{"request":{}}`), "other": says(200, `[1]`), "too much": says(200, `{"response":{"body":"`+strings.Repeat("a", maxResponse)+`"}}`),
		"cut": func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Length", "100")
			fmt.Fprint(w, "private")
		},
		"slow": func(_ http.ResponseWriter, r *http.Request) { _, _ = io.Copy(io.Discard, r.Body); <-r.Context().Done() },
	} {
		service.Be(f)
		ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
		if name == "too much" {
			ctx = t.Context()
		}
		began := time.Now()
		got, _, err := s.Get(ctx, cache.Key{1})
		if got != nil || err == nil || strings.Contains(err.Error(), "private") || name == "slow" && time.Since(began) > 2*time.Second {
			t.Errorf("%s: %+v, %v after %s", name, got, err, time.Since(began))
		}
		if err := s.Put(ctx, cache.Key{1}, entry("x"), 0); (err == nil) != (name == "nothing" || name == "no JSON" || name == "no response" || name == "other") && name != "too much" {
			t.Errorf("%s: told: %v", name, err)
		}
		cancel()
	}
	service.Be(says(404, "private"))
	if err := s.Put(t.Context(), cache.Key{1}, entry("x"), 0); err == nil || !strings.Contains(err.Error(), "/update") {
		t.Errorf("%v", err)
	}
	service.Close()
	if _, _, err := s.Get(t.Context(), cache.Key{1}); err == nil {
		t.Error("a service that is gone is no error")
	}
}

// TestConfiguration holds what is refused.
func TestConfiguration(t *testing.T) {
	for _, test := range []struct {
		store *Store
		says  string
	}{
		{&Store{}, "the URL is not usable"}, {&Store{URL: "cache:8080"}, "the URL is not usable"}, {&Store{URL: "http://user:private@a"}, "has a user"},
		{&Store{URL: "http://a", Secret: "short"}, "shorter than 16 bytes"}, {&Store{URL: "http://a", Secret: "{env.NOT_THERE_AT_ALL}"}, "secret"},
	} {
		if err := test.store.Provision(caddy.Context{}); err == nil || !strings.Contains(err.Error(), test.says) || strings.Contains(err.Error(), "private") {
			t.Errorf("%v, want %s", err, test.says)
		}
	}
}
