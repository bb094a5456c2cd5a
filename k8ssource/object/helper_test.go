package object

import (
	"strings"
	"testing"
)

func mustDecode(t *testing.T, text string) *Set {
	t.Helper()
	o, err := Decode("x.yaml", []byte(text))
	if err != nil {
		t.Fatal(err)
	}
	return o
}

// texts lists the faults as "reason: message".
func texts(faults []Fault) string {
	var out []string
	for _, f := range faults {
		out = append(out, f.Reason+": "+f.Message)
	}
	return strings.Join(out, "\n")
}
