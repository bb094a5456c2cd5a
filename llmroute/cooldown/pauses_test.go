package cooldown

import (
	"fmt"
	"net/http"
	"testing"
	"time"
)

func TestCoolDownAfter429(t *testing.T) {
	now := time.Unix(1_700_000_000, 0)
	var s Pauses
	limited := func(sent time.Time, after string) time.Duration {
		var h http.Header
		if after != "" {
			h = http.Header{"Retry-After": {after}}
		}
		return s.Failed(sent, now, "m", 429, h)
	}
	if a, b := limited(now, ""), limited(now, ""); a != time.Second || b != time.Second {
		t.Errorf("two of requests under way together: pauses %s and %s, want 1s each", a, b)
	}
	if !s.Cooling(now, "m") || s.Cooling(now, "other") || s.Until(now) != now.Add(time.Second) {
		t.Error("the pause is not that of the model alone")
	}
	s.Succeeded(now.Add(-time.Second), "m")
	if !s.Cooling(now, "m") {
		t.Error("a success of a request that was sent before ended it")
	}
	s.Succeeded(now.Add(time.Millisecond), "other")
	if !s.Cooling(now, "m") {
		t.Error("a success with another model ended it")
	}
	s.Succeeded(now.Add(time.Millisecond), "m")
	if s.Cooling(now, "m") || s.paused.Load() {
		t.Error("a success did not end it")
	}
	for i, seconds := range []int{1, 2, 4, 8, 16, 32, 60, 60} {
		now = now.Add(time.Hour)
		if got, want := limited(now, ""), time.Duration(seconds)*time.Second; got != want {
			t.Errorf("429 number %d: pause %s, want %s", i+1, got, want)
		}
	}
	s.Succeeded(now.Add(time.Second), "m")
	if got := limited(now, ""); got != time.Second {
		t.Errorf("429 after a success: pause %s, want 1s", got)
	}
	s.Succeeded(now.Add(time.Second), "m")
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
	if !s.Cooling(now.Add(3598*time.Second), "m") {
		t.Error("a pause that the provider asked for was cut short by a later 429 without one")
	}
}

func TestCoolDownAfterFailures(t *testing.T) {
	now := time.Unix(1_700_000_000, 0)
	var s Pauses
	for i, want := range []time.Duration{0, 0, 10 * time.Second} {
		if got := s.Failed(now, now, fmt.Sprint(i), 0, nil); got != want {
			t.Errorf("failure number %d: pause %s, want %s", i+1, got, want)
		}
	}
	if !s.Cooling(now.Add(9*time.Second), "any") || s.Cooling(now.Add(11*time.Second), "any") || s.Began() != 1 {
		t.Error("the pause after three failures is not one of 10 s for all models")
	}
	s.Succeeded(now.Add(time.Second), "any")
	if s.Cooling(now, "any") || s.Failed(now, now, "", 503, nil) != 0 {
		t.Error("a success did not end the pause and the row")
	}
	if got := s.Failed(now, now, "", 503, http.Header{"Retry-After": {"20"}}); got != 20*time.Second {
		t.Errorf("a 503 with Retry-After: pause %s", got)
	}
}

// TestModelsWithPausesAreBounded has a client name many models.
func TestModelsWithPausesAreBounded(t *testing.T) {
	now := time.Unix(1_700_000_000, 0)
	var s Pauses
	for i := range 10_000 {
		s.Failed(now, now, fmt.Sprint(i), 429, nil)
	}
	if n := len(s.limited); n > maxLimited+1 || !s.Cooling(now, "9999") || !s.Cooling(now, "0") {
		t.Errorf("%d models have a pause of their own", n)
	}
	now = now.Add(time.Hour)
	s.Failed(now, now, "later", 429, nil)
	if len(s.limited) > 2 || !s.Cooling(now, "later") || s.Cooling(now, "0") {
		t.Errorf("%d models have a pause after an hour", len(s.limited))
	}
}

func TestRetryAfterForms(t *testing.T) {
	now := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	for value, want := range map[string]time.Duration{
		"7": 7 * time.Second, "0.5": 500 * time.Millisecond, "-1": 0, "x": 0, "": 0, "99999": time.Hour, "1000000": time.Hour, "31536000": time.Hour, "1e300": time.Hour, "NaN": 0,
		now.Add(20 * time.Second).Format(http.TimeFormat): 20 * time.Second, now.Add(-time.Hour).Format(http.TimeFormat): 0,
	} {
		if got := RetryAfter(http.Header{"Retry-After": {value}}, now); got != want {
			t.Errorf("Retry-After %q: %s, want %s", value, got, want)
		}
	}
	if got := RetryAfter(http.Header{"Retry-After": {"7"}, "Retry-After-Ms": {"250"}}, now); got != 250*time.Millisecond {
		t.Errorf("retry-after-ms: %s, want 250ms", got)
	}
}
