package cache

import (
	"net/http"
	"strconv"
	"strings"
	"time"
)

// control is what a client says of caches (RFC 9111, section 5.2.1). max-stale has no
// meaning here: no stale response is used.
type control struct {
	noStore, noCache, onlyIfCached bool
	maxAge                         time.Duration // negative for any
	minFresh                       time.Duration
}

// readControl reads the request's header.
func readControl(h http.Header) control {
	c := control{maxAge: -1}
	lines := h["Cache-Control"]
	if len(lines) == 0 {
		for _, line := range h["Pragma"] { // RFC 9111, section 5.4
			c.noCache = c.noCache || strings.Contains(strings.ToLower(line), "no-cache")
		}
		return c
	}
	for _, line := range lines {
		for directive := range strings.SplitSeq(line, ",") {
			name, value, _ := strings.Cut(strings.Trim(directive, " \t"), "=")
			switch strings.ToLower(strings.TrimRight(name, " \t")) {
			case "no-store":
				c.noStore = true
			case "no-cache":
				c.noCache = true
			case "only-if-cached":
				c.onlyIfCached = true
			case "max-age":
				if age := seconds(value, 0); c.maxAge < 0 || age < c.maxAge {
					c.maxAge = age
				}
			case "min-fresh":
				c.minFresh = max(c.minFresh, seconds(value, MaxTTL))
			}
		}
	}
	c.noCache = c.noCache || c.maxAge == 0
	return c
}

// seconds reads a number of seconds; other is for what is none, on the side of asking the
// provider.
func seconds(s string, other time.Duration) time.Duration {
	n, err := strconv.ParseUint(strings.Trim(s, " \t\""), 10, 64)
	if err != nil {
		return other
	}
	return time.Duration(min(n, uint64(MaxTTL/time.Second))) * time.Second
}

// takes reports whether the client takes a response of that age, which may be used for that
// long.
func (c *control) takes(age, left time.Duration) bool {
	return left > 0 && left >= c.minFresh && (c.maxAge < 0 || age <= c.maxAge)
}

// forbidsStore reports whether a response says that it is not to be stored.
func forbidsStore(h http.Header) bool {
	for _, line := range h["Cache-Control"] {
		for directive := range strings.SplitSeq(line, ",") {
			if name, _, _ := strings.Cut(strings.Trim(directive, " \t"), "="); strings.EqualFold(name, "no-store") {
				return true
			}
		}
	}
	return false
}
