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

	"github.com/caddy-llm/gateway/k8ssource"
)

// store holds the objects of one list and watch, decoded. It is what a reflector
// writes to.
type store struct {
	kind    kind
	changed func() // is called when the content is another

	mu      sync.Mutex
	objects map[string]*object // by namespace/name
	synced  bool               // there was a complete list
}

func newStore(k kind, changed func()) *store {
	return &store{kind: k, changed: changed, objects: make(map[string]*object)}
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
	if old == nil || old.content != o.content {
		s.changed()
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
	objects := make(map[string]*object, len(list))
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
	return nil
}

// Resync implements cache.ReflectorStore.
func (s *store) Resync() error { return nil }

func (s *store) get(key string) *object {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.objects[key]
}

func (s *store) decode(obj any) (key string, o *object, err error) {
	from, ok := obj.(runtime.Object)
	if !ok {
		return "", nil, fmt.Errorf("the API server sent a %T", obj)
	}
	accessor, err := meta.Accessor(obj)
	if err != nil {
		return "", nil, err
	}
	key = accessor.GetNamespace() + "/" + accessor.GetName()
	if old := s.get(key); old != nil && old.uid == accessor.GetUID() && old.resourceVersion == accessor.GetResourceVersion() {
		return key, old, nil
	}
	if o, err = s.kind.decode(from); err != nil {
		// The API server takes nothing that cannot be read. If it ever does, the
		// object is as good as not there.
		logger().Error("object cannot be read", zap.String("kind", s.kind.name), zap.String("object", key), zap.Error(err))
		o = &object{uid: accessor.GetUID(), resourceVersion: accessor.GetResourceVersion(), decoded: new(k8ssource.Objects)}
	}
	return key, o, nil
}

// isSynced tells whether there was a complete list.
func (s *store) isSynced() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.synced
}

// list returns the objects by namespace and name.
func (s *store) list() []*object {
	s.mu.Lock()
	defer s.mu.Unlock()
	out := make([]*object, 0, len(s.objects))
	for _, key := range slices.Sorted(maps.Keys(s.objects)) {
		out = append(out, s.objects[key])
	}
	return out
}

// Interface guards
var _ cache.ReflectorStore = (*store)(nil)
