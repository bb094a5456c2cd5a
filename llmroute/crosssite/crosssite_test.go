package crosssite

import (
	"strings"
	"testing"
)

func TestOriginsThatAreNone(t *testing.T) {
	for _, origin := range []string{"", "null", "app.example.com", "https://", "https://a.example/", "https://a.example/x", "https://a.example?x", "https://u:secret@a.example", "https://*.a.example", "https://[x]"} {
		if err := CheckOrigin(origin); err == nil || strings.Contains(err.Error(), "secret") {
			t.Errorf("%q: %v", origin, err)
		}
	}
	for origin, want := range map[string]string{
		"*": "*", "HTTP://A.example:80": "http://a.example", "https://a.example:8443": "https://a.example:8443", "http://[::1]:3000": "http://[::1]:3000", "chrome-extension://abc": "chrome-extension://abc",
	} {
		if got, err := parseOrigin(origin); err != nil || got != want {
			t.Errorf("%q is %q, %v", origin, got, err)
		}
	}
}
