package inject

import (
	"testing"
)

// options are those of an operator who sets only what must be, and what change does.
func options(t testing.TB, change func(*Options)) *Options {
	t.Helper()
	o := &Options{Image: "registry.example.com/llm-gateway:0.1.0"}
	if change != nil {
		change(o)
	}
	if err := o.Provision(); err != nil {
		t.Fatal(err)
	}
	return o
}
