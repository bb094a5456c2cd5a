// Package period holds the time in which an amount may be used: durations, and periods of
// the calendar in a time zone, whatever is done there to the clocks. It imports nothing of
// the gateway. Begin with Window.
package period

import (
	"errors"
	"fmt"
	"math"
	"strings"
	"time"

	"github.com/caddyserver/caddy/v2"
)

// Kind is what a window of the calendar is.
type Kind string

// The periods of the calendar, by the local clock. A week begins on Monday.
const (
	Hour  Kind = "hour"
	Day   Kind = "day"
	Week  Kind = "week"
	Month Kind = "month"
	Year  Kind = "year"

	// Fixed is a duration as stores have it that know no buckets.
	Fixed Kind = "fixed"
)

// Window is the time in which an amount may be used: a bucket's duration, or a
// period of the calendar in a time zone.
type Window struct {
	Every  time.Duration  // of a bucket; 0 for a calendar window
	Period Kind           // of a calendar window; empty for a bucket
	Zone   *time.Location // of a calendar window
	length time.Duration  // for Fixed, in whole seconds
}

// Fixed returns the window as a store has it that knows no buckets: a duration begins at
// each of its multiples since 1970.
func (w Window) Fixed() Window {
	if w.Calendar() {
		return w
	}
	return Window{Period: Fixed, Zone: time.UTC, length: w.Every.Truncate(time.Second)}
}

// minimum and Max bound the time in which a bucket refills. Longer ones are periods of the
// calendar.
const (
	minimum = time.Second
	Max     = 366 * 24 * time.Hour
)

// errLength is the error for a bucket's duration beyond those.
var errLength = errors.New("not a window")

// budgetWindow is from which length on a window is a budget, not a rate: to try
// again soon is of no use.
const budgetWindow = 24 * time.Hour

// Parse reads a window as it stands in a configuration: a duration such as 1m, or hour, day,
// week, month or year with the name of a time zone. Default: UTC.
func Parse(text, timezone string) (Window, error) {
	switch p := Kind(text); p {
	case Hour, Day, Week, Month, Year:
		zone, err := time.LoadLocation(timezone) // UTC for ""
		if err != nil || timezone == "Local" {
			return Window{}, fmt.Errorf("unknown timezone %q; write a name of the IANA database, such as Europe/Berlin", timezone)
		}
		return Window{Period: p, Zone: zone}, nil
	}
	every, err := caddy.ParseDuration(text)
	if err == nil && (every < minimum || every > Max) {
		err = errLength
	}
	switch {
	case err != nil:
		return Window{}, fmt.Errorf("the window is %q; expected a duration from 1s to 8784h, such as 1m, or hour, day, week, month or year", text)
	case timezone != "":
		return Window{}, fmt.Errorf("a window of %s has no timezone; leave it out, or write hour, day, week, month or year", text)
	}
	return Window{Every: every}, nil
}

// Check reports whether a text is a window, and whether it is one of the calendar.
func Check(text string) (calendar, ok bool) {
	w, err := Parse(text, "")
	return w.Calendar(), err == nil
}

// CheckTimezone reports whether a text is a time zone, or empty for UTC.
func CheckTimezone(text string) bool {
	_, err := Parse(string(Day), text)
	return err == nil
}

// Calendar reports whether the window is a period of the calendar, or Fixed.
func (w Window) Calendar() bool { return w.Period != "" }

// Budget reports whether the window is so long that a refused client is not to try
// again by itself.
func (w Window) Budget() bool {
	return max(w.Every, w.length) >= budgetWindow || w.Calendar() && w.Period != Hour && w.Period != Fixed
}

// String identifies the window.
func (w Window) String() string {
	if w.Period == Fixed {
		return string(Fixed) + " " + shortDuration(w.length)
	}
	if w.Calendar() {
		return string(w.Period) + " " + w.Zone.String()
	}
	return shortDuration(w.Every)
}

// Short is the window without its time zone; empty for none.
func (w Window) Short() string {
	switch {
	case w.Period == Fixed:
		return shortDuration(w.length)
	case w.Calendar():
		return string(w.Period)
	case w.Every == 0:
		return ""
	}
	return shortDuration(w.Every)
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

// Bounds returns the period of the calendar that t is in. The end belongs to the
// next one.
func (w Window) Bounds(t time.Time) (start, end time.Time) {
	t = t.In(w.Zone)
	switch w.Period {
	case Hour:
		return hourBounds(t)
	case Fixed:
		seconds := int64(w.length / time.Second)
		start = time.Unix(t.Unix()/seconds*seconds, 0)
		return start, start.Add(w.length)
	}
	day := civilOf(t)
	if day.begin(w.Zone).After(t) { // clocks will be set back over midnight, and the day begins once more
		day = day.add(0, 0, -1)
	}
	var from, to civil
	switch w.Period {
	case Day:
		from, to = day, day.add(0, 0, 1)
	case Week:
		back := (int(day.utc().Weekday()) + 6) % 7 // days since Monday
		from, to = day.add(0, 0, -back), day.add(0, 0, 7-back)
	case Month:
		from = civil{day.year, day.month, 1}
		to = from.add(0, 1, 0)
	default:
		from = civil{day.year, time.January, 1}
		to = from.add(1, 0, 0)
	}
	return from.begin(w.Zone), to.begin(w.Zone)
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

// UntilRefilled returns how long a bucket of this rate takes for n units.
func UntilRefilled(n, rate int64, every time.Duration) time.Duration {
	if n <= 0 {
		return 0
	}
	d := math.Ceil(float64(n) / float64(rate) * float64(every)) // for people: it decides nothing
	return time.Duration(min(d, float64(10*Max)))
}
