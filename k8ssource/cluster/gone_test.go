package cluster

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	coordinationv1 "k8s.io/api/coordination/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	coordination "k8s.io/client-go/kubernetes/typed/coordination/v1"

	"github.com/caddy-llm/gateway/k8ssource/api/v1beta1"
	"github.com/caddy-llm/gateway/k8ssource/condition"
)

// leases are Leases in place of an API server: their versions by namespace and name.
type leases struct {
	coordination.LeaseInterface
	namespace string
	versions  map[string]int
	err       error
	asked     int
}

func (l *leases) Leases(namespace string) coordination.LeaseInterface {
	l.namespace = namespace
	return l
}

func (l *leases) Get(_ context.Context, name string, _ metav1.GetOptions) (*coordinationv1.Lease, error) {
	l.asked++
	version, found := l.versions[l.namespace+"/"+name]
	switch {
	case l.err != nil:
		return nil, l.err
	case !found:
		return nil, apierrors.NewNotFound(coordinationv1.Resource("leases"), name)
	}
	return &coordinationv1.Lease{ObjectMeta: metav1.ObjectMeta{ResourceVersion: fmt.Sprint(version)}}, nil
}

// TestGone holds that a workload is gone only when its Lease is not renewed, or not
// there, for long, as seen by this process while the API server answers.
func TestGone(t *testing.T) {
	w := otherWorkload{"ns/other", "lease"}
	var api leases
	now := time.Unix(1e9, 0)
	o := newOthers(&api)
	o.now = func() time.Time { return now }
	start := func() {
		api = leases{versions: map[string]int{"ns/lease": 1}}
		o.found, o.looked = make(map[otherWorkload]lastRenewal), time.Time{}
	}
	// after goes on for a time in which each second something happens.
	after := func(d time.Duration, each func()) bool {
		for end := now.Add(d); now.Before(end); now = now.Add(time.Second) {
			if each != nil {
				each()
			}
			o.look(t.Context(), map[otherWorkload]bool{w: true})
		}
		return o.gone(w)
	}
	renew := func() { api.versions["ns/lease"]++ }

	start()
	if o.gone(w) {
		t.Error("a workload that was not looked for is gone")
	}
	if after(10*time.Minute, renew) {
		t.Error("a workload that renews its Lease is gone")
	}
	if n := api.asked; n > 41 {
		t.Errorf("%d looks in ten minutes", n)
	}
	if after(goneTime-2*lookTime, nil) {
		t.Error("a workload is gone at once")
	}
	if !after(3*lookTime, nil) {
		t.Error("a workload whose Lease has ended is not gone")
	}
	if after(lookTime+time.Second, renew) {
		t.Error("a workload that is back is gone")
	}

	start()
	delete(api.versions, "ns/lease")
	if after(goneTime-lookTime, nil) || !after(2*lookTime, nil) {
		t.Error("a Lease that is not there")
	}

	// While the API server is away, leaders cannot renew their Leases.
	start()
	after(goneTime-lookTime, nil)
	api.err = errors.New("no connection")
	if after(10*time.Minute, nil) {
		t.Error("a workload is gone with the API server")
	}
	api.err = nil
	if after(goneTime-lookTime, nil) {
		t.Error("what was seen before the API server was away still counts")
	}

	// There is a bound, and those that nobody asks about are forgotten.
	start()
	many := make(map[otherWorkload]bool)
	for i := range 3 * maxOthers {
		many[otherWorkload{fmt.Sprint("ns/", i), "lease"}] = true
	}
	now = now.Add(time.Hour)
	if o.look(t.Context(), many); len(o.found) != maxOthers || api.asked != maxOthers {
		t.Errorf("%d workloads, %d looks", len(o.found), api.asked)
	}
	if o.look(t.Context(), nil); len(o.found) != 0 {
		t.Error("workloads are kept for ever")
	}
}

func TestCorrected(t *testing.T) {
	now := time.Unix(1e9, 0)
	current := append(nextConditions(nil, condition.Of(nil, true, condition.Problem{}, 3), now), metav1.Condition{Type: "example.com/Reviewed"})
	got := corrected(current, "ns/other", 3, now)
	programmed := meta.FindStatusCondition(got, condition.Programmed)
	if len(got) != 2 || programmed == nil || programmed.Status != metav1.ConditionFalse || programmed.Reason != reasonWorkloadGone || meta.FindStatusCondition(got, "example.com/Reviewed") == nil {
		t.Errorf("got %+v", got)
	}
	if _, ok := writer(v1beta1.Status{Workload: "ns/other"}, "ns/me"); ok {
		t.Error("a writer whose Lease is not known")
	}
	if _, ok := writer(v1beta1.Status{Workload: "ns/me", Lease: "a"}, "ns/me"); ok {
		t.Error("this workload is another one")
	}
}
