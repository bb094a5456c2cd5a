package injection_test

import (
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// TestReplicas creates pods all the time while a gateway is told to end, the one that
// leads is killed, another one starts, and the certificate authority gets a new root.
// A gateway that ends as it should costs no pod. One that is killed costs those that
// the API server was asking it about, and whoever creates pods tries again.
func TestReplicas(t *testing.T) {
	w := newWorld(t)
	w.lifetime = "2m" // another root after 80 seconds
	ns := w.namespace("enabled")
	first := w.start()
	until(t, "leader", func() (bool, string) { return first.leads(), "" })
	second, third := w.start(), w.start()
	w.balancer.prefer(third.address)
	w.injects()
	began := roots(t, w.bundles()[0])
	if len(began) != 1 {
		t.Fatalf("%d roots at the beginning", len(began))
	}

	var created, refused atomic.Int64
	var killing atomic.Bool // since when refusals are explained
	var stop atomic.Bool
	var creators sync.WaitGroup
	const workers = 4
	for worker := range workers {
		creators.Go(func() {
			for n := 0; !stop.Load(); n++ {
				p, err := w.create(ns, fmt.Sprintf("pod-%d-%d", worker, n), "", nil)
				switch {
				case err != nil && killing.Load() && strings.Contains(err.Error(), "failed calling webhook"):
					refused.Add(1)
				case err != nil:
					t.Errorf("after %d pods: %v", created.Load(), err)
					return
				case !p.injected():
					t.Errorf("%s has no sidecar", p.Metadata.Name)
					return
				default:
					created.Add(1)
				}
				time.Sleep(20 * time.Millisecond)
			}
		})
	}
	more := func(n int64) {
		t.Helper()
		want := created.Load() + n
		until(t, fmt.Sprintf("%d more pods", n), func() (bool, string) { return created.Load() >= want || t.Failed(), fmt.Sprint(created.Load()) })
	}
	more(100)

	// The end of a pod that is being asked: no new connections, and then SIGTERM.
	third.isAsked(t)
	w.balancer.remove(third.address)
	if code := third.Stop(); code != 0 {
		t.Errorf("exit code %d", code)
	}
	more(100)
	if n := refused.Load(); n != 0 {
		t.Errorf("%d pods were refused when a gateway ended", n)
	}

	first.isAsked(t)
	killing.Store(true)
	w.balancer.remove(first.address) // which keeps the connection that is there
	first.Kill()
	more(50)
	killing.Store(false)
	if n := refused.Load(); n > workers {
		t.Errorf("%d pods were refused when a gateway was killed, which had no more than %d of them", n, workers)
	}
	t.Logf("%d pods were refused, since the gateway that was asked was killed", refused.Load())

	late := w.start()
	creators.Go(func() {
		for !stop.Load() && !t.Failed() {
			w.handshake(second)
			w.handshake(late)
			time.Sleep(100 * time.Millisecond)
		}
	})
	more(50)
	until(t, "new leader", func() (bool, string) { return second.leads() || late.leads(), "" })
	until(t, "new root", func() (bool, string) {
		now := roots(t, w.bundles()[0])
		return len(now) > 0 && now[0].SerialNumber.Cmp(began[0].SerialNumber) != 0 || t.Failed(), fmt.Sprint(len(now), " roots")
	})
	more(100)
	both := roots(t, w.bundles()[0])
	if len(both) != 2 || !both[1].Equal(began[0]) {
		t.Errorf("the old root is not trusted any more")
	}
	until(t, "bundle without the old root", func() (bool, string) {
		now := roots(t, w.bundles()[0])
		return len(now) > 0 && !now[len(now)-1].Equal(began[0]) || t.Failed(), fmt.Sprint(len(now), " roots")
	})
	more(100)
	stop.Store(true)
	creators.Wait()
	t.Logf("%d pods", created.Load())
}

// isAsked holds that pods got their sidecar from the replica.
func (r *replica) isAsked(t *testing.T) {
	t.Helper()
	if _, metrics := get(r.status + "/metrics"); !strings.Contains(metrics, `llm_injection_pods_total{reason="OptedIn",result="injected"}`) {
		t.Error("the API server asks another one")
	}
}

// handshake connects to a replica as an API server does that has the caBundle of now.
func (w *world) handshake(r *replica) {
	w.t.Helper()
	for {
		bundle := w.bundles()[0]
		pool := x509.NewCertPool()
		pool.AppendCertsFromPEM([]byte(bundle))
		c, err := tls.Dial("tcp", r.address, &tls.Config{RootCAs: pool})
		if err == nil {
			_ = c.Close()
			return
		}
		if w.bundles()[0] == bundle { // else it took too long
			w.t.Errorf("the replica is not trusted: %v", err)
			return
		}
	}
}
