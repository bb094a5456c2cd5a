package limit

import (
	"fmt"
	"math"
	"strings"
	"time"

	"github.com/caddyserver/caddy/v2"
)

// period is a window of the calendar.
type period string

const (
	periodHour  period = "hour"
	periodDay   period = "day"
	periodWeek  period = "week"
	periodMonth period = "month"
	periodYear  period = "year"
)

// window is the time in which an amount may be used: a bucket's duration, or a
// period of the calendar in a time zone.
type window struct {
	every  time.Duration // 0 for a calendar window
	period period
	zone   *time.Location
}

// minWindow and maxWindow bound the time in which a bucket refills. Longer ones are
// periods of the calendar.
const (
	minWindow = time.Second
	maxWindow = 366 * 24 * time.Hour
)

// budgetWindow is from which length on a window is a budget, not a rate: to try
// again soon is of no use.
const budgetWindow = 24 * time.Hour

func parseWindow(text, timezone string) (window, error) {
	switch p := period(text); p {
	case periodHour, periodDay, periodWeek, periodMonth, periodYear:
		zone, err := time.LoadLocation(timezone) // UTC for ""
		if err != nil || timezone == "Local" {
			return window{}, fmt.Errorf("unknown timezone %q; write a name of the IANA database, such as Europe/Berlin", timezone)
		}
		return window{period: p, zone: zone}, nil
	}
	every, err := caddy.ParseDuration(text)
	if err == nil && (every < minWindow || every > maxWindow) {
		err = errAmount
	}
	switch {
	case err != nil:
		return window{}, fmt.Errorf("the window is %q; expected a duration from 1s to 8784h, such as 1m, or hour, day, week, month or year", text)
	case timezone != "":
		return window{}, fmt.Errorf("a window of %s has no timezone; leave it out, or write hour, day, week, month or year", text)
	}
	return window{every: every}, nil
}

func (w window) calendar() bool { return w.period != "" }

// budget reports whether the window is so long that a refused client is not to try
// again by itself.
func (w window) budget() bool {
	return w.every >= budgetWindow || w.calendar() && w.period != periodHour
}

// String identifies the window.
func (w window) String() string {
	if w.calendar() {
		return string(w.period) + " " + w.zone.String()
	}
	return shortDuration(w.every)
}

// short is the window without its time zone; empty for none.
func (w window) short() string {
	switch {
	case w.calendar():
		return string(w.period)
	case w.every == 0:
		return ""
	}
	return shortDuration(w.every)
}

// shortDuration writes a duration without its zeros at the end: 1m, not 1m0s.
func shortDuration(d time.Duration) string {
	s := d.String()
	if strings.HasSuffix(s, "m0s") {
		s = s[:len(s)-2]
	}
	if strings.HasSuffix(s, "h0m") {
		s = s[:len(s)-2]
	}
	return s
}

// bounds returns the period of the calendar that t is in. The end belongs to the
// next one.
func (w window) bounds(t time.Time) (start, end time.Time) {
	t = t.In(w.zone)
	if w.period == periodHour {
		return hourBounds(t)
	}
	day := civilOf(t)
	if day.begin(w.zone).After(t) { // clocks will be set back over midnight, and the day begins once more
		day = day.add(0, 0, -1)
	}
	var from, to civil
	switch w.period {
	case periodDay:
		from, to = day, day.add(0, 0, 1)
	case periodWeek:
		back := (int(day.utc().Weekday()) + 6) % 7 // days since Monday
		from, to = day.add(0, 0, -back), day.add(0, 0, 7-back)
	case periodMonth:
		from = civil{day.year, day.month, 1}
		to = from.add(0, 1, 0)
	default:
		from = civil{day.year, time.January, 1}
		to = from.add(1, 0, 0)
	}
	return from.begin(w.zone), to.begin(w.zone)
}

// hourBounds returns the hour of the local clock that t is in. A change of the
// clock begins another one, so that an hour that comes twice is two.
func hourBounds(t time.Time) (start, end time.Time) {
	past := time.Duration(t.Minute())*time.Minute + time.Duration(t.Second())*time.Second + time.Duration(t.Nanosecond())
	start, end = t.Add(-past), t.Add(time.Hour-past)
	from, to := t.ZoneBounds()
	if from.After(start) && changes(from) {
		start = from
	}
	if to.After(t) && to.Before(end) && changes(to) {
		end = to
	}
	return start, end
}

// changes reports whether the local clock is set at t. Beyond the years that are
// tabled, ZoneBounds has every year begin and end one, at times that are not even
// right in leap years.
func changes(t time.Time) bool {
	_, before := t.Add(-1).Zone()
	_, after := t.Zone()
	return before != after
}

// civil is a day of the calendar.
type civil struct {
	year  int
	month time.Month
	day   int
}

func civilOf(t time.Time) civil {
	y, m, d := t.Date()
	return civil{y, m, d}
}

func (c civil) utc() time.Time { return time.Date(c.year, c.month, c.day, 0, 0, 0, 0, time.UTC) }

func (c civil) add(years, months, days int) civil {
	return civilOf(time.Date(c.year+years, c.month+time.Month(months), c.day+days, 0, 0, 0, 0, time.UTC))
}

func (c civil) before(other civil) bool { return c.utc().Before(other.utc()) }

// begin returns the first instant of the day or, where it was left out, of the one
// after it. Where clocks are set back from the day to the one before it, that is the
// second time. time.Date alone does not say: midnight may not exist, or come twice.
func (c civil) begin(zone *time.Location) time.Time {
	t := time.Date(c.year, c.month, c.day, 12, 0, 0, 0, zone)
	for civilOf(t).before(c) {
		t = t.Add(12 * time.Hour)
	}
	for {
		hour, minute, second := t.Clock()
		past := time.Duration(hour)*time.Hour + time.Duration(minute)*time.Minute + time.Duration(second)*time.Second + time.Duration(t.Nanosecond())
		first := t.Add(-past)
		if from, _ := t.ZoneBounds(); from.After(first) && !from.After(t) {
			first = from
		}
		before := first.Add(-1).In(zone)
		if civilOf(before).before(c) {
			return first.In(zone)
		}
		t = before
	}
}

// untilRefilled returns how long a bucket of this rate takes for n units.
func untilRefilled(n, rate int64, every time.Duration) time.Duration {
	if n <= 0 {
		return 0
	}
	d := math.Ceil(float64(n) / float64(rate) * float64(every)) // for people: it decides nothing
	return time.Duration(min(d, float64(10*maxWindow)))
}
