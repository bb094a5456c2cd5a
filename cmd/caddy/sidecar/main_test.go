package main

import (
	"os/exec"
	"slices"
	"strings"
	"testing"
)

const gateway = "github.com/caddy-llm/gateway"

// TestImports holds that the build has all of the gateway's packages that do
// without client-go, and nothing of client-go.
func TestImports(t *testing.T) {
	if deps := list(t, "-deps", gateway+"/cmd/caddy/sidecar"); slices.ContainsFunc(deps, ofClientGo) {
		t.Error("client-go is in it")
	}
	own := list(t, "-f", `{{join .Imports "\n"}}`, gateway+"/cmd/caddy/sidecar")
	left := 0
	for _, pkg := range list(t, "-f", `{{join .Imports "\n"}}`, gateway) {
		if slices.ContainsFunc(list(t, "-deps", pkg), ofClientGo) {
			left++
		} else if !slices.Contains(own, pkg) {
			t.Errorf("%s is in the whole build, and needs no client-go: import it here, too", pkg)
		}
	}
	if left == 0 {
		t.Error("no package of the whole build needs client-go: what is this one for?")
	}
}

func ofClientGo(pkg string) bool { return strings.HasPrefix(pkg, "k8s.io/client-go/") }

// list is what go list prints, by lines.
func list(t *testing.T, args ...string) []string {
	t.Helper()
	out, err := exec.CommandContext(t.Context(), "go", append([]string{"list"}, args...)...).Output()
	if err != nil {
		t.Fatalf("go list %s: %v", strings.Join(args, " "), err)
	}
	return strings.Fields(string(out))
}
