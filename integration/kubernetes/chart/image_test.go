package chart

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// TestImageHasItsSources holds that what Dockerfile.dockerignore lets through is
// enough for the build in the Dockerfile.
func TestImageHasItsSources(t *testing.T) {
	const root = "../../.."
	dir := t.TempDir()
	for line := range strings.Lines(read(t, examples+"/Dockerfile.dockerignore")) {
		pattern, included := strings.CutPrefix(strings.TrimSpace(line), "!")
		if !included {
			continue
		}
		found, err := filepath.Glob(filepath.Join(root, pattern))
		if err != nil || len(found) == 0 {
			t.Fatalf("%s: nothing found, %v", pattern, err)
		}
		for _, from := range found {
			copyTo(t, from, filepath.Join(dir, filepath.Base(from)))
		}
	}
	file := read(t, examples+"/Dockerfile")
	packages := regexp.MustCompile(`\bPACKAGE=(\./\S+)`).FindAllStringSubmatch(file, -1)
	if len(packages) == 0 || !regexp.MustCompile(`(?m)go build .* "\$PACKAGE"$`).MatchString(file) {
		t.Fatal("the Dockerfile does not run go build with PACKAGE")
	}
	for _, m := range packages {
		cmd := exec.Command("go", "list", "-deps", "-mod=readonly", m[1])
		cmd.Dir, cmd.Env = dir, append(os.Environ(), "CGO_ENABLED=0", "GOWORK=off")
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Errorf("%s: %v\n%s", m[1], err, out)
		}
	}
}

// copyTo copies a file, or a folder without what the image leaves out.
func copyTo(t *testing.T, from, to string) {
	t.Helper()
	err := filepath.WalkDir(from, func(path string, entry os.DirEntry, err error) error {
		if err != nil {
			return err
		}
		relative, err := filepath.Rel(from, path)
		if err != nil {
			return err
		}
		target := filepath.Join(to, relative)
		switch {
		case entry.Name() == "testdata":
			return filepath.SkipDir
		case entry.IsDir():
			return os.MkdirAll(target, 0o700)
		case strings.HasSuffix(entry.Name(), "_test.go"):
			return nil
		}
		data, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		return os.WriteFile(target, data, 0o600)
	})
	if err != nil {
		t.Fatal(err)
	}
}
