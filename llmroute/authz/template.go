package authz

import (
	"errors"
	"regexp"
	"slices"
	"strings"
)

// template is a path with {*} for one segment and {**} for any number of them.
type template struct {
	segments []string // up to {**}
	tail     string   // what follows {**}
}

const (
	anySegment  = "{*}"
	anySegments = "{**}"
)

// literal are the segments that a template may have beside.
var literal = regexp.MustCompile(`^[a-zA-Z0-9\-._~%!$&'()+,;:@=]+$`)

func newTemplate(value string) (*template, error) {
	path, ok := strings.CutPrefix(value, "/")
	if !ok {
		return nil, errors.New("a path template begins with /; write one such as /v1/{*}/chat or /v1/{**}")
	}
	segments := strings.Split(path, "/")
	after := false // {**}
	for i, segment := range segments {
		last := i == len(segments)-1
		switch {
		case after && (segment == anySegment || segment == anySegments):
			return nil, errors.New("{**} has another {*} or {**} behind it; write only fixed segments there")
		case segment == anySegments:
			after = true
		case segment == anySegment, segment == "" && last:
		case !literal.MatchString(segment):
			return nil, errors.New("a path template has only {*}, {**} and fixed segments, without other braces and asterisks; write one such as /v1/{*}/chat or /v1/{**}")
		}
	}
	t := &template{segments: segments}
	if i := slices.Index(segments, anySegments); i >= 0 && i < len(segments)-1 {
		t.segments, t.tail = segments[:i+1], "/"+strings.Join(segments[i+1:], "/")
	}
	return t, nil
}

// begin is what every path that matches begins with.
func (t *template) begin() string {
	begin := "/"
	for _, segment := range t.segments {
		if segment == anySegment || segment == anySegments {
			break
		}
		begin += segment + "/"
	}
	return begin
}

// match compares as Envoy's URI templates do, with any characters in a segment.
func (t *template) match(path string) bool {
	rest, ok := strings.CutPrefix(path, "/")
	for _, want := range t.segments {
		if !ok || want == anySegments {
			return ok && strings.HasSuffix(rest, t.tail)
		}
		var segment string
		segment, rest, ok = strings.Cut(rest, "/")
		if want != segment && (want != anySegment || segment == "") {
			return false
		}
	}
	return !ok
}
