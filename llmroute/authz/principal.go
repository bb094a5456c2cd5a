package authz

import "strings"

// requestPrincipalTest tests the issuer and the subject of the token, joined by a
// slash. Istio cuts values at their last slash instead; then no value is a subject
// that has slashes itself, such as repo:org/app.
//
// iss/pre* is for the subjects of that issuer, and *fix/sub for that subject: what
// the one ends with, the other cannot begin with in its stead. DENY and CUSTOM
// match on any text that begins or ends so.
type requestPrincipalTest struct{ values texts }

func (t *requestPrincipalTest) add(value string) error {
	t.values.add(value)
	return nil
}

func (t *requestPrincipalTest) match(r *request) bool {
	if r.token == nil || r.token.Issuer == "" || r.token.Subject == "" {
		return false
	}
	joined := r.token.Principal()
	if t.values.present || t.values.hasExact(joined) {
		return true
	}
	for _, prefix := range t.values.prefixes {
		if strings.HasPrefix(joined, prefix) && (!r.every || isPrincipalPrefix(prefix, r.token.Issuer)) {
			return true
		}
	}
	for _, suffix := range t.values.suffixes {
		if strings.HasSuffix(joined, suffix) && (!r.every || isPrincipalSuffix(suffix, r.token.Subject)) {
			return true
		}
	}
	return false
}

func (t *requestPrincipalTest) keys() []key { return nil }

// isPrincipalPrefix reports whether what a principal begins with is the beginning
// of an issuer, or the whole of this one and the beginning of a subject.
func isPrincipalPrefix(prefix, issuer string) bool {
	if rest, ok := strings.CutPrefix(prefix, issuer); ok {
		return rest == "" || rest[0] == '/'
	}
	_, name, hasScheme := strings.Cut(prefix, "://")
	if !hasScheme {
		name = prefix
	}
	return !strings.Contains(name, "/")
}

// isPrincipalSuffix reports whether what a principal ends with is the end of a
// subject, or the end of an issuer and the whole of this subject.
func isPrincipalSuffix(suffix, subject string) bool {
	rest, ok := strings.CutSuffix(suffix, subject)
	return ok && strings.HasSuffix(rest, "/") || !strings.Contains(suffix, "/")
}
