package llmprovider

import (
	"net/http"
	"testing"
)

func TestMediaType(t *testing.T) {
	for value, want := range map[string]string{
		"":                                  "",
		"application/json":                  "application/json",
		"Application/JSON":                  "application/json",
		"application/json; charset=utf-8":   "application/json",
		"application/json;charset=UTF-8;":   "application/json",
		"application/json; charset":         "application/json",
		"application/json; a=1; a=2":        "application/json",
		" text/event-stream ;charset=utf-8": "text/event-stream",
		"TEXT/Event-Stream; x=\"":           "text/event-stream",
	} {
		if got := MediaType(http.Header{"Content-Type": {value}}); got != want {
			t.Errorf("%q is %q, want %q", value, got, want)
		}
	}
}
