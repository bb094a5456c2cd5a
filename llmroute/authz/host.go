package authz

import "strings"

// hostTest tests the host that a request names, in any case, with and without
// its port and its trailing dot. Istio compares it as it was sent; then
// `Host: test.com:80` slips past a DENY on test.com that routes to the same.
type hostTest struct{ textTest }

func (t *hostTest) add(value string) error {
	value = strings.ToLower(value)
	if !strings.HasSuffix(value, "*") {
		name, port, ok := cutPort(value)
		value = strings.TrimSuffix(name, ".")
		if ok {
			value += ":" + port
		}
	}
	return t.textTest.add(value)
}

// hostForms appends the forms of a host that values are compared with: its name
// as routes find it, with the port if there is one, and with both port and
// trailing dot if it was sent with the dot.
func hostForms(forms []string, sent string) []string {
	sent = strings.ToLower(sent)
	name, port, ok := cutPort(sent)
	bare := strings.TrimSuffix(name, ".")
	if bare != "" {
		forms = append(forms, bare)
	}
	if ok && !isPort(port) {
		return forms // what follows the colon is no part of the host's name either
	}
	dot := len(bare) < len(name)
	if ok && !dot {
		return append(forms, sent)
	}
	if ok {
		forms = append(forms, bare+":"+port)
	}
	if dot {
		forms = append(forms, sent)
	}
	return forms
}

// cutPort cuts a host at its port's colon.
func cutPort(host string) (name, port string, ok bool) {
	i := strings.LastIndexByte(host, ':')
	if i < 0 || strings.IndexByte(host[i:], ']') >= 0 {
		return host, "", false
	}
	return host[:i], host[i+1:], true
}

func isPort(s string) bool {
	for i := range len(s) {
		if s[i] < '0' || s[i] > '9' {
			return false
		}
	}
	return s != ""
}
