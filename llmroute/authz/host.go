package authz

import (
	"strings"

	"github.com/caddy-llm/gateway/internal/host"
)

// hostTest tests the host that a request names, in its normal form and with its
// port and trailing dot. Istio compares it as it was sent; then
// `Host: test.com:80` would pass a DENY on test.com and be routed the same.
type hostTest struct{ textTest }

func (t *hostTest) add(value string) error {
	if !strings.HasSuffix(value, "*") {
		name, port, hasPort, ok := host.Split(value)
		if ok {
			if value = name; hasPort {
				value = host.InURL(name) + ":" + port
			}
		}
	}
	return t.textTest.add(host.Lower(value))
}

// maxHostForms is how many forms a host has at most.
const maxHostForms = 3

// hostForms appends the forms of a host that values are compared with: its normal
// form, which routes are found by, the same with the port if there is one, and as
// it was sent if that is another one. A host without a normal form has none: a
// request with it is rejected.
func hostForms(forms []string, sent string) []string {
	name, port, hasPort, ok := host.Split(sent)
	if !ok {
		return forms
	}
	if name != "" {
		forms = append(forms, name)
	}
	if hasPort && !isPort(port) {
		return forms // what follows the colon is no part of the host's name either
	}
	sent = host.Lower(sent)
	if sent == name {
		return forms
	}
	if hasPort {
		if with := len(sent) - len(port) - 1; sent[:with] != name { // a dot or brackets
			forms = append(forms, host.InURL(name)+":"+port)
		}
	}
	return append(forms, sent)
}

func isPort(s string) bool {
	for i := range len(s) {
		if s[i] < '0' || s[i] > '9' {
			return false
		}
	}
	return s != ""
}
