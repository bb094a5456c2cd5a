package authz

import "strings"

// requestPrincipalTest tests the issuer and subject of the token.
type requestPrincipalTest struct{ values []requestPrincipal }

type requestPrincipal struct{ issuer, subject texts }

// add takes ISSUER/SUBJECT, cut at the last slash. As in Istio, an asterisk that
// is not the whole of one is taken where the value as a whole begins or ends
// with it: iss/pre* and *fix/sub, and without a slash pre* for issuers and *fix
// for subjects.
func (t *requestPrincipalTest) add(value string) error {
	issuer, subject := value, ""
	slash := strings.LastIndexByte(value, '/')
	if slash >= 0 {
		issuer, subject = value[:slash], value[slash+1:]
	}
	var p requestPrincipal
	switch {
	case value == "*":
		p.issuer.present, p.subject.present = true, true
	case strings.HasPrefix(value, "*") && slash >= 0:
		p.issuer.add(issuer)
		p.subject.addExact(subject)
	case strings.HasPrefix(value, "*"):
		p.issuer.present = true
		p.subject.add(value)
	case strings.HasSuffix(value, "*") && slash >= 0:
		p.issuer.addExact(issuer)
		p.subject.add(subject)
	case strings.HasSuffix(value, "*"):
		p.issuer.add(value)
		p.subject.present = true
	default:
		p.issuer.addExact(issuer)
		p.subject.addExact(subject)
	}
	t.values = append(t.values, p)
	return nil
}

func (t *requestPrincipalTest) match(r *request) bool {
	if r.token == nil || r.token.Issuer == "" || r.token.Subject == "" {
		return false
	}
	for i := range t.values {
		if t.values[i].issuer.match(r.token.Issuer) && t.values[i].subject.match(r.token.Subject) {
			return true
		}
	}
	return false
}

func (t *requestPrincipalTest) keys() []key { return nil }
