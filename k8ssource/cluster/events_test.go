package cluster

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	eventsv1 "k8s.io/api/events/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	events "k8s.io/client-go/kubernetes/typed/events/v1"

	"github.com/caddy-llm/gateway/k8ssource/gatewayapi"
	"github.com/caddy-llm/gateway/llmroute/spec"
)

// writtenEvents takes events in place of an API server.
type writtenEvents struct {
	events.EventInterface
	all []*eventsv1.Event
	err error
	no  string // a namespace in which none may be written
}

func (w *writtenEvents) Events(string) events.EventInterface { return w }

func (w *writtenEvents) Create(_ context.Context, e *eventsv1.Event, _ metav1.CreateOptions) (*eventsv1.Event, error) {
	switch {
	case w.no != "" && e.Namespace == w.no:
		return nil, apierrors.NewForbidden(eventsv1.Resource("events"), e.Name, errors.New("exceeded quota"))
	case w.err == nil:
		w.all = append(w.all, e)
	}
	return e, w.err
}

func newTestEvents(objects ...string) (*eventWriter, *writtenEvents, *time.Time) {
	f := &follower{store: newStore(kinds[1], hooks{}), target: target{kind: kinds[1], namespace: everywhere}, resource: kinds[1].at("v1")}
	for _, name := range objects {
		f.objects["ns/"+name] = &stored{uid: types.UID(name), generation: 1}
	}
	taken, now := new(writtenEvents), time.Unix(1e9, 0)
	w := newEventWriter(taken, func(string, string) *follower { return f })
	w.now = func() time.Time { return now }
	w.written, w.paused, w.logged = make(map[string]writtenEvent), make(map[string]time.Time), make(map[string]bool)
	return w, taken, &now
}

func wrongRules(name string, count int, text string) (out []spec.Finding) {
	for i := range count {
		out = append(out, spec.Finding{Object: "LLMRoute ns/" + name, Reason: "ProviderNotFound", Message: fmt.Sprintf("spec.rules[%d]: %s", i, text), Used: true})
	}
	return out
}

// TestOneEventAboutAnObject holds that there is one event about an object, however much
// is wrong with it and however often that changes.
func TestOneEventAboutAnObject(t *testing.T) {
	w, taken, now := newTestEvents("a", "b")
	say := func(findings []spec.Finding) time.Duration {
		w.latest.Store(&findings)
		return w.pass(t.Context(), &findings)
	}
	thousand := append(wrongRules("a", 1000, "there is none"), wrongRules("b", 1, "there is none")...)
	thousand = append(thousand, spec.Finding{Object: "LLMRoute ns/a", Reason: "InvalidMatch", Message: "spec.rules[1000]: this is wrong"})
	if again := say(thousand); again != 0 || len(taken.all) != 2 {
		t.Fatalf("%d events, again after %v", len(taken.all), again)
	}
	if e := taken.all[0]; e.Reason != "InvalidMatch" || len(e.Note) > maxNote || !strings.HasPrefix(e.Note, "1001 findings; the object's status has all of them:\nspec.rules[1000]: this is wrong\nspec.rules[0]: there is none\n") {
		t.Errorf("the event says %s: %s", e.Reason, e.Note)
	}
	if e := taken.all[1]; e.Note != "spec.rules[0]: there is none" {
		t.Errorf("the event about one finding says %s", e.Note)
	}
	for i := range 100 { // something else each time, and nothing in between
		*now = now.Add(time.Second / 2)
		again := say(wrongRules("a", 1, fmt.Sprint("the ", i, "th")))
		if len(taken.all) != 2 || again <= 0 || again > eventPause {
			t.Fatalf("%d events, again after %v", len(taken.all), again)
		}
		say(nil)
	}
	*now = now.Add(eventPause)
	if say(wrongRules("a", 1, "the last")); len(taken.all) != 3 || taken.all[2].Note != "spec.rules[0]: the last" {
		t.Errorf("%d events", len(taken.all))
	}
	if say(wrongRules("a", 1, "the last")); len(taken.all) != 3 {
		t.Error("the same is said twice")
	}
}

// TestEventsThatCannotBeWritten holds that a failure makes a pause, and not a loop.
func TestEventsThatCannotBeWritten(t *testing.T) {
	w, taken, now := newTestEvents("a", "b")
	taken.err = fmt.Errorf("no connection")
	findings := append(wrongRules("a", 1, "x"), wrongRules("b", 1, "x")...)
	w.latest.Store(&findings)
	if again := w.pass(t.Context(), &findings); again <= 0 || again > failurePause {
		t.Fatalf("again after %v", again)
	}
	taken.err = nil
	if w.pass(t.Context(), &findings); len(taken.all) != 0 {
		t.Error("there is no pause")
	}
	*now = now.Add(failurePause + time.Second)
	if again := w.pass(t.Context(), &findings); len(taken.all) != 2 || again != 0 {
		t.Errorf("%d events, again after %v", len(taken.all), again)
	}
}

// TestEventsOfOtherNamespaces holds that a namespace in which no events can be written keeps
// none of others from being written.
func TestEventsOfOtherNamespaces(t *testing.T) {
	w, taken, _ := newTestEvents("a", "b")
	f := w.follower("", "")
	f.objects["full/a"] = &stored{uid: "full", generation: 1}
	taken.no = "full"
	findings := append([]spec.Finding{{Object: "LLMRoute full/a", Reason: "ProviderNotFound", Message: "x", Used: true}}, wrongRules("b", 1, "x")...)
	w.latest.Store(&findings)
	if again := w.pass(t.Context(), &findings); len(taken.all) != 1 || again != failurePause {
		t.Errorf("%d events, again after %v", len(taken.all), again)
	}
}

// TestEventsAboutGateways holds that there are events about Gateways of Gateway API, which
// have the same kind as Istio's.
func TestEventsAboutGateways(t *testing.T) {
	w, taken, _ := newTestEvents()
	istio, api := &follower{store: newStore(kinds[6], hooks{}), target: target{kind: kinds[6]}}, &follower{store: newStore(kinds[11], hooks{}), target: target{kind: kinds[11]}, resource: kinds[11].at("v1")}
	api.objects["ns/edge"] = &stored{uid: "edge", generation: 1}
	w.follower = func(name, _ string) *follower {
		switch name {
		case kindGateway:
			return istio
		case kindGateway + "." + gatewayapi.Group:
			return api
		}
		return nil
	}
	findings := []spec.Finding{{Object: "Gateway ns/edge", Reason: "Conflict", Message: "x", Used: true}}
	w.latest.Store(&findings)
	if w.pass(t.Context(), &findings); len(taken.all) != 1 || taken.all[0].Regarding.APIVersion != gatewayapi.Group+"/v1" {
		t.Errorf("the events are %v", taken.all)
	}
}
