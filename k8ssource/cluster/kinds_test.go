package cluster

import (
	"maps"
	"os"
	"slices"
	"strings"
	"testing"
)

// TestManualNamesAllKinds holds that the manual names every kind that is followed, with its
// group, since a role must have it.
func TestManualNamesAllKinds(t *testing.T) {
	manual, err := os.ReadFile("../../caddyfile/docs/source_kubernetes.md")
	if err != nil {
		t.Fatal(err)
	}
	_, section, _ := strings.Cut(string(manual), "\n## What is followed\n")
	section, _, _ = strings.Cut(section, "\n## ")
	for _, k := range slices.Concat(kinds, slices.Collect(maps.Values(referable))) {
		if !slices.ContainsFunc(strings.Split(section, "\n"), func(line string) bool {
			return strings.HasPrefix(line, "| ") && strings.Contains(line, "`"+k.resource+"`") && (k.group == "" || strings.Contains(line, "`"+k.group+"`"))
		}) {
			t.Errorf("there is no %s of %q", k.resource, k.group)
		}
	}
}
