package spec

import (
	"fmt"
	"os"
	"strings"
	"testing"
)

// TestDefaultRetryOnIsDescribed holds what kubectl explain and the manual say of the
// default of retry_on to what the code does.
func TestDefaultRetryOnIsDescribed(t *testing.T) {
	var always, own []string
	r := new(Rule)
	for status := 400; status < 600; status++ {
		switch {
		case !r.Retries(status, true):
		case !r.Retries(status, false):
			own = append(own, fmt.Sprint(status))
		case status > 520 && r.Retries(status-1, false):
			if r.Retries(status+1, false) {
				continue
			}
			always[len(always)-1] += " to " + fmt.Sprint(status)
		default:
			always = append(always, fmt.Sprint(status))
		}
	}
	last := len(own) - 1
	want := fmt.Sprintf("Default: %s, and %s and %s where the", strings.Join(always, ", "), strings.Join(own[:last], ", "), own[last])
	for _, file := range []string{"rule.go", "../../k8ssource/api/v1beta1/llmroute.go", "../../examples/kubernetes/crds/llmroutes.yaml"} {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		if got := strings.Join(strings.Fields(strings.ReplaceAll(string(text), "//", "")), " "); !strings.Contains(got, want) {
			t.Errorf("%s does not say %q", file, want)
		}
	}
}
