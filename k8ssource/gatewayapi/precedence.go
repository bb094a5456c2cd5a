package gatewayapi

import "cmp"

// Compare orders matches as the API does: the more exact one first. Of equal ones the
// older route's, and then the earlier one, is to come first.
func (m *Match) Compare(other *Match) int {
	return cmp.Or(
		cmp.Compare(other.exact(), m.exact()),
		cmp.Compare(other.prefix(), m.prefix()),
		cmp.Compare(min(1, len(other.Method)), min(1, len(m.Method))),
		cmp.Compare(len(other.Headers), len(m.Headers)),
		cmp.Compare(len(other.QueryParams), len(m.QueryParams)),
	)
}

// exact is how exact the kind of path is.
func (m *Match) exact() int {
	switch {
	case m.Path == nil:
		return 0
	case m.Path.Type == "Exact":
		return 2
	case m.Path.Type == "RegularExpression":
		return 1
	}
	return 0
}

func (m *Match) prefix() int {
	if m.Path == nil {
		return 1 // as /
	}
	return len(m.Path.Value)
}
