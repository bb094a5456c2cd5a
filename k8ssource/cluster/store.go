package cluster

import (
	"fmt"
	"maps"
	"slices"
	"sync"

	"go.uber.org/zap"
	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/tools/cache"

	"github.com/caddy-llm/gateway/k8ssource/object"
)

// store holds the objects of one list and watch, decoded. It is what a reflector
// writes to.
type store struct {
	hooks
	of kind

	mu      sync.Mutex
	objects map[string]*stored // by namespace/name
	synced  bool               // there was a complete list
}

// hooks are called when there is news.
type hooks struct {
	changed func() // the content is another, or it is known now that there is none
	touched func() // something else of an object is, such as its status
}

func newStore(k kind, h hooks) *store {
	return &store{hooks: h, of: k, objects: make(map[string]*stored)}
}

// Add implements cache.ReflectorStore.
func (s *store) Add(obj any) error { return s.Update(obj) }

// Update implements cache.ReflectorStore.
func (s *store) Update(obj any) error {
	key, o, err := s.decode(obj)
	if err != nil {
		return err
	}
	s.mu.Lock()
	old := s.objects[key]
	s.objects[key] = o
	s.mu.Unlock()
	switch {
	case old == nil || old.content != o.content:
		s.changed()
	case old != o:
		s.touched()
	}
	return nil
}

// Delete implements cache.ReflectorStore.
func (s *store) Delete(obj any) error {
	key, err := cache.DeletionHandlingMetaNamespaceKeyFunc(obj)
	if err != nil {
		return err
	}
	s.mu.Lock()
	old := s.objects[key]
	delete(s.objects, key)
	s.mu.Unlock()
	if old != nil {
		s.changed()
	}
	return nil
}

// Replace implements cache.ReflectorStore. Objects that are known are not decoded
// again.
func (s *store) Replace(list []any, _ string) error {
	objects := make(map[string]*stored, len(list))
	changed := false
	for _, obj := range list {
		key, o, err := s.decode(obj)
		if err != nil {
			return err
		}
		if old := s.get(key); old == nil || old.content != o.content {
			changed = true
		}
		objects[key] = o
	}
	s.mu.Lock()
	changed = changed || !s.synced || len(objects) != len(s.objects)
	s.objects, s.synced = objects, true
	s.mu.Unlock()
	if changed {
		s.changed()
	}
	s.touched()
	return nil
}

// Resync implements cache.ReflectorStore.
func (s *store) Resync() error { return nil }

func (s *store) get(key string) *stored {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.objects[key]
}

func (s *store) decode(obj any) (key string, o *stored, err error) {
	from, ok := obj.(runtime.Object)
	if !ok {
		return "", nil, fmt.Errorf("the API server sent a %T", obj)
	}
	accessor, err := meta.Accessor(obj)
	if err != nil {
		return "", nil, err
	}
	key = accessor.GetNamespace() + "/" + accessor.GetName()
	old := s.get(key)
	if old != nil && old.uid == accessor.GetUID() && old.resourceVersion == accessor.GetResourceVersion() {
		return key, old, nil
	}
	if o, err = s.of.decode(from); err != nil {
		// The API server takes nothing that cannot be read. If it ever does, the
		// object is as good as not there.
		logger().Error("object cannot be decoded", zap.String("kind", s.of.name), zap.String("object", key), zap.Error(err))
		o = &stored{uid: accessor.GetUID(), resourceVersion: accessor.GetResourceVersion(), decoded: new(object.Set)}
	}
	if old != nil && old.content == o.content {
		o.decoded = old.decoded // what was made of it is known by its address
	}
	return key, o, nil
}

// isSynced reports whether there was a complete list.
func (s *store) isSynced() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.synced
}

// list returns the objects by namespace and name.
func (s *store) list() []*stored {
	s.mu.Lock()
	defer s.mu.Unlock()
	out := make([]*stored, 0, len(s.objects))
	for _, key := range slices.Sorted(maps.Keys(s.objects)) {
		out = append(out, s.objects[key])
	}
	return out
}

// Interface guards
var _ cache.ReflectorStore = (*store)(nil)
