package llmroute

import (
	"encoding/json"
	"reflect"
	"strings"
	"testing"

	"github.com/caddy-llm/gateway/internal/placeholder"
)

// TestNoOptionTakesAPlaceholder goes over all options of the app: each has placeholders
// replaced, or refuses them.
func TestNoOptionTakesAPlaceholder(t *testing.T) {
	replaced := map[string]bool{"prices": true, "profiles": true} // at Provision
	tried := 0
	for option, index := range placeholder.Fields(reflect.TypeFor[App]()) {
		value := placeholder.Try(reflect.TypeFor[App]().FieldByIndex(index).Type)
		if value == nil || replaced[option] {
			continue
		}
		tried++
		a := new(App)
		if err := json.Unmarshal([]byte(`{"`+option+`":`+string(value)+"}"), a); err != nil {
			t.Errorf("%s: %v of %s", option, err, value)
			continue
		}
		if err := a.Validate(); err == nil || !strings.Contains(err.Error(), "{env.X} is not replaced here") {
			t.Errorf("%s: got %v", option, err)
		}
	}
	if tried < 5 {
		t.Errorf("only %d options were tried", tried)
	}
}
