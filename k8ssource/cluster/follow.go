package cluster

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/go-logr/logr"
	"go.uber.org/zap"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/client-go/tools/cache"
)

const (
	// longestRetry and longestRetryOfOne are the longest that is waited after
	// failures, plus half of it: an API server that is back is noticed within
	// seconds. There may be many followers of single objects.
	longestRetry      = 3 * time.Second
	longestRetryOfOne = 5 * time.Second

	// enough is how many attempts in a row must fail before what was read once is
	// reported: an API server that has just started refuses for a moment what it
	// allows.
	enough = 3
)

// retries is how long to wait after a failure.
func retries(longest time.Duration) *wait.Backoff {
	return &wait.Backoff{Duration: 250 * time.Millisecond, Factor: 2, Jitter: 0.5, Steps: 10, Cap: longest}
}

// target is what is followed: all objects of a kind, or a single one.
type target struct {
	kind      kind
	version   string
	namespace string // or everywhere
	name      string // of a single object
	labels    string // of some objects, as a selector

	// optional tells that a refusal is not reported here as long as nothing was read:
	// the controller may go on without the objects.
	optional bool
}

// follower follows a target.
type follower struct {
	*store
	target
	resource   schema.GroupVersionResource
	connection *connection
	stop       context.CancelFunc

	mu       sync.Mutex
	problem  error // of the last attempt, nil after success
	attempts int   // in a row that failed
}

// api is the part of the dynamic and the metadata client that a follower needs.
type api struct {
	list  func(context.Context, metav1.ListOptions) (runtime.Object, error)
	watch func(context.Context, metav1.ListOptions) (watch.Interface, error)
}

// follow begins to follow a target, until ctx is done or the follower is stopped.
func (c *clients) follow(ctx context.Context, t target, conn *connection, h hooks) *follower {
	ctx, cancel := context.WithCancel(logr.NewContext(ctx, quietly))
	f := &follower{store: newStore(t.kind, h), target: t, resource: t.kind.at(t.version), connection: conn, stop: cancel}
	a := c.api(f)
	lw := &cache.ListWatch{
		ListWithContextFunc: func(ctx context.Context, options metav1.ListOptions) (runtime.Object, error) {
			f.narrow(&options)
			list, err := a.list(ctx, options)
			f.observe(ctx, err)
			return list, err
		},
		WatchFuncWithContext: func(ctx context.Context, options metav1.ListOptions) (watch.Interface, error) {
			f.narrow(&options)
			w, err := a.watch(ctx, options)
			f.observe(ctx, err)
			return w, err
		},
	}
	longest := longestRetry
	if f.referred() {
		longest = longestRetryOfOne
	}
	log := quietly
	r := cache.NewReflectorWithOptions(lw, nil, f.store, cache.ReflectorOptions{Name: f.String(), TypeDescription: t.kind.name, Logger: &log, Backoff: retries(longest)})
	go r.RunWithContext(ctx)
	return f
}

func (c *clients) api(f *follower) api {
	if f.kind.metadata {
		r := c.metadata.Resource(f.resource).Namespace(f.namespace)
		return api{
			func(ctx context.Context, o metav1.ListOptions) (runtime.Object, error) { return r.List(ctx, o) },
			func(ctx context.Context, o metav1.ListOptions) (watch.Interface, error) { return r.Watch(ctx, o) },
		}
	}
	client := c.dynamic
	if f.name != "" {
		client = c.single
	}
	r := client.Resource(f.resource).Namespace(f.namespace)
	return api{
		func(ctx context.Context, o metav1.ListOptions) (runtime.Object, error) { return r.List(ctx, o) },
		func(ctx context.Context, o metav1.ListOptions) (watch.Interface, error) { return r.Watch(ctx, o) },
	}
}

// narrow restricts a request to the single object. A Role that names it is enough
// then.
func (f *follower) narrow(options *metav1.ListOptions) {
	options.LabelSelector = f.labels
	if f.name != "" {
		options.FieldSelector = fields.OneTermEqualSelector(metav1.ObjectNameField, f.name).String()
	}
}

// String names what is followed.
func (f *follower) String() string {
	if f.name != "" {
		return fmt.Sprintf("%s %s/%s", f.kind.name, f.namespace, f.name)
	}
	if f.namespace != everywhere {
		return fmt.Sprintf("%s in namespace %s", f.resource.GroupResource(), f.namespace)
	}
	return f.resource.GroupResource().String()
}

// referred tells that the objects are followed because others refer to them.
func (t *target) referred() bool { return t.name != "" || t.labels != "" }

// part is what is followed, of a follower of all objects of a kind.
func (f *follower) part() part { return part{f.kind.key(), f.namespace} }

// rule is what a Role needs for it, as it is written there.
func (f *follower) rule() string {
	if f.name != "" {
		return fmt.Sprintf(`%s needs the rule {apiGroups: [%q], resources: [%s], resourceNames: [%s], verbs: [list, watch]}`,
			f.role(), f.kind.group, f.kind.resource, f.name)
	}
	return fmt.Sprintf(`%s needs the rule {apiGroups: [%q], resources: [%s], verbs: [list, watch]}`, f.role(), f.kind.group, f.kind.resource)
}

// role is where rights to the objects belong.
func (f *follower) role() string {
	if f.namespace == everywhere {
		return "a ClusterRole"
	}
	return "a Role in namespace " + f.namespace
}

// note keeps how a request went, and returns how many have failed in a row, and what
// was kept before.
func (f *follower) note(err error) (attempts int, before error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	before, f.problem = f.problem, err
	f.attempts++
	if err == nil {
		f.attempts = 0
	}
	return f.attempts, before
}

// failure is how many attempts in a row have failed, and why the last one did.
func (f *follower) failure() (attempts int, err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.attempts, f.problem
}

// isGone reports whether the API server no longer knows what is followed.
func (f *follower) isGone() bool {
	_, err := f.failure()
	return apierrors.IsNotFound(err)
}

// isRefused reports whether the objects may not be read, and were not before.
func (f *follower) isRefused() bool {
	attempts, err := f.failure()
	return apierrors.IsForbidden(err) && attempts >= enough && !f.isSynced()
}

// observe deals with how a request went.
func (f *follower) observe(ctx context.Context, err error) {
	if ctx.Err() != nil || apierrors.IsResourceExpired(err) || apierrors.IsGone(err) || apierrors.IsInvalid(err) {
		return // after these another kind of list is tried at once
	}
	f.connection.observe(err)
	attempts, before := f.note(err)
	switch {
	case f.referred():
		if err != nil && attempts <= enough || err == nil && before != nil {
			f.changed() // what the objects that refer to it are told
		}
	case f.optional && !f.isSynced() && apierrors.IsForbidden(err):
		if attempts <= enough {
			f.changed()
		}
	case err == nil && apierrors.IsForbidden(before):
		logger().Info("permission to read objects granted", zap.String("kind", f.String()))
	case err == nil || !answered(err) || apierrors.IsNotFound(err):
		// A connection reports itself, and a kind that is gone is found out about.
	case apierrors.IsForbidden(err) && !apierrors.IsForbidden(before):
		logger().Error("no permission to read objects; waiting for it", zap.String("kind", f.String()), zap.String("fix", f.rule()), zap.Error(err))
	case attempts == 1:
		logger().Warn("cannot read objects; retrying", zap.String("kind", f.String()), zap.Error(err))
	}
}
