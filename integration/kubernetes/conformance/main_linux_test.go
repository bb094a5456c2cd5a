package conformance

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"

	"github.com/caddy-llm/gateway/integration/internal/host"
	"github.com/caddy-llm/gateway/integration/kubernetes/cluster"
)

// programsEnv has the folder with the programs of pods. It is set for the process in
// the network namespace.
const programsEnv = "LLM_CONFORMANCE_PROGRAMS"

// The programs of pods, by the folders of the modules that they are built in.
var podPrograms = map[string]struct{ dir, main string }{
	"echo-basic": {".", "sigs.k8s.io/gateway-api/conformance/echo-basic"},
	"lwepp":      {"../lightpicker", "sigs.k8s.io/gateway-api-inference-extension/cmd/lwepp"},
}

// TestMain runs the tests in a network namespace of their own, where the addresses of
// Gateways, Services and pods are the test's and every port is free. What may need the
// network is built before.
func TestMain(m *testing.M) {
	switch {
	case os.Getenv(programsEnv) != "":
		if err := network(); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		cluster.Main(m)
	case os.Getenv("LLM_INTEGRATION") == "" || os.Geteuid() != 0:
		os.Exit(m.Run()) // the tests skip themselves
	}
	code, err := inNamespace()
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		code = 1
	}
	os.Exit(code)
}

// inNamespace runs this program again, in a new network namespace, and returns its exit
// code.
func inNamespace() (int, error) {
	dir, remove, err := host.TempDir("llm-gateway-conformance")
	if err != nil {
		return 0, err
	}
	defer remove()
	for name, p := range podPrograms {
		if _, err := host.Go(p.dir, "build", "-o", filepath.Join(dir, name), p.main); err != nil {
			return 0, err
		}
	}
	root, err := host.ModuleRoot()
	if err != nil {
		return 0, err
	}
	// kube-apiserver, etcd and kubectl; built unless they are there.
	if _, err := host.Go(root, "test", "-count=1", "-timeout=50m", "-run=^TestPrograms$", "./integration/kubernetes/cluster"); err != nil {
		return 0, err
	}
	self, err := os.Executable()
	if err != nil {
		return 0, err
	}
	cmd := exec.Command(self, os.Args[1:]...)
	cmd.Env = append(os.Environ(), programsEnv+"="+dir)
	if os.Getenv("LLM_TEST_BINARY") == "" {
		binary := filepath.Join(dir, "caddy")
		if _, err := host.Go(root, "build", "-o", binary, "./cmd/caddy"); err != nil {
			return 0, err
		}
		cmd.Env = append(cmd.Env, "LLM_TEST_BINARY="+binary)
	}
	cmd.Stdout, cmd.Stderr = os.Stdout, os.Stderr
	cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWNET, Pdeathsig: syscall.SIGKILL}
	if exit := (*exec.ExitError)(nil); errors.As(cmd.Run(), &exit) {
		return exit.ExitCode(), nil
	} else if cmd.ProcessState == nil {
		return 0, errors.New("the tests cannot be started in a network namespace")
	}
	return 0, nil
}

// need skips a test where there is no namespace for it.
func need(t *testing.T) {
	t.Helper()
	host.NeedIntegration(t)
	if os.Getenv(programsEnv) == "" {
		t.Skip("NOT TESTED: network namespaces need root")
	}
}
