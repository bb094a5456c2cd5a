package cluster

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"maps"
	"os"
	"strings"
	"time"

	"go.uber.org/zap"
	corev1 "k8s.io/api/core/v1"
	eventsv1 "k8s.io/api/events/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	events "k8s.io/client-go/kubernetes/typed/events/v1"

	"github.com/caddy-llm/gateway/llmroute"
)

// maxNote is the longest text of an event, in bytes.
const maxNote = 1024

// eventWriter writes an event for each finding about an object of the cluster.
type eventWriter struct {
	client events.EventsGetter
	host   string

	written map[llmroute.Finding]bool
	paused  map[string]time.Time // until when none is written, by what is followed: a namespace, or everywhere
	logged  map[string]bool      // where it is logged that none can be written
	touched func()               // is called when there is something to write again
}

func newEventWriter(client events.EventsGetter) *eventWriter {
	host, _ := os.Hostname()
	return &eventWriter{client: client, host: host}
}

func (w *eventWriter) begin(touched func()) {
	w.written, w.touched = make(map[llmroute.Finding]bool), touched
	w.paused, w.logged = make(map[string]time.Time), make(map[string]bool)
}

// pass writes the events of findings that are new.
func (w *eventWriter) pass(ctx context.Context, findings []llmroute.Finding, follower func(kind, namespace string) *follower) {
	current := make(map[llmroute.Finding]bool, len(findings))
	for _, finding := range findings {
		current[finding] = true
		if w.written[finding] || ctx.Err() != nil {
			continue
		}
		kind, key, _ := strings.Cut(finding.Object, " ")
		namespace, _, _ := strings.Cut(key, "/")
		f := follower(kind, namespace)
		if f == nil || time.Now().Before(w.paused[f.namespace]) {
			continue
		}
		event := w.event(finding, f, key)
		if event == nil {
			continue
		}
		_, err := w.client.Events(event.Namespace).Create(ctx, event, metav1.CreateOptions{FieldManager: fieldManager})
		switch {
		case err == nil || apierrors.IsAlreadyExists(err) || apierrors.IsInvalid(err):
			// One that is there was written by this gateway, or by the one that led
			// before it.
			w.written[finding] = true
		default:
			w.failed(f, err)
		}
	}
	maps.DeleteFunc(w.written, func(f llmroute.Finding, _ bool) bool { return !current[f] })
}

// failed makes a pause where the follower's objects are, and logs once why.
func (w *eventWriter) failed(f *follower, err error) {
	w.paused[f.namespace] = time.Now().Add(failurePause)
	time.AfterFunc(failurePause, w.touched)
	if !w.logged[f.namespace] && answered(err) {
		w.logged[f.namespace] = true
		logger().Warn("cannot write events about objects; "+f.role()+" needs the rule {apiGroups: [events.k8s.io], resources: [events], verbs: [create]}", zap.Error(err))
	}
}

// event is the event of a finding about an object with this key, or nil if the
// follower has no such object. Its name follows from what it says, so that it is
// written once.
func (w *eventWriter) event(finding llmroute.Finding, f *follower, key string) *eventsv1.Event {
	object := f.get(key)
	if object == nil {
		return nil
	}
	namespace, name, _ := strings.Cut(key, "/")
	sum := sha256.Sum256(fmt.Appendf(nil, "%s %d %s %s", object.uid, object.generation, finding.Reason, finding.Message))
	return &eventsv1.Event{
		ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: name[:min(len(name), 200)] + "." + hex.EncodeToString(sum[:8])},
		EventTime:  metav1.NewMicroTime(time.Now()),
		Regarding: corev1.ObjectReference{
			APIVersion: f.resource.GroupVersion().String(), Kind: f.kind.name, Namespace: namespace, Name: name, UID: object.uid, ResourceVersion: object.resourceVersion,
		},
		Type: corev1.EventTypeWarning, Reason: finding.Reason, Action: "Configure", Note: shortened(finding.Message, maxNote),
		ReportingController: fieldManager, ReportingInstance: w.host[:min(len(w.host), 128)],
	}
}

func shortened(text string, most int) string {
	if len(text) <= most {
		return text
	}
	return strings.ToValidUTF8(text[:most-len("…")], "") + "…"
}
