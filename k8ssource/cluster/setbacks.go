package cluster

import (
	"fmt"
	"maps"
	"time"

	"go.uber.org/zap"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/types"
)

const (
	// failurePause is how long what could not be written is left alone. Each further failure
	// doubles it, up to maxPause.
	failurePause = 30 * time.Second
	maxPause     = 10 * time.Minute

	// firstRepeat is the least time until what others have changed is written again, which
	// doubles each time, up to maxPause. foughtOver is after how many times that is logged.
	firstRepeat = time.Second
	foughtOver  = 5
)

// repeatPause is how long to wait before a status is written again that others have changed
// that often.
func repeatPause(row int) time.Duration { return min(firstRepeat<<min(row-1, 20), maxPause) }

// place is what can be left alone: an object, those of a namespace, or all of a part.
type place struct {
	part
	namespace string    // empty for all
	uid       types.UID // of an object, else empty
}

// setback is a failure to write.
type setback struct {
	until time.Time
	pause time.Duration
}

// setbacks are where nothing could be written. An object whose status cannot be written must
// not keep those of others from being written.
type setbacks struct {
	at     map[place]setback
	logged map[place]bool
}

func newSetbacks() setbacks {
	return setbacks{make(map[place]setback), make(map[place]bool)}
}

// around are the places that an object is in, itself included.
func (p place) around() [3]place { return [3]place{{part: p.part}, {p.part, p.namespace, ""}, p} }

// paused reports whether an object is left alone.
func (s *setbacks) paused(object place, now time.Time) bool {
	for _, p := range object.around() {
		if now.Before(s.at[p].until) {
			return true
		}
	}
	return false
}

// succeeded notes that an object was written.
func (s *setbacks) succeeded(object place) {
	for _, p := range object.around() {
		delete(s.at, p)
	}
}

// note notes a failure at a place, and returns how long it is left alone.
func (s *setbacks) note(at place, now time.Time) time.Duration {
	pause := min(max(2*s.at[at].pause, failurePause), maxPause)
	s.at[at] = setback{now.Add(pause), pause}
	return pause
}

// forget forgets objects other than those.
func (s *setbacks) forget(but map[types.UID]bool) {
	gone := func(p place) bool { return p.uid != "" && !but[p.uid] }
	maps.DeleteFunc(s.at, func(p place, _ setback) bool { return gone(p) })
	maps.DeleteFunc(s.logged, func(p place, _ bool) bool { return gone(p) })
}

// failed leaves what an error is about alone for a while, and logs once why: the object, its
// namespace, since rights are given for each, or all that the follower follows.
func (w *statusWriter) failed(f *follower, at place, err error) {
	all := place{part: f.part()}
	log := all
	switch {
	case !answered(err), apierrors.IsNotFound(err):
		at = all
	case apierrors.IsForbidden(err):
		at.uid = ""
	default:
		log = at
	}
	time.AfterFunc(w.note(at, time.Now()), w.touched)
	if w.logged[log] || !answered(err) {
		return
	}
	w.logged[log] = true
	kind := zap.String("kind", f.String())
	switch {
	case apierrors.IsForbidden(err):
		logger().Warn("no permission to write object status", kind, zap.String("fix", fmt.Sprintf("%s needs the rule {apiGroups: [%s], resources: [%s/status], verbs: [patch]}; or set status off",
			f.role(), f.kind.group, f.kind.resource)), zap.Error(err))
	case apierrors.IsNotFound(err):
		logger().Warn("kind has no status subresource; install the gateway's own CRDs, or set status off", kind, zap.Error(err))
	default:
		logger().Warn("cannot write object status; retrying", kind, zap.Error(err))
	}
}
