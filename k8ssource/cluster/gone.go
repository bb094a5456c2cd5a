package cluster

import (
	"context"
	"fmt"
	"maps"
	"strings"
	"time"

	"go.uber.org/zap"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	coordination "k8s.io/client-go/kubernetes/typed/coordination/v1"

	"github.com/caddy-llm/gateway/k8ssource/api/v1beta1"
	"github.com/caddy-llm/gateway/k8ssource/condition"
)

const (
	// goneTime is how long a Lease must not be renewed before its workload is taken to
	// be gone. It is measured by this process alone: whose clock is how late does not
	// matter. Leaders renew theirs every retryTime.
	goneTime = 4 * leaseTime
	// lookTime is the least time between two looks at the Leases of other workloads.
	lookTime = leaseTime
	// maxOthers is the most workloads whose Leases are looked at.
	maxOthers = 64
)

// reasonWorkloadGone is the reason of a condition Programmed that says that what the
// gateway of a workload wrote no longer holds.
const reasonWorkloadGone = "WorkloadGone"

// otherWorkload is a workload whose gateway wrote a status, by the Lease that it holds
// while it runs.
type otherWorkload struct{ name, lease string }

// lastRenewal is a Lease as it was found since some time.
type lastRenewal struct {
	state string // what a renewal changes; empty where it is not known
	since time.Time
}

// others finds out which workloads that wrote statuses are gone. It is not safe for
// concurrent use.
type others struct {
	client coordination.LeasesGetter
	now    func() time.Time
	found  map[otherWorkload]lastRenewal
	looked time.Time
	logged bool
}

func newOthers(client coordination.LeasesGetter) *others {
	return &others{client: client, now: time.Now, found: make(map[otherWorkload]lastRenewal)}
}

// look looks at the Leases of the workloads, if that was not done just now.
func (o *others) look(ctx context.Context, workloads map[otherWorkload]bool) {
	maps.DeleteFunc(o.found, func(w otherWorkload, _ lastRenewal) bool { return !workloads[w] })
	if len(workloads) == 0 || o.now().Sub(o.looked) < lookTime {
		return
	}
	o.looked = o.now()
	for w := range workloads {
		if _, known := o.found[w]; !known && len(o.found) >= maxOthers {
			continue
		}
		namespace, _, _ := strings.Cut(w.name, "/")
		lease, err := o.client.Leases(namespace).Get(ctx, w.lease, metav1.GetOptions{})
		state := "none"
		switch {
		case err == nil:
			state = fmt.Sprint("renewed ", lease.UID, " ", lease.ResourceVersion)
		case !apierrors.IsNotFound(err):
			// Nothing is known while the API server is away, and leaders could not
			// renew theirs either.
			state = ""
			if apierrors.IsForbidden(err) && !o.logged {
				o.logged = true
				logger().Warn("no permission to see which other workloads still run; the statuses of workloads that are gone stay",
					zap.String("fix", "a ClusterRole needs the rule {apiGroups: [coordination.k8s.io], resources: [leases], verbs: [get]}"), zap.Error(err))
			}
		}
		if last, known := o.found[w]; !known || last.state != state || state == "" {
			o.found[w] = lastRenewal{state, o.now()}
		}
	}
}

// gone reports whether the workload that wrote a status is gone.
func (o *others) gone(w otherWorkload) bool {
	last, known := o.found[w]
	return known && last.state != "" && o.now().Sub(last.since) >= goneTime
}

// writer is the workload that wrote a status, if it is another one that says which
// Lease it has.
func writer(status v1beta1.Status, own string) (w otherWorkload, ok bool) {
	return otherWorkload{status.Workload, status.Lease}, status.Workload != "" && status.Workload != own && status.Lease != ""
}

// corrected are the conditions of an object after the workload that wrote them is
// gone, and nobody else uses the object: those of other writers, and one that says so.
func corrected(current []metav1.Condition, gone string, generation int64, now time.Time) []metav1.Condition {
	return nextConditions(current, []metav1.Condition{{
		Type: condition.Programmed, Status: metav1.ConditionFalse, Reason: reasonWorkloadGone, ObservedGeneration: generation,
		Message: "the workload " + gone + ", whose gateway used the object, is gone",
	}}, now)
}
