package authz

import "strings"

// pathTest tests a path. A value that has an escape itself, such as /a%2Fb, is
// compared with the path as it was sent only, see request.path.
type pathTest struct {
	attribute      *attribute
	plain, escaped paths
}

// paths are values of a path.
type paths struct {
	texts
	templates []*template
}

func (t *pathTest) add(value string) error {
	to := &t.plain
	if strings.Contains(value, "%") {
		to = &t.escaped
	}
	if strings.ContainsAny(value, "{}") {
		template, err := newTemplate(value)
		if err != nil {
			return err
		}
		to.templates = append(to.templates, template)
		return nil
	}
	to.add(value)
	return nil
}

func (t *pathTest) match(r *request) bool {
	sent, reading := r.path()
	return t.plain.match(reading) || t.escaped.match(sent)
}

func (t *pathTest) keys() []key {
	if !t.plain.isExact() || !t.escaped.isExact() || len(t.plain.templates)+len(t.escaped.templates) > 0 {
		return nil
	}
	keys := make([]key, 0, len(t.plain.exact)+len(t.escaped.exact))
	for _, exact := range [][]string{t.plain.exact, t.escaped.exact} {
		for _, text := range exact {
			keys = append(keys, key{attribute: t.attribute, text: text})
		}
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
