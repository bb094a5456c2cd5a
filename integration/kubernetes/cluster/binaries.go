package cluster

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/caddy-llm/gateway/integration/internal/host"
)

// The folders of ../lab, each with a main.
var programs = []string{"etcd", "kube-apiserver", "kubectl"}

// binaries returns the folder with the built programs. Where they can not be
// built, without a network for example, the test is skipped; in CI it fails. It is
// skipped, too, unless integration tests are asked for, see host.NeedIntegration.
func binaries(t testing.TB) string {
	t.Helper()
	host.NeedIntegration(t)
	building.Lock() // one test builds, with its own deadline
	defer building.Unlock()
	if building.dir != "" {
		return building.dir
	}
	ctx, cancel := buildTime(t)
	defer cancel()
	dir, err := build(ctx)
	switch {
	case err == nil:
		building.dir = dir
		return dir
	case ctx.Err() != nil:
		t.Fatal("building the Kubernetes programs takes longer than go test waits: " +
			"build them once with \"bash integration/run.sh kubernetes\", or give go test -timeout 45m")
	case os.Getenv("CI") != "":
		t.Fatalf("building the Kubernetes programs: %v", err)
	default:
		t.Skipf("NOT TESTED: the Kubernetes programs can not be built: %v", err)
	}
	return ""
}

var building struct {
	sync.Mutex
	dir string
}

// buildTime ends a little before go test would panic.
func buildTime(t testing.TB) (context.Context, context.CancelFunc) {
	test, ok := t.(*testing.T)
	if !ok {
		return context.WithCancel(context.Background())
	}
	deadline, ok := test.Deadline()
	if !ok {
		return context.WithCancel(context.Background())
	}
	return context.WithDeadline(context.Background(), deadline.Add(-10*time.Second))
}

// build returns the cache folder for this version of the programs, and makes
// it if it does not exist.
func build(ctx context.Context) (string, error) {
	lab, err := labDir()
	if err != nil {
		return "", err
	}
	version, sum, err := fingerprint(lab)
	if err != nil {
		return "", err
	}
	cache, err := os.UserCacheDir()
	if err != nil {
		return "", err
	}
	cache = filepath.Join(cache, "llm-gateway")
	if err := os.MkdirAll(cache, 0o755); err != nil {
		return "", err
	}
	dir := filepath.Join(cache, "kubernetes-"+version+"-"+sum)
	if _, err := os.Stat(dir); err == nil {
		return dir, nil
	}
	unlock, err := host.LockFile(dir + ".lock") // several test processes at once
	if err != nil {
		return "", err
	}
	defer unlock()
	if _, err := os.Stat(dir); err == nil {
		return dir, nil
	}
	fmt.Fprintf(os.Stderr, "building %s, once for Kubernetes %s: 5 to 15 minutes\n", strings.Join(programs, ", "), version)
	return dir, compile(ctx, lab, version, dir)
}

// compile builds the programs. The folder appears when all are there.
func compile(ctx context.Context, lab, version, dir string) error {
	unfinished := dir + ".unfinished"
	const pkg = "-X k8s.io/component-base/version."
	number := strings.Split(strings.TrimPrefix(version, "v"), ".")
	args := []string{
		"build", "-tags", "lab", "-trimpath", "-o", unfinished + string(filepath.Separator),
		"-ldflags", "-s -w " + pkg + "gitVersion=" + version + " " + pkg + "gitMajor=" + number[0] + " " + pkg + "gitMinor=" + number[1],
	}
	for _, p := range programs {
		args = append(args, "./"+p)
	}
	if err := os.MkdirAll(unfinished, 0o755); err != nil {
		return err
	}
	cmd := exec.CommandContext(ctx, "go", args...)
	cmd.Dir = lab
	cmd.Env = append(os.Environ(), "GOWORK=off")
	cmd.WaitDelay = time.Second // compilers it started may still run when the time is over
	if out, err := cmd.CombinedOutput(); err != nil {
		return errors.Join(ctx.Err(), fmt.Errorf("go build: %w\n%s", err, tail(out)))
	}
	return os.Rename(unfinished, dir)
}

var required = regexp.MustCompile(`(?m)^\s+k8s\.io/kubernetes (v\d+\.\d+\.\d+)$`)

// fingerprint returns the version of Kubernetes and a hash of all that decides
// what the programs are.
func fingerprint(lab string) (version, sum string, err error) {
	mod, err := os.ReadFile(filepath.Join(lab, "go.mod"))
	if err != nil {
		return "", "", err
	}
	match := required.FindSubmatch(mod)
	if match == nil {
		return "", "", fmt.Errorf("%s/go.mod requires no version of k8s.io/kubernetes", lab)
	}
	files, err := filepath.Glob(filepath.Join(lab, "*", "*.go"))
	if err != nil {
		return "", "", err
	}
	h := sha256.New()
	for _, f := range append(slices.Sorted(slices.Values(files)), filepath.Join(lab, "go.mod"), filepath.Join(lab, "go.sum")) {
		b, err := os.ReadFile(f)
		if err != nil {
			return "", "", err
		}
		fmt.Fprintf(h, "%d %s\n", len(b), b)
	}
	goVersion, err := host.Go(lab, "env", "GOVERSION")
	if err != nil {
		return "", "", err
	}
	fmt.Fprintln(h, goVersion, runtime.GOOS, runtime.GOARCH)
	return string(match[1]), fmt.Sprintf("%x", h.Sum(nil)[:6]), nil
}

// labDir is the folder of the module that pins the programs.
func labDir() (string, error) {
	root, err := host.ModuleRoot()
	return filepath.Join(root, "integration", "kubernetes", "lab"), err
}

// tail is the end of a program's output.
func tail(output []byte) string {
	lines := strings.Split(strings.TrimSpace(string(output)), "\n")
	return strings.Join(lines[max(0, len(lines)-20):], "\n")
}
