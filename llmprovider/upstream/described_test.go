package upstream

import (
	"fmt"
	"os"
	"strings"
	"testing"
	"time"
)

// TestDefaultsAreDescribed holds what kubectl explain says of defaults to the code.
func TestDefaultsAreDescribed(t *testing.T) {
	data, err := os.ReadFile("../../examples/kubernetes/crds/llmproviders.yaml")
	if err != nil {
		t.Fatal(err)
	}
	text := strings.Join(strings.Fields(string(data)), " ")
	short := func(d time.Duration) string {
		return strings.TrimSuffix(d.String(), "m0s") + "m"[:min(1, strings.Count(d.String(), "m0s"))]
	}
	for field, want := range map[string]string{
		"path":               "Default: `" + DefaultPath + "`.",
		"timeouts.connect":   fmt.Sprintf("How long connecting may take, TLS included. Default: `%s`.", short(defaultDialTimeout)),
		"timeouts.firstByte": fmt.Sprintf("How long the provider may take to begin its response. Default: `%s`.", short(defaultFirstByte)),
		"timeouts.idle":      fmt.Sprintf("How long the provider may be silent inside a response. Default: `%s`.", short(defaultIdle)),
	} {
		if !strings.Contains(text, want) {
			t.Errorf("the definition of %s does not say %q", field, want)
		}
	}
}
