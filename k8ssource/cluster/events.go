package cluster

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"go.uber.org/zap"
	corev1 "k8s.io/api/core/v1"
	eventsv1 "k8s.io/api/events/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	events "k8s.io/client-go/kubernetes/typed/events/v1"

	"github.com/caddy-llm/gateway/k8ssource/gatewayapi"
	"github.com/caddy-llm/gateway/llmroute/spec"
)

const (
	// maxNote is the longest text of an event, in bytes.
	maxNote = 1024
	// eventRate and eventBurst bound the events a second: API servers keep each for an
	// hour, whatever becomes of the objects.
	eventRate  = 1
	eventBurst = 50
	// eventPause is the least time between two events about one object.
	eventPause = time.Minute
)

// eventWriter writes one event about each object of the cluster that something is
// wrong with, and another one when something else is. It works beside the writer of
// statuses, which never waits for it.
type eventWriter struct {
	client   events.EventsGetter
	host     string
	follower func(kind, namespace string) *follower // nil if there is none
	now      func() time.Time

	latest atomic.Pointer[[]spec.Finding]
	wake   chan struct{} // holds a token when there may be something to write

	written map[string]writtenEvent // by object
	paused  map[string]time.Time    // until when none is written, by namespace; empty for all
	logged  map[string]bool         // where it is logged that none can be written
}

// writtenEvent is the last event about an object.
type writtenEvent struct {
	name string
	at   time.Time
}

func newEventWriter(client events.EventsGetter, follower func(kind, namespace string) *follower) *eventWriter {
	host, _ := os.Hostname()
	return &eventWriter{client: client, host: host, follower: follower, now: time.Now, wake: make(chan struct{}, 1)}
}

// offer hands over what there is to say.
func (w *eventWriter) offer(findings []spec.Finding) {
	w.latest.Store(&findings)
	w.touched()
}

func (w *eventWriter) touched() {
	select {
	case w.wake <- struct{}{}:
	default:
	}
}

// run writes until ctx is done.
func (w *eventWriter) run(ctx context.Context) {
	w.written, w.paused, w.logged = make(map[string]writtenEvent), make(map[string]time.Time), make(map[string]bool)
	for {
		select {
		case <-ctx.Done():
			return
		case <-w.wake:
		}
		if findings := w.latest.Load(); findings != nil {
			if again := w.pass(ctx, findings); again > 0 {
				time.AfterFunc(again, w.touched)
			}
		}
	}
}

// pass writes the events that are new, and returns after what time there are more to
// write, or 0. It ends early when there is something newer to say.
func (w *eventWriter) pass(ctx context.Context, findings *[]spec.Finding) (again time.Duration) {
	wait := func(d time.Duration) {
		if again == 0 || d < again {
			again = d
		}
	}
	about := make(map[string][]spec.Finding)
	var objects []string
	for _, f := range *findings {
		if about[f.Object] == nil {
			objects = append(objects, f.Object)
		}
		about[f.Object] = append(about[f.Object], f)
	}
	for _, object := range objects {
		if ctx.Err() != nil || w.latest.Load() != findings {
			return again
		}
		kind, key, _ := strings.Cut(object, " ")
		namespace, _, _ := strings.Cut(key, "/")
		f := w.followerOf(kind, namespace, key)
		if f == nil {
			continue
		}
		if left := max(w.paused[""].Sub(w.now()), w.paused[namespace].Sub(w.now())); left > 0 {
			wait(left)
			continue
		}
		event := w.event(about[object], f, key)
		last, found := w.written[object]
		if event == nil || found && last.name == event.Name {
			continue
		}
		if left := eventPause - w.now().Sub(last.at); found && left > 0 {
			wait(left)
			continue
		}
		_, err := w.client.Events(event.Namespace).Create(ctx, event, metav1.CreateOptions{FieldManager: fieldManager})
		switch {
		case err == nil || apierrors.IsAlreadyExists(err) || apierrors.IsInvalid(err):
			// One that is there was written by this gateway, or by the one that led
			// before it.
			w.written[object] = writtenEvent{event.Name, w.now()}
		case ctx.Err() == nil:
			w.failed(f, namespace, err)
			wait(failurePause)
		}
	}
	maps.DeleteFunc(w.written, func(object string, last writtenEvent) bool {
		return about[object] == nil && w.now().Sub(last.at) > eventPause
	})
	return again
}

// followerOf is that of the kind which has the object, nil if none has: there are two kinds of
// Gateways.
func (w *eventWriter) followerOf(kind, namespace, key string) *follower {
	for _, name := range []string{kind, kind + "." + gatewayapi.Group} {
		if f := w.follower(name, namespace); f != nil && f.get(key) != nil {
			return f
		}
	}
	return nil
}

// failed makes a pause in the namespace, or everywhere if the API server does not respond, and
// logs once why. One namespace, such as one whose quota of events is used up, must not keep
// those of others from being written.
func (w *eventWriter) failed(f *follower, namespace string, err error) {
	if !answered(err) {
		namespace = ""
	}
	w.paused[namespace] = w.now().Add(failurePause)
	if !w.logged[f.namespace] && answered(err) {
		w.logged[f.namespace] = true
		logger().Warn("cannot write events about objects", zap.String("fix", f.role()+" needs the rule {apiGroups: [events.k8s.io], resources: [events], verbs: [create]}"), zap.Error(err))
	}
}

// event is the event of the findings about an object with this key, or nil if the
// follower has no such object. Its name follows from what it says, so that it is
// written once.
func (w *eventWriter) event(findings []spec.Finding, f *follower, key string) *eventsv1.Event {
	object := f.get(key)
	if object == nil {
		return nil
	}
	namespace, name, _ := strings.Cut(key, "/")
	reason, note := summary(findings)
	sum := sha256.Sum256(fmt.Appendf(nil, "%s %d %s %s", object.uid, object.generation, reason, note))
	return &eventsv1.Event{
		ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: name[:min(len(name), 200)] + "." + hex.EncodeToString(sum[:8])},
		EventTime:  metav1.NewMicroTime(w.now()),
		Regarding: corev1.ObjectReference{
			APIVersion: f.resource.GroupVersion().String(), Kind: f.kind.name, Namespace: namespace, Name: name, UID: object.uid, ResourceVersion: object.resourceVersion,
		},
		Type: corev1.EventTypeWarning, Reason: reason, Action: "Configure", Note: note,
		ReportingController: fieldManager, ReportingInstance: w.host[:min(len(w.host), 128)],
	}
}

// summary is what one event says of all findings about an object: the reason of the
// first that keeps the object from being used, or of the first, and as many of their
// messages as there is room for.
func summary(findings []spec.Finding) (reason, note string) {
	first := max(0, slices.IndexFunc(findings, func(f spec.Finding) bool { return !f.Used }))
	lines := []string{findings[first].Message}
	for i, f := range findings {
		if i != first {
			lines = append(lines, f.Message)
		}
	}
	note = strings.Join(lines, "\n")
	if len(lines) > 1 {
		note = fmt.Sprintf("%d findings; the object's status has all of them:\n%s", len(lines), note)
	}
	return findings[first].Reason, shortened(note, maxNote)
}

func shortened(text string, most int) string {
	if len(text) <= most {
		return text
	}
	return strings.ToValidUTF8(text[:most-len("…")], "") + "…"
}
