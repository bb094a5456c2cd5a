package inject

import (
	"maps"
	"slices"
	"strings"
	"testing"
)

// TestAnnotationsRepeatNoSecret holds that no error about a pod's annotations repeats a
// name or a value that may be a secret: the webhook's answers get into events.
func TestAnnotationsRepeatNoSecret(t *testing.T) {
	const secret = "sk-proj-abcdefghijklmnopqrstuvwxyz0123456789"
	o := &Options{Image: "a"}
	if err := o.Provision(); err != nil {
		t.Fatal(err)
	}
	if _, err := o.forPod(map[string]string{annotationPrefix + secret: "a"}, true); err == nil || strings.Contains(err.Error(), secret) {
		t.Errorf("a name: %v", err)
	}
	faults := 0
	for _, option := range slices.Sorted(maps.Keys(overrides)) {
		for _, value := range []string{secret, "80," + secret, secret + " " + secret, "https://u:" + secret + "@a", "1" + secret} {
			_, err := o.forPod(map[string]string{annotationPrefix + option: value}, true)
			if err == nil {
				continue // it may be an image or a text of the application's own
			}
			faults++
			if strings.Contains(err.Error(), secret) {
				t.Errorf("%s: %v", option, err)
			}
		}
	}
	if faults < 20 {
		t.Errorf("only %d errors; that tests little", faults)
	}
	if err := (&Options{Image: "a", AllowAnnotations: []string{secret}}).Provision(); err == nil || strings.Contains(err.Error(), secret) {
		t.Errorf("allowAnnotations: %v", err)
	}
}
