package k8ssource

import (
	"strings"
	"testing"

	"github.com/caddy-llm/gateway/k8ssource/object"
	"github.com/caddy-llm/gateway/llmroute/spec"
)

// TestKeysFromASecret holds that the keys of a Secret are followed, that its last good
// version stays in use, and that findings repeat nothing of it.
func TestKeysFromASecret(t *testing.T) {
	hash := "sha256:" + strings.Repeat("ab", 32)
	secret := func(value string) string {
		return "apiVersion: v1\nkind: Secret\nmetadata: {name: virtual-keys, namespace: llm-system}\nstringData:\n  " + value + "\n"
	}
	good := secret(`keys: "alice ` + hash + ` gpt-4o*"`)
	var translator Translator
	options := Options{KeysSecret: "llm-system/virtual-keys"}
	for _, step := range []struct {
		name, manifest string
		keys           int // -1: none at all
		finding        string
		used           bool
	}{
		{"before it is there", "", -1, "the Secret that the configuration names for keys is not there; create it, with a value keys; nobody passes until then", false},
		{"another name of the value", secret(`other: "x"`), -1, "its values are: other; nobody passes until then", false},
		{"a mistake from the start", secret(`keys: "alice sk-secret"`), -1, "keys:1: expected NAME HASH", false},
		{"good", good, 1, "", false},
		{"more", secret(`keys: "a ` + hash + `\nb sha256:` + strings.Repeat("cd", 32) + `"`), 2, "", false},
		{"a mistake", secret(`keys: "alice sk-secret"`), 2, "the last good keys stay in use", true},
		{"gone", "", 2, "the last good keys stay in use", true},
		{"empty", secret(`keys: "# nobody"`), 0, "there are no clients", true},
		{"good again", good, 1, "", false},
	} {
		objects := new(object.Set)
		if step.manifest != "" {
			objects = mustDecode(t, step.manifest)
		}
		state := translator.Translate(objects, spec.Identity{}, options)
		keys := -1
		if state.Keys != nil {
			keys = state.Keys.Len()
		}
		if keys != step.keys {
			t.Errorf("%s: %d keys, want %d", step.name, keys, step.keys)
		}
		switch {
		case step.finding == "" && len(state.Findings) > 0, step.finding != "" && len(state.Findings) != 1:
			t.Errorf("%s: %+v", step.name, state.Findings)
		case step.finding != "":
			f := state.Findings[0]
			if !strings.Contains(f.Message, step.finding) || f.Used != step.used || strings.Contains(f.Message, "sk-") || !strings.Contains(f.Object, "llm-system/virtual-keys") {
				t.Errorf("%s: %+v", step.name, f)
			}
		}
	}
	if refs := References(new(object.Set), spec.Identity{}, options); len(refs) != 1 || refs[0] != (object.Reference{Kind: object.KindSecret, Namespace: "llm-system", Name: "virtual-keys"}) {
		t.Errorf("references %+v", refs)
	}
}
