package webhook

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/go-logr/logr"
	"go.uber.org/zap"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/client-go/tools/cache"
)

// single follows one object. It is safe for concurrent use.
type single[T any] struct {
	what    string // kind and name, for logs
	needs   string // the rule that a role needs to read it
	logger  func() *zap.Logger
	changed func()

	mu        sync.Mutex
	object    *T // nil if there is none
	known     bool
	forbidden bool
}

// api is the part of a typed client that is needed.
type api[L any] interface {
	List(context.Context, metav1.ListOptions) (L, error)
	Watch(context.Context, metav1.ListOptions) (watch.Interface, error)
}

// follow follows the object of that name until ctx is done. Being told its name, a
// Role that names it is enough.
func follow[T any, L runtime.Object](ctx context.Context, s *single[T], name string, client api[L]) {
	selector := fields.OneTermEqualSelector(metav1.ObjectNameField, name).String()
	lw := &cache.ListWatch{
		ListWithContextFunc: func(ctx context.Context, options metav1.ListOptions) (runtime.Object, error) {
			options.FieldSelector = selector
			list, err := client.List(ctx, options)
			s.observe(ctx, err)
			return list, err
		},
		WatchFuncWithContext: func(ctx context.Context, options metav1.ListOptions) (watch.Interface, error) {
			options.FieldSelector = selector
			w, err := client.Watch(ctx, options)
			s.observe(ctx, err)
			return w, err
		},
	}
	quiet := logr.Discard() // the source itself logs that the API server cannot be reached
	r := cache.NewReflectorWithOptions(lw, nil, s, cache.ReflectorOptions{
		Name: s.what, TypeDescription: s.what, Logger: &quiet,
		Backoff: &wait.Backoff{Duration: 250 * time.Millisecond, Factor: 2, Jitter: 0.5, Steps: 10, Cap: 5 * time.Second},
	})
	go r.RunWithContext(logr.NewContext(ctx, quiet))
}

// get returns the object, nil if there is none. It is not known before it was read.
func (s *single[T]) get() (object *T, known bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.object, s.known
}

func (s *single[T]) set(object any) error {
	next, ok := object.(*T)
	if object != nil && !ok {
		return errors.New("the API server sent another kind than was asked for")
	}
	s.mu.Lock()
	s.object, s.known = next, true
	s.mu.Unlock()
	s.changed()
	return nil
}

// observe logs once that the object may not be read, and once that it may.
func (s *single[T]) observe(ctx context.Context, err error) {
	if ctx.Err() != nil {
		return
	}
	s.mu.Lock()
	before := s.forbidden
	s.forbidden = apierrors.IsForbidden(err)
	now := s.forbidden
	s.mu.Unlock()
	switch {
	case now && !before:
		s.logger().Error("no permission to read an object that the webhook needs", zap.String("object", s.what), zap.String("fix", s.needs), zap.Error(err))
	case before && err == nil:
		s.logger().Info("permission to read an object that the webhook needs granted", zap.String("object", s.what))
	}
}

// Add implements cache.ReflectorStore.
func (s *single[T]) Add(object any) error { return s.set(object) }

// Update implements cache.ReflectorStore.
func (s *single[T]) Update(object any) error { return s.set(object) }

// Delete implements cache.ReflectorStore.
func (s *single[T]) Delete(any) error { return s.set(nil) }

// Replace implements cache.ReflectorStore.
func (s *single[T]) Replace(list []any, _ string) error {
	if len(list) == 0 {
		return s.set(nil)
	}
	return s.set(list[0])
}

// Resync implements cache.ReflectorStore.
func (s *single[T]) Resync() error { return nil }

// Interface guards
var _ cache.ReflectorStore = (*single[struct{}])(nil)
