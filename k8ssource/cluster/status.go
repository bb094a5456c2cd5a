package cluster

import (
	"context"
	"encoding/json"
	"maps"
	"reflect"
	"sync/atomic"
	"time"

	"go.uber.org/zap"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/dynamic"

	"github.com/caddy-llm/gateway/k8ssource"
	"github.com/caddy-llm/gateway/k8ssource/gatewayapi"
	"github.com/caddy-llm/gateway/k8ssource/object"
	"github.com/caddy-llm/gateway/k8ssource/source"
	"github.com/caddy-llm/gateway/llmroute/spec"
)

const (
	// writeRate and writeBurst bound the requests a second that write.
	writeRate  = 20
	writeBurst = 40
	// passPause is the least time between two looks at all statuses.
	passPause = 200 * time.Millisecond
	// missingPause is how long to wait for the news that an object was deleted.
	missingPause = 2 * time.Second

	// fieldManager is who writes, as the API server notes it.
	fieldManager = "llm-gateway"
)

// translated is a state with the objects it was made of.
type translated struct {
	objects *object.Set
	state   *spec.State
	api     func(unbound map[string]bool) []gatewayapi.Status
}

// statusWriter writes what became of the objects into their status, and has events
// written once that is done. It compares what there is with what should be, again after each change.
type statusWriter struct {
	client   dynamic.Interface
	events   *eventWriter
	options  k8ssource.Options
	workload string
	lease    string // of the workload, by which others see that it runs
	others   *others
	again    *time.Timer                            // for the next look at them, nil before
	follower func(kind, namespace string) *follower // nil if there is none

	latest  atomic.Pointer[translated]
	unbound atomic.Pointer[map[string]bool] // addresses at which nothing listens
	wake    chan struct{}                   // holds a token when there may be something to write

	// sent holds what was last written over which version, until a newer one is
	// seen: the API server may also have found nothing to change.
	sent    map[types.UID]sent
	missing map[types.UID]bool // statuses that were not found
	setbacks

	addresses []gatewayapi.Address // of Gateways, none if nothing is to be written
}

// sent is a status that was written.
type sent struct {
	over string // the version that it was written over
	want []metav1.Condition
	at   time.Time
	row  int // how often others had changed it before, in a row
}

func newStatusWriter(options source.Settings, lease string, c *clients, follower func(kind, namespace string) *follower) *statusWriter {
	return &statusWriter{
		client: c.statuses, events: newEventWriter(c.events, follower), options: options.Options(), workload: options.Namespace + "/" + options.Workload, lease: lease,
		others: newOthers(c.leases), follower: follower, wake: make(chan struct{}, 1),
	}
}

// offer hands over what there is to say.
func (w *statusWriter) offer(objects *object.Set, state *spec.State, api func(map[string]bool) []gatewayapi.Status) {
	w.latest.Store(&translated{objects, state, api})
	w.touched()
}

// touched tells that the status of an object may have changed.
func (w *statusWriter) touched() {
	select {
	case w.wake <- struct{}{}:
	default:
	}
}

// Listening implements spec.ListenObserver.
func (w *statusWriter) Listening(failed map[string]bool) {
	if last := w.unbound.Swap(&failed); last == nil && len(failed) > 0 || last != nil && !maps.Equal(*last, failed) {
		w.touched()
	}
}

func (w *statusWriter) notListening() map[string]bool {
	if unbound := w.unbound.Load(); unbound != nil {
		return *unbound
	}
	return nil
}

// run writes until ctx is done.
func (w *statusWriter) run(ctx context.Context) {
	logger().Info("writing object status")
	w.sent, w.missing = make(map[types.UID]sent), make(map[types.UID]bool)
	w.setbacks = newSetbacks()
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		w.events.run(ctx)
	}()
	defer func() { <-ended }()
	w.touched()
	for {
		select {
		case <-ctx.Done():
			return
		case <-w.wake:
		}
		if t := w.latest.Load(); t != nil {
			w.pass(ctx, t)
		}
		select {
		case <-ctx.Done():
			return
		case <-time.After(passPause):
		}
	}
}

// pass writes what is not as it should be.
func (w *statusWriter) pass(ctx context.Context, t *translated) {
	seen, others := make(map[types.UID]bool), make(map[otherWorkload]bool)
	outcomes := k8ssource.Outcomes(t.objects, t.state, w.options, w.notListening())
	for _, outcome := range outcomes {
		seen[outcome.Object.GetUID()] = true
		f := w.follower(outcome.Kind, outcome.Object.GetNamespace())
		w.attempt(f, outcome.Object, func() error { return w.write(ctx, f, outcome, others) })
		if ctx.Err() != nil || w.latest.Load() != t {
			return // there is something newer to say
		}
	}
	for _, outcome := range k8ssource.PoolOutcomes(t.objects, t.state, w.options) {
		seen[outcome.Object.UID] = true
		f := w.follower(object.KindInferencePool, outcome.Object.Namespace)
		w.attempt(f, outcome.Object, func() error { return w.writePool(ctx, f, outcome) })
		if ctx.Err() != nil || w.latest.Load() != t {
			return
		}
	}
	if t.api != nil {
		for _, status := range t.api(w.notListening()) {
			seen[status.Object.GetUID()] = true
			if status.Kind == gatewayapi.KindGateway && len(status.Addresses) == 0 {
				status.Addresses = w.addresses
			}
			f := w.follower(status.Kind+"."+gatewayapi.Group, status.Object.GetNamespace())
			w.attempt(f, status.Object, func() error { return w.writeAPI(ctx, f, &status) })
			if ctx.Err() != nil || w.latest.Load() != t {
				return
			}
		}
	}
	w.events.offer(t.state.Findings)
	w.others.look(ctx, others)
	if w.again != nil {
		w.again.Stop()
	}
	if len(others) > 0 {
		w.again = time.AfterFunc(lookTime, w.touched)
	}
	maps.DeleteFunc(w.sent, func(uid types.UID, _ sent) bool { return !seen[uid] })
	maps.DeleteFunc(w.missing, func(uid types.UID, _ bool) bool { return !seen[uid] })
	w.forget(seen)
}

// attempt writes the status of an object, unless that failed a moment ago.
func (w *statusWriter) attempt(f *follower, o metav1.Object, write func() error) {
	if f == nil {
		return
	}
	at := place{f.part(), o.GetNamespace(), o.GetUID()}
	if w.paused(at, time.Now()) {
		return
	}
	if err := write(); err != nil {
		w.failed(f, at, err)
	}
}

// write writes one status if it is not as it should be. It adds the workload that wrote
// it to others, if it is another one.
func (w *statusWriter) write(ctx context.Context, f *follower, outcome k8ssource.Outcome, others map[otherWorkload]bool) error {
	name := types.NamespacedName{Namespace: outcome.Object.GetNamespace(), Name: outcome.Object.GetName()}
	current := f.get(name.String())
	if current == nil || current.uid != outcome.Object.GetUID() {
		return nil
	}
	// What was translated may be older than what there is. Then it is about to be
	// translated again.
	status := current.status
	by, another := writer(status, w.workload)
	gone := another && w.others.gone(by)
	if another {
		others[by] = true
	}
	next := map[string]any{"workload": w.workload, "lease": w.lease, "conditions": nextConditions(status.Conditions, outcome.Conditions, time.Now())}
	switch {
	case current.generation != outcome.Object.GetGeneration():
		return nil
	case gone && !outcome.Applies:
		next = map[string]any{"workload": nil, "lease": nil, "conditions": corrected(status.Conditions, by.name, current.generation, time.Now())}
	case !gone && !mayWrite(status, w.workload, outcome.Applies, current.generation), settled(status, outcome.Conditions, w.workload) && status.Lease == w.lease:
		return nil
	}
	if last := w.sent[current.uid]; last.over == current.resourceVersion && reflect.DeepEqual(last.want, outcome.Conditions) {
		return nil
	}
	return w.patch(ctx, f, current, name, next, outcome.Conditions)
}

// patch writes a status over the version that was seen. One that others change back is written
// less and less often: they may be right, such as a gateway of another version.
func (w *statusWriter) patch(ctx context.Context, f *follower, current *stored, name types.NamespacedName, next map[string]any, want []metav1.Condition) error {
	now, row := time.Now(), 0
	if last, ok := w.sent[current.uid]; ok && reflect.DeepEqual(last.want, want) {
		pause := repeatPause(last.row + 1)
		switch left := last.at.Add(pause).Sub(now); {
		case left > 0:
			time.AfterFunc(left, w.touched)
			return nil
		case -left < pause:
			row = last.row + 1
		}
	}
	data, err := json.Marshal(map[string]any{
		"metadata": map[string]any{"uid": current.uid, "resourceVersion": current.resourceVersion}, "status": next,
	})
	if err != nil {
		return err
	}
	_, err = w.client.Resource(f.resource).Namespace(name.Namespace).Patch(ctx, name.Name, types.MergePatchType, data, metav1.PatchOptions{FieldManager: fieldManager}, "status")
	switch {
	case err == nil:
		w.sent[current.uid] = sent{current.resourceVersion, want, now, row}
		w.succeeded(place{f.part(), name.Namespace, current.uid})
		if row == foughtOver {
			logger().Warn("others keep changing an object's status; writing it less and less often", zap.String("kind", f.String()), zap.String("object", name.String()))
		}
	case apierrors.IsConflict(err):
		return nil // the version that was in the way is about to be seen
	case apierrors.IsNotFound(err) && !w.missing[current.uid]:
		// The object was deleted, or its kind has no status.
		w.missing[current.uid] = true
		time.AfterFunc(missingPause, w.touched)
		return nil
	}
	return err
}
