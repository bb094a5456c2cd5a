package k8ssource

import (
	"testing"

	"github.com/caddy-llm/gateway/k8ssource/object"
)

func mustDecode(t *testing.T, text string) *object.Set {
	t.Helper()
	o, err := object.Decode("x.yaml", []byte(text))
	if err != nil {
		t.Fatal(err)
	}
	return o
}
