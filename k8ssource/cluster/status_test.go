package cluster

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/dynamic"

	"github.com/caddy-llm/gateway/k8ssource/api/v1beta1"
	"github.com/caddy-llm/gateway/k8ssource/object"
	"github.com/caddy-llm/gateway/llmroute/spec"
)

// statuses takes statuses in place of an API server, and gives them back to the follower.
type statuses struct {
	dynamic.Interface
	dynamic.NamespaceableResourceInterface
	f         *follower
	namespace string
	refuse    func(namespace, name string) error
	written   map[string]int // how often, by namespace and name
	asked     int
}

func (s *statuses) Resource(schema.GroupVersionResource) dynamic.NamespaceableResourceInterface {
	return s
}

func (s *statuses) Namespace(namespace string) dynamic.ResourceInterface {
	s.namespace = namespace
	return s
}

func (s *statuses) Patch(_ context.Context, name string, _ types.PatchType, data []byte, _ metav1.PatchOptions, _ ...string) (*unstructured.Unstructured, error) {
	s.asked++
	if s.refuse != nil {
		if err := s.refuse(s.namespace, name); err != nil {
			return nil, err
		}
	}
	key := s.namespace + "/" + name
	s.written[key]++
	var patch struct{ Status v1beta1.Status }
	if err := json.Unmarshal(data, &patch); err != nil {
		return nil, err
	}
	s.change(key, func(o *stored) { o.status = patch.Status })
	return nil, nil
}

// change makes another version of an object that is followed.
func (s *statuses) change(key string, how func(*stored)) {
	s.f.mu.Lock()
	defer s.f.mu.Unlock()
	next := *s.f.objects[key]
	next.resourceVersion += "x"
	how(&next)
	s.f.objects[key] = &next
}

// newTestStatuses is a writer for LLMRoutes with these names, which are followed.
func newTestStatuses(names ...string) (*statusWriter, *statuses, *translated) {
	f := &follower{store: newStore(kinds[1], hooks{}), target: target{kind: kinds[1], namespace: everywhere}, resource: kinds[1].at("v1")}
	api := &statuses{f: f, written: make(map[string]int)}
	t := &translated{objects: new(object.Set), state: &spec.State{}}
	for _, key := range names {
		item := new(object.Item[v1beta1.LLMRoute])
		item.Object.Namespace, item.Object.Name, _ = strings.Cut(key, "/")
		item.Object.UID, item.Object.Generation = types.UID(key), 1
		t.objects.Routes = append(t.objects.Routes, item)
		f.objects[key] = &stored{uid: types.UID(key), generation: 1}
	}
	w := &statusWriter{client: api, events: newEventWriter(nil, nil), workload: "ns/me", lease: "lease", others: newOthers(nil), wake: make(chan struct{}, 1),
		sent: make(map[types.UID]sent), missing: make(map[types.UID]bool), setbacks: newSetbacks()}
	w.follower = func(kind, _ string) *follower {
		if kind == object.KindLLMRoute {
			return f
		}
		return nil
	}
	w.latest.Store(t)
	return w, api, t
}

// TestStatusesThatCannotBeWritten holds that an object, or a namespace, whose statuses cannot be
// written keeps none of others from being written, and that it is tried less and less often.
func TestStatusesThatCannotBeWritten(t *testing.T) {
	invalid := func(name string) error {
		return apierrors.NewInvalid(schema.GroupKind{Group: object.Group, Kind: object.KindLLMRoute}, name, nil)
	}
	forbidden := func(name string) error {
		return apierrors.NewForbidden(schema.GroupResource{Group: object.Group, Resource: "llmroutes"}, name, nil)
	}
	for name, refuse := range map[string]func(namespace, name string) error{
		"one object": func(namespace, name string) error {
			if namespace == "a" && name == "first" {
				return invalid(name)
			}
			return nil
		},
		"a namespace": func(namespace, name string) error {
			if namespace == "a" {
				return forbidden(name)
			}
			return nil
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w, api, what := newTestStatuses("a/first", "a/second", "b/third", "b/fourth")
				api.refuse = refuse
				w.pass(t.Context(), what)
				if api.written["b/third"] != 1 || api.written["b/fourth"] != 1 || name == "one object" && api.written["a/second"] != 1 {
					t.Errorf("written are %v", api.written)
				}
				before := api.asked
				for range 3600 {
					time.Sleep(time.Second)
					w.pass(t.Context(), what)
				}
				if again := api.asked - before; again < 5 || again > 12 {
					t.Errorf("what cannot be written is tried %d times in an hour", again)
				}
				api.refuse = nil
				time.Sleep(maxPause)
				w.pass(t.Context(), what)
				if fmt.Sprint(api.written) != "map[a/first:1 a/second:1 b/fourth:1 b/third:1]" {
					t.Errorf("written are %v in the end", api.written)
				}
			})
		})
	}
}

// TestStatusesThatOthersChange holds that a status which others change back each time is not
// written for ever at the same rate, and that one which they changed once is mended.
func TestStatusesThatOthersChange(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, api, what := newTestStatuses("a/first")
		other := func(o *stored) { o.status.Conditions = nil }
		w.pass(t.Context(), what)
		api.change("a/first", other)
		time.Sleep(firstRepeat)
		if w.pass(t.Context(), what); api.written["a/first"] != 2 {
			t.Errorf("written %d times", api.written["a/first"])
		}
		before := api.written["a/first"]
		for range 5 * 3600 {
			time.Sleep(passPause)
			w.pass(t.Context(), what)
			api.change("a/first", other)
		}
		if n := api.written["a/first"] - before; n < 8 || n > 20 {
			t.Errorf("written %d times in an hour", n)
		}
		time.Sleep(3 * maxPause)
		w.pass(t.Context(), what)
		api.change("a/first", other)
		time.Sleep(firstRepeat)
		before = api.written["a/first"]
		if w.pass(t.Context(), what); api.written["a/first"] != before+1 {
			t.Error("what others changed once is not written again at once after a calm time")
		}
	})
}
