package crds_test

import (
	"strings"
	"testing"

	"github.com/caddy-llm/gateway/integration/kubernetes/badobjects"
	"github.com/caddy-llm/gateway/integration/kubernetes/cluster"
)

func TestMain(m *testing.M) { cluster.Main(m) }

// definitions is the folder with the CustomResourceDefinitions.
const definitions = "../../../examples/kubernetes/crds"

func install(t *testing.T) *cluster.Cluster {
	t.Helper()
	c := cluster.Shared(t)
	c.InstallCRDs(definitions)
	return c
}

// TestBadObjects holds that kubectl apply refuses the bad objects that the
// table says it does, with the words of the finding, and no others.
func TestBadObjects(t *testing.T) {
	c := install(t)
	c.InstallIstioCRDs("AuthorizationPolicy", "RequestAuthentication")
	ns := c.Namespace()
	for _, bad := range badobjects.All(t) {
		t.Run(bad.Name, func(t *testing.T) {
			r := c.For(t).KubectlInput(bad.Manifest(t), "apply", "--dry-run=server", "-n", ns, "-f", "-")
			switch {
			case (r.Code != 0) != bad.Refused:
				t.Errorf("exit code %d, refused: %v\n%s", r.Code, bad.Refused, r.Stderr)
			case bad.Says != "":
				if !strings.Contains(r.Stderr, bad.Says) {
					t.Errorf("got  %s\nwant %s", r.Stderr, bad.Says)
				}
			case bad.Refused && !says(r.Stderr, bad.Message(ns)):
				t.Errorf("got  %s\nwant %s", r.Stderr, bad.Message(ns))
			}
			if strings.Contains(r.Stderr, "sk-") {
				t.Errorf("the key is in the message: %s", r.Stderr)
			}
		})
	}
}

// says tells whether kubectl's output has a finding: its path, and later in the
// line what is wrong there.
func says(output, finding string) bool {
	path, text, _ := strings.Cut(finding, ": ")
	if text, unknown := strings.CutPrefix(text, "unknown field; "); unknown {
		// The API server does not say what to write instead.
		return text != "" && strings.Contains(output, `strict decoding error: unknown field "`+path+`"`)
	}
	for line := range strings.Lines(output) {
		_, at, found := strings.Cut(line, path+": ")
		if !found && strings.HasSuffix(path, "]") {
			// Names in a map are checked where the map stands.
			_, at, found = strings.Cut(line, path[:strings.LastIndex(path, "[")]+": ")
		}
		if found && strings.Contains(at, text) {
			return true
		}
	}
	return false
}
