package llmroute

import (
	"fmt"
	"net/http"
	"testing"
	"time"
)

func TestCoolDownAfter429(t *testing.T) {
	now := time.Unix(1_700_000_000, 0)
	var s providerState
	limited := func(sent time.Time, after string) time.Duration {
		var h http.Header
		if after != "" {
			h = http.Header{"Retry-After": {after}}
		}
		return s.failed(sent, now, "m", 429, h)
	}
	if a, b := limited(now, ""), limited(now, ""); a != time.Second || b != time.Second {
		t.Errorf("two of requests under way together: pauses %s and %s, want 1s each", a, b)
	}
	if !s.cooling(now, "m") || s.cooling(now, "other") || s.coolingUntil(now) != now.Add(time.Second) {
		t.Error("the pause is not that of the model alone")
	}
	s.succeeded(now.Add(-time.Second), "m")
	if !s.cooling(now, "m") {
		t.Error("a success of a request that was sent before ended it")
	}
	s.succeeded(now.Add(time.Millisecond), "other")
	if !s.cooling(now, "m") {
		t.Error("a success with another model ended it")
	}
	s.succeeded(now.Add(time.Millisecond), "m")
	if s.cooling(now, "m") || s.paused.Load() {
		t.Error("a success did not end it")
	}
	for i, seconds := range []int{1, 2, 4, 8, 16, 32, 60, 60} {
		now = now.Add(time.Hour)
		if got, want := limited(now, ""), time.Duration(seconds)*time.Second; got != want {
			t.Errorf("429 number %d: pause %s, want %s", i+1, got, want)
		}
	}
	s.succeeded(now.Add(time.Second), "m")
	if got := limited(now, ""); got != time.Second {
		t.Errorf("429 after a success: pause %s, want 1s", got)
	}
	s.succeeded(now.Add(time.Second), "m")
	sent := now
	for i, test := range []struct {
		sent  time.Time
		after string
		want  time.Duration
	}{
		{sent, "7", 7 * time.Second}, {sent, "3600", time.Minute}, {sent, "3600", time.Minute}, {now.Add(time.Second), "3599", 3599 * time.Second},
	} {
		if got := limited(test.sent, test.after); got != test.want {
			t.Errorf("429 number %d with Retry-After %s: pause %s, want %s", i+1, test.after, got, test.want)
		}
	}
	limited(now, "")
	if !s.cooling(now.Add(3598*time.Second), "m") {
		t.Error("a pause that the provider asked for was cut short by a later 429 without one")
	}
}

func TestCoolDownAfterFailures(t *testing.T) {
	now := time.Unix(1_700_000_000, 0)
	var s providerState
	for i, want := range []time.Duration{0, 0, 10 * time.Second} {
		if got := s.failed(now, now, fmt.Sprint(i), 0, nil); got != want {
			t.Errorf("failure number %d: pause %s, want %s", i+1, got, want)
		}
	}
	if !s.cooling(now.Add(9*time.Second), "any") || s.cooling(now.Add(11*time.Second), "any") || s.coolDowns.Load() != 1 {
		t.Error("the pause after three failures is not one of 10 s for all models")
	}
	s.succeeded(now.Add(time.Second), "any")
	if s.cooling(now, "any") || s.failed(now, now, "", 503, nil) != 0 {
		t.Error("a success did not end the pause and the row")
	}
	if got := s.failed(now, now, "", 503, http.Header{"Retry-After": {"20"}}); got != 20*time.Second {
		t.Errorf("a 503 with Retry-After: pause %s", got)
	}
}

// TestModelsWithPausesAreBounded has a client name many models.
func TestModelsWithPausesAreBounded(t *testing.T) {
	now := time.Unix(1_700_000_000, 0)
	var s providerState
	for i := range 10_000 {
		s.failed(now, now, fmt.Sprint(i), 429, nil)
	}
	if n := len(s.limited); n > maxLimited+1 || !s.cooling(now, "9999") || !s.cooling(now, "0") {
		t.Errorf("%d models have a pause of their own", n)
	}
	now = now.Add(time.Hour)
	s.failed(now, now, "later", 429, nil)
	if len(s.limited) > 2 || !s.cooling(now, "later") || s.cooling(now, "0") {
		t.Errorf("%d models have a pause after an hour", len(s.limited))
	}
}
