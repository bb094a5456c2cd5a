package authz

import (
	"slices"
	"strings"
)

// pathTest tests a path. A value that has an escape itself, such as /a%2Fb, is
// compared with the path as it was sent only, see request.path, and, where any reading counts,
// as canonical with canonicalReading.
type pathTest struct {
	attribute                 *attribute
	plain, escaped, canonical paths
}

// paths are values of a path.
type paths struct {
	texts
	templates []*template
}

func (t *pathTest) add(value string) error {
	if !strings.Contains(value, "%") {
		return t.plain.addValue(value)
	}
	if err := t.escaped.addValue(value); err != nil {
		return err
	}
	return t.canonical.addValue(canonicalValue(value))
}

func (p *paths) addValue(value string) error {
	if strings.ContainsAny(value, "{}") {
		template, err := newTemplate(value)
		if err != nil {
			return err
		}
		p.templates = append(p.templates, template)
		return nil
	}
	p.add(value)
	return nil
}

func (t *pathTest) match(r *request) bool {
	readings := r.readPaths()
	if r.every {
		// Not the endpoint's: ALLOW / lets a client pass that calls a host without a
		// path, and DENY with not_paths / does not refuse it.
		return t.matchBoth(readings[sentReading], readings[routedReading]) &&
			(!r.mergesSlashes || t.matchBoth(readings[mergedSentReading], readings[mergedRoutedReading]))
	}
	if t.escaped.match(readings[sentReading]) || r.mergesSlashes && t.escaped.match(readings[mergedSentReading]) {
		return true
	}
	if t.canonical.match(readings[canonicalReading]) || r.mergesSlashes && t.canonical.match(readings[mergedCanonicalReading]) {
		return true
	}
	for i, reading := range readings[:canonicalReading] {
		if (i == 0 || reading != readings[i-1]) && reading != "" && t.plain.match(reading) {
			return true
		}
	}
	return false
}

// matchBoth reports whether the path matches as it was sent and decoded. A value with an
// escape says what is decoded.
func (t *pathTest) matchBoth(sent, routed string) bool {
	return t.escaped.match(sent) || t.plain.match(sent) && (routed == sent || t.plain.match(routed))
}

func (t *pathTest) keys() []key {
	if t.plain.present || t.escaped.present {
		return nil
	}
	keys := slices.Concat(t.plain.keys(t.attribute), t.escaped.keys(t.attribute), t.canonical.keys(t.attribute))
	for _, template := range slices.Concat(t.plain.templates, t.escaped.templates, t.canonical.templates) {
		keys = append(keys, key{attribute: t.attribute, form: textPrefix, text: template.begin()})
	}
	return keys
}

func (p *paths) match(path string) bool {
	if p.texts.match(path) {
		return true
	}
	for _, t := range p.templates {
		if t.match(path) {
			return true
		}
	}
	return false
}
