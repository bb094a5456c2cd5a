package cloud

import (
	"context"
	"errors"
	"net/http"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"

	"github.com/caddy-llm/gateway/llmprovider"
)

// source is a scripted source of credentials.
type source struct {
	fetches atomic.Int32
	life    time.Duration
	takes   time.Duration
	fail    atomic.Bool
}

var errSource = errors.New("the source is down")

func (s *source) fetch(ctx context.Context) (string, time.Time, error) {
	n := s.fetches.Add(1)
	select {
	case <-ctx.Done():
		return "", time.Time{}, ctx.Err()
	case <-time.After(s.takes):
	}
	if s.fail.Load() {
		return "", time.Time{}, errSource
	}
	if s.life == 0 {
		return "c" + strconv.Itoa(int(n)), time.Time{}, nil
	}
	return "c" + strconv.Itoa(int(n)), time.Now().Add(s.life), nil
}

func wantValue(t *testing.T, r *Renewed[string], want string) {
	t.Helper()
	if got, err := r.Get(t.Context()); got != want || err != nil {
		t.Fatalf("%q, %v; want %q", got, err, want)
	}
}

func TestOneFetchForAll(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &source{life: time.Hour, takes: time.Second}
		r := NewRenewed(s.fetch, zap.NewNop())
		var all sync.WaitGroup
		for range 50 {
			all.Go(func() { wantValue(t, r, "c1") })
		}
		all.Wait()
		if n := s.fetches.Load(); n != 1 {
			t.Errorf("%d fetches", n)
		}
	})
}

// TestRenewal holds that a credential is renewed before it expires, without a request
// that waits for it.
func TestRenewal(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &source{life: time.Hour, takes: 3 * time.Second}
		r := NewRenewed(s.fetch, zap.NewNop())
		wantValue(t, r, "c1")
		time.Sleep(54 * time.Minute)
		wantValue(t, r, "c1")
		if s.fetches.Load() != 1 {
			t.Error("renewed too early")
		}
		time.Sleep(2 * time.Minute)
		began := time.Now()
		wantValue(t, r, "c1")
		wantValue(t, r, "c1")
		if time.Since(began) > 0 {
			t.Error("a request waited")
		}
		time.Sleep(4 * time.Second)
		wantValue(t, r, "c2")
		if n := s.fetches.Load(); n != 2 {
			t.Errorf("%d fetches", n)
		}

		// Nobody asked for hours: the next request waits.
		time.Sleep(3 * time.Hour)
		wantValue(t, r, "c3")
	})
}

// TestFailures holds that the last credential is used until it expires, that requests
// then get the error, and that a source that fails is not asked for each of them.
func TestFailures(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		core, logs := observer.New(zap.InfoLevel)
		s := &source{life: time.Hour}
		r := NewRenewed(s.fetch, zap.New(core))
		wantValue(t, r, "c1")
		s.fail.Store(true)
		time.Sleep(56 * time.Minute)
		for range 239 { // until a second before its end
			wantValue(t, r, "c1")
			time.Sleep(time.Second)
		}
		if n := s.fetches.Load(); n < 20 || n > 26 {
			t.Errorf("%d fetches in 4 minutes", n)
		}
		if err := r.Check(); !errors.Is(err, errSource) {
			t.Errorf("%v", err)
		}
		time.Sleep(time.Minute)
		before := s.fetches.Load()
		for range 100 {
			if got, err := r.Get(t.Context()); !errors.Is(err, errSource) {
				t.Fatalf("%q, %v", got, err)
			}
		}
		if n := s.fetches.Load() - before; n > 1 {
			t.Errorf("%d fetches for 100 requests at once", n)
		}
		s.fail.Store(false)
		time.Sleep(2 * time.Second)
		wantValue(t, r, "c"+strconv.Itoa(int(s.fetches.Load())+1))
		if err := r.Check(); err != nil {
			t.Error(err)
		}
		synctest.Wait()
		if logs.Len() != 2 || logs.All()[0].Level != zap.ErrorLevel || logs.All()[1].Level != zap.InfoLevel {
			t.Errorf("%+v", logs.All())
		}
	})
}

func TestNoExpiryAndShortLives(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := new(source)
		r := NewRenewed(s.fetch, zap.NewNop())
		wantValue(t, r, "c1")
		time.Sleep(50 * time.Minute)
		wantValue(t, r, "c1")
		time.Sleep(time.Hour)
		wantValue(t, r, "c2")

		short := &source{life: 20 * time.Second}
		r = NewRenewed(short.fetch, zap.NewNop())
		for range 100 {
			if _, err := r.Get(t.Context()); err != nil {
				t.Fatal(err)
			}
			time.Sleep(time.Second)
		}
		if n := short.fetches.Load(); n < 5 || n > 8 {
			t.Errorf("%d fetches in 100 seconds", n)
		}

		// A source whose clock is behind is not asked for each request.
		expired := &source{life: -time.Second}
		r = NewRenewed(expired.fetch, zap.NewNop())
		for range 100 {
			if _, err := r.Get(t.Context()); !errors.Is(err, errExpired) {
				t.Errorf("%v", err)
			}
		}
		if n := expired.fetches.Load(); n != 1 {
			t.Errorf("%d fetches for 100 requests at once", n)
		}
	})
}

// TestLeavingWaiter holds that a client that leaves does not end the fetch for others.
func TestLeavingWaiter(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &source{life: time.Hour, takes: 10 * time.Second}
		r := NewRenewed(s.fetch, zap.NewNop())
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if _, err := r.Get(ctx); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("%v", err)
		}
		wantValue(t, r, "c1")

		stuck := &source{takes: 24 * time.Hour}
		if _, err := NewRenewed(stuck.fetch, zap.NewNop()).Get(t.Context()); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("%v", err)
		}
	})
}

func TestBearer(t *testing.T) {
	fail := false
	b := NewBearer("the test", func(context.Context) (Token, time.Time, error) {
		if fail {
			return Token{}, time.Time{}, errSource
		}
		return NewToken("t-1", http.Header{"X-Goog-User-Project": {"p"}}), time.Time{}, nil
	}, zap.NewNop())
	r := (&http.Request{Header: http.Header{}}).WithContext(t.Context())
	if refused := b.Authorize(r, llmprovider.Body{}); refused != nil || r.Header.Get("Authorization") != "Bearer t-1" || r.Header.Get("X-Goog-User-Project") != "p" || b.Ref() != "the test" {
		t.Errorf("%v, %v", refused, r.Header)
	}
	fail = true
	b = NewBearer("the test", b.fetch, zap.NewNop())
	if refused := b.Authorize(r, llmprovider.Body{}); refused == nil || refused.Status != http.StatusServiceUnavailable || !errors.Is(refused.Cause, errSource) {
		t.Errorf("%v", refused)
	}
}

func TestReason(t *testing.T) {
	long := make([]byte, 10_000)
	for i := range long {
		long[i] = 'x'
	}
	if got := Reason("  a\n\tb\xff " + string(long)); len(got) > maxReason+10 || got[:7] != "a b\uFFFD " {
		t.Errorf("%q", got)
	}
}
