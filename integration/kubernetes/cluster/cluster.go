// Package cluster runs a real kube-apiserver, etcd and kubectl for tests,
// built from Go modules (../lab) and kept in the user's cache.
//
//	func TestMain(m *testing.M) { cluster.Main(m) }
//
//	func TestRoute(t *testing.T) {
//		c := cluster.Shared(t)                        // one for all tests of the package
//		c.InstallCRDs("../../examples/kubernetes/crds") // a file or a folder
//		c.InstallIstioCRDs("Gateway", "AuthorizationPolicy")
//		ns := c.Namespace()                           // fresh, one for each test
//		c.Apply(manifests, "-n", ns)                  // kubectl apply -n ns -f -
//		kubeconfig := c.Kubeconfig(c.Token(ns, "gateway")) // a ServiceAccount without any rights yet
//		refused := c.KubectlInput(bad, "apply", "-n", ns, "-f", "-")
//		// refused.Code, refused.Stderr …
//	}
//
// A test that takes the API server away starts a cluster of its own:
//
//	c := cluster.Start(t)
//	c.StopAPIServer()
//	c.StartAPIServer() // same port, same data
//
// What such a cluster does not do: there is no controller manager, so nobody
// makes "default" ServiceAccounts, fills EndpointSlices, removes what an owner
// reference points to, or finishes the deletion of a namespace; and no
// kubelet, so Pods are stored and not run. All else is the real thing: schema
// and CEL validation, conflicts, RBAC, watches, webhooks on 127.0.0.1. A test
// that needs rights must write the Role and RoleBinding.
//
// The first build takes 5 to 15 minutes, longer than go test waits by default:
// "bash integration/run.sh kubernetes" does it once.
package cluster

import (
	"os"
	"sync"
	"testing"
)

// Cluster is a running Kubernetes API, as one test sees it. Its methods fail
// the test when they can not do what they say.
type Cluster struct {
	// URL is where the API server listens: https://127.0.0.1:port.
	URL string
	// CAFile holds the certificate of the API server's authority, as PEM.
	CAFile string
	// AdminToken is a bearer token that may do everything.
	AdminToken string

	t      testing.TB
	server *server
	own    bool // only this test uses it
}

// Start starts a cluster of the test's own, which ends with the test. It takes
// 3 to 5 seconds and about 350 MB.
func Start(t testing.TB) *Cluster {
	t.Helper()
	s, err := newServer(t, binaries(t))
	if err != nil {
		t.Fatalf("starting a Kubernetes API server: %v", err)
	}
	t.Cleanup(s.end)
	return s.cluster(t, true)
}

// Shared returns the cluster that all tests of a package use. The first call
// starts it, Main ends it.
func Shared(t testing.TB) *Cluster {
	t.Helper()
	programs := binaries(t)
	shared.Lock()
	defer shared.Unlock()
	if !shared.main {
		t.Fatal("cluster.Shared needs: func TestMain(m *testing.M) { cluster.Main(m) }")
	}
	if shared.server == nil && shared.err == nil {
		shared.server, shared.err = newServer(t, programs)
	}
	if shared.err != nil {
		t.Fatalf("starting a Kubernetes API server: %v", shared.err)
	}
	return shared.server.cluster(t, false)
}

var shared struct {
	sync.Mutex
	main   bool
	server *server
	err    error
}

// Main runs the tests, ends the shared cluster if one was started, and exits.
func Main(m *testing.M) {
	shared.main = true
	code := m.Run()
	if shared.server != nil {
		shared.server.end()
	}
	os.Exit(code)
}

// For returns the same cluster for another test: a subtest that may fail on
// its own.
func (c *Cluster) For(t testing.TB) *Cluster {
	other := *c
	other.t = t
	return &other
}

// StopAPIServer kills the API server, as a crash would. etcd stays.
func (c *Cluster) StopAPIServer() {
	c.t.Helper()
	if !c.own {
		c.t.Fatal("other tests use this API server: stop one from cluster.Start")
	}
	c.server.api.kill()
}

// StartAPIServer starts it again, on the same port and data, and returns when
// it is ready.
func (c *Cluster) StartAPIServer() {
	c.t.Helper()
	if err := c.server.startAPI(); err != nil {
		c.t.Fatalf("starting the API server again: %v", err)
	}
}
