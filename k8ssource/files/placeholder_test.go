package files

import (
	"encoding/json"
	"reflect"
	"strings"
	"testing"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"

	"github.com/caddy-llm/gateway/internal/placeholder"
	"github.com/caddy-llm/gateway/k8ssource/source"
)

// TestNoOptionTakesAPlaceholder goes over all options, those that are added later
// included: none takes a placeholder for a name.
func TestNoOptionTakesAPlaceholder(t *testing.T) {
	tried := 0
	for option, index := range placeholder.Fields(reflect.TypeFor[Source]()) {
		value := placeholder.Try(reflect.TypeFor[Source]().FieldByIndex(index).Type)
		if value == nil {
			continue // numbers, durations, true and false
		}
		tried++
		f := new(Source)
		if err := json.Unmarshal([]byte(`{"paths":["a"],"`+option+`":`+string(value)+`}`), f); err != nil {
			t.Fatal(err)
		}
		if err := f.Provision(caddy.Context{}); err != nil {
			t.Fatal(err)
		}
		if err := f.Validate(); err == nil || !strings.Contains(err.Error(), "{env.X} is not replaced here") || !strings.Contains(err.Error(), "{$X}") {
			t.Errorf("%s: got %v", option, err)
		}
	}
	if tried < 9 {
		t.Errorf("only %d options were tried", tried)
	}
	for _, option := range append(strings.Split(source.OptionNames, ", "), "interval") {
		for _, value := range []string{"{env.X}", "a={env.X}", "80:{env.X}"} {
			err := new(Source).UnmarshalCaddyfile(caddyfile.NewTestDispenser("files a {\n " + option + " " + value + "\n}"))
			if err == nil || !strings.Contains(err.Error(), "{env.X} is not replaced here") || !strings.Contains(err.Error(), "at Testfile:2") {
				t.Errorf("%s %s: got %v", option, value, err)
			}
		}
	}
	if err := new(Source).UnmarshalCaddyfile(caddyfile.NewTestDispenser("files a {env.X}/b")); err == nil || !strings.Contains(err.Error(), "{env.X}") {
		t.Errorf("paths: got %v", err)
	}
}
