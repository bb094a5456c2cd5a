package period

import (
	"math/rand/v2"
	"testing"
	"time"
	_ "time/tzdata"
)

func TestCalendarWindows(t *testing.T) {
	for _, test := range []struct{ period, zone, at, start, end string }{
		{"month", "", "2026-02-28T23:59:59Z", "2026-02-01T00:00:00Z", "2026-03-01T00:00:00Z"},
		{"month", "", "2028-02-29T12:00:00Z", "2028-02-01T00:00:00Z", "2028-03-01T00:00:00Z"},
		{"month", "", "2026-12-31T23:59:59Z", "2026-12-01T00:00:00Z", "2027-01-01T00:00:00Z"},
		{"month", "Europe/Berlin", "2026-02-28T23:30:00Z", "2026-02-28T23:00:00Z", "2026-03-31T22:00:00Z"},
		{"month", "America/New_York", "2026-11-01T03:59:59Z", "2026-10-01T04:00:00Z", "2026-11-01T04:00:00Z"},
		{"year", "Europe/Berlin", "2026-07-01T00:00:00Z", "2025-12-31T23:00:00Z", "2026-12-31T23:00:00Z"},
		{"week", "", "2026-03-08T23:59:59Z", "2026-03-02T00:00:00Z", "2026-03-09T00:00:00Z"},                // a Sunday
		{"week", "", "2026-03-09T00:00:00Z", "2026-03-09T00:00:00Z", "2026-03-16T00:00:00Z"},                // a Monday
		{"day", "Europe/Berlin", "2026-03-29T10:00:00Z", "2026-03-28T23:00:00Z", "2026-03-29T22:00:00Z"},    // of 23 hours
		{"day", "Europe/Berlin", "2026-10-25T10:00:00Z", "2026-10-24T22:00:00Z", "2026-10-25T23:00:00Z"},    // of 25 hours
		{"day", "Africa/Cairo", "2026-04-24T10:00:00Z", "2026-04-23T22:00:00Z", "2026-04-24T21:00:00Z"},     // begins at 01:00
		{"day", "America/Havana", "2026-11-01T12:00:00Z", "2026-11-01T04:00:00Z", "2026-11-02T05:00:00Z"},   // has midnight twice
		{"day", "America/St_Johns", "2010-11-07T02:30:30Z", "2010-11-06T02:30:00Z", "2010-11-07T03:30:00Z"}, // a minute later it is yesterday again
		{"day", "Pacific/Apia", "2011-12-30T12:00:00Z", "2011-12-30T10:00:00Z", "2011-12-31T10:00:00Z"},     // the 30th was left out
		{"hour", "Asia/Kolkata", "2026-03-10T12:29:59Z", "2026-03-10T11:30:00Z", "2026-03-10T12:30:00Z"},
		{"hour", "Europe/Berlin", "2026-10-25T00:30:00Z", "2026-10-25T00:00:00Z", "2026-10-25T01:00:00Z"}, // 02:30 for the first time
		{"hour", "Europe/Berlin", "2026-10-25T01:30:00Z", "2026-10-25T01:00:00Z", "2026-10-25T02:00:00Z"}, // and again
		{"hour", "Australia/Lord_Howe", "2026-04-04T15:10:00Z", "2026-04-04T15:00:00Z", "2026-04-04T15:30:00Z"},
	} {
		w, err := Parse(test.period, test.zone)
		if err != nil {
			t.Fatal(err)
		}
		at, err := time.Parse(time.RFC3339, test.at)
		if err != nil {
			t.Fatal(err)
		}
		start, end := w.Bounds(at)
		if got := [2]string{start.UTC().Format(time.RFC3339), end.UTC().Format(time.RFC3339)}; got != [2]string{test.start, test.end} {
			t.Errorf("%s in %q at %s: %v, want %s to %s", test.period, test.zone, test.at, got, test.start, test.end)
		}
	}
}

// TestWindowsFollowEachOther holds, at any time in any zone, that the time is in its
// window, that the next one begins where it ends, and that both are found from
// anywhere inside.
func TestWindowsFollowEachOther(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	zones := []string{"UTC", "Europe/Berlin", "America/St_Johns", "America/Havana", "Pacific/Apia", "Africa/Cairo", "Asia/Kathmandu", "America/Sao_Paulo",
		"Australia/Lord_Howe", "Asia/Beirut", "America/Asuncion", "Atlantic/Azores", "Africa/Casablanca", "Pacific/Kwajalein", "Asia/Pyongyang"}
	for range 20000 {
		zone := zones[rng.IntN(len(zones))]
		w, err := Parse([]string{"hour", "day", "week", "month", "year"}[rng.IntN(5)], zone)
		if err != nil {
			t.Fatal(err)
		}
		at := time.Unix(rng.Int64N(2_500_000_000), rng.Int64N(1e9))
		if rng.IntN(2) == 0 { // near a change of the clock
			if from, _ := at.In(w.Zone).ZoneBounds(); !from.IsZero() && from.Unix() > 0 {
				at = from.Add(time.Duration(rng.Int64N(int64(4*time.Hour))) - 2*time.Hour)
			}
		}
		start, end := w.Bounds(at)
		if at.Before(start) || !at.Before(end) {
			t.Fatalf("%s: %s is not in %s to %s", w, at.UTC(), start, end)
		}
		for _, inside := range []time.Time{start, end.Add(-1), start.Add(end.Sub(start) / 2)} {
			if s, e := w.Bounds(inside); !s.Equal(start) || !e.Equal(end) {
				t.Fatalf("%s: from %s it is %s to %s, from %s %s to %s", w, at.UTC(), start, end, inside.UTC(), s, e)
			}
		}
		if s, _ := w.Bounds(end); !s.Equal(end) {
			t.Fatalf("%s: %s to %s is followed by %s", w, start, end, s)
		}
		if _, e := w.Bounds(start.Add(-1)); !e.Equal(start) {
			t.Fatalf("%s: %s to %s comes after %s", w, start, end, e)
		}
	}
}

func TestWindowErrors(t *testing.T) {
	for _, test := range [][2]string{{"", ""}, {"0s", ""}, {"-1m", ""}, {"10ms", ""}, {"9000h", ""}, {"fortnight", ""}, {"1m", "UTC"}, {"day", "Mars/Base"}, {"day", "Local"}, {"day", "../UTC"}} {
		if w, err := Parse(test[0], test[1]); err == nil {
			t.Errorf("%q is %s", test, w)
		}
	}
}

// TestFixedWindows holds that durations are windows one after the other, whose length is theirs,
// in stores that know no buckets.
func TestFixedWindows(t *testing.T) {
	at := time.Date(2026, 3, 29, 1, 59, 59, 999, time.UTC)
	for text, want := range map[string]string{"1s": "01:59:59 02:00:00", "1m": "01:59:00 02:00:00", "1h": "01:00:00 02:00:00", "24h": "00:00:00 00:00:00", "90s": "01:58:30 02:00:00", "1500ms": "01:59:59 02:00:00"} {
		w, err := Parse(text, "")
		if err != nil {
			t.Fatal(err)
		}
		w = w.Fixed()
		start, end := w.Bounds(at)
		if got := start.UTC().Format(time.TimeOnly) + " " + end.UTC().Format(time.TimeOnly); got != want || at.Before(start) || !at.Before(end) {
			t.Errorf("%s: %s, want %s", text, got, want)
		}
		if next, _ := w.Bounds(end); !next.Equal(end) {
			t.Errorf("%s: the window after %s begins at %s", text, end, next)
		}
		if budget := text == "24h"; w.Budget() != budget || !w.Calendar() {
			t.Errorf("%s: %+v", text, w)
		}
	}
	if w, _ := Parse("month", "Europe/Berlin"); w.Fixed() != w {
		t.Error("a window of the calendar is another one")
	}
}
