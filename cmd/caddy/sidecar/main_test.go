package main

import (
	"os/exec"
	"slices"
	"strings"
	"testing"
)

const gateway = "github.com/caddy-llm/gateway"

// TestImports holds that the build has all of the gateway's packages that do
// without client-go, clouds' SDKs, clients of databases and Envoy's messages, and nothing of
// those.
func TestImports(t *testing.T) {
	deps := list(t, "-deps", gateway+"/cmd/caddy/sidecar")
	if i := slices.IndexFunc(deps, leftOut); i >= 0 {
		t.Errorf("%s is in it", deps[i])
	}
	own := list(t, "-f", `{{join .Imports "\n"}}`, gateway+"/cmd/caddy/sidecar")
	left := 0
	whole := list(t, "-f", `{{join .Imports "\n"}}`, gateway)
	// One line a package: its name, and all that it needs.
	for _, line := range lines(t, append([]string{"-f", `{{.ImportPath}} {{join .Deps " "}}`}, whole...)...) {
		pkg, needs, _ := strings.Cut(line, " ")
		if slices.ContainsFunc(append(strings.Fields(needs), pkg), leftOut) {
			left++
		} else if !slices.Contains(own, pkg) {
			t.Errorf("%s is in the whole build, and needs nothing of what this one is without: import it here, too", pkg)
		}
	}
	if left == 0 {
		t.Error("no package of the whole build needs what this one is without: what is it for?")
	}
}

// leftOut reports whether a package is of those that the build is without. Envoy's messages
// are for endpoint pickers, and are 3 MB. Of AWS's SDK
// it has what cuts streams into frames, and Google's is part of Caddy.
func leftOut(pkg string) bool {
	for _, prefix := range []string{
		"k8s.io/client-go/", "github.com/envoyproxy/", "github.com/valkey-io/", "github.com/Azure/", "github.com/AzureAD/",
		"github.com/aws/aws-sdk-go-v2/config", "github.com/aws/aws-sdk-go-v2/credentials", "github.com/aws/aws-sdk-go-v2/service/", "github.com/aws/aws-sdk-go-v2/aws/signer/",
	} {
		if strings.HasPrefix(pkg, prefix) {
			return true
		}
	}
	return false
}

// list is what go list prints, by words.
func list(t *testing.T, args ...string) []string {
	t.Helper()
	return strings.Fields(strings.Join(lines(t, args...), "\n"))
}

// lines is what go list prints, by lines.
func lines(t *testing.T, args ...string) []string {
	t.Helper()
	out, err := exec.CommandContext(t.Context(), "go", append([]string{"list"}, args...)...).Output()
	if err != nil {
		t.Fatalf("go list %s: %v", strings.Join(args, " "), err)
	}
	return strings.Split(strings.TrimSpace(string(out)), "\n")
}
