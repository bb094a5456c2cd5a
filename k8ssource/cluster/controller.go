package cluster

import (
	"context"
	"fmt"
	"reflect"
	"sync"
	"time"

	"go.uber.org/zap"

	"github.com/caddy-llm/gateway/k8ssource"
	"github.com/caddy-llm/gateway/k8ssource/object"
	"github.com/caddy-llm/gateway/k8ssource/source"
	"github.com/caddy-llm/gateway/llmroute/spec"
)

const (
	// firstWait is how long the first state waits for the objects that others
	// refer to, and laterWait how long a later one does.
	firstWait = 30 * time.Second
	laterWait = time.Second
)

// controller follows the objects and reports the states that follow from them.
type controller struct {
	options    source.Settings
	scope      scope
	clients    *clients
	report     func(*spec.State)
	status     *statusWriter // nil if nothing is written
	connection connection
	wake       chan struct{} // holds a token after a change

	mu        sync.Mutex
	followers map[part]*follower
	complete  bool // it is known of every kind whether it is served

	translator k8ssource.Translator
	references references
	withheld   withheld
	waiting    time.Time // since when for objects that others refer to
	last       *spec.State
	findings   source.FindingLog
}

func newController(options source.Settings, scope scope, clients *clients, report func(*spec.State)) *controller {
	c := &controller{options: options, scope: scope, clients: clients, report: report, wake: make(chan struct{}, 1), followers: make(map[part]*follower)}
	c.references = references{followers: make(map[object.Reference]*follower), begin: func(ctx context.Context, ref object.Reference) *follower {
		k := referable[ref.Kind]
		return clients.follow(ctx, target{kind: k, version: k.versions[0], namespace: ref.Namespace, name: ref.Name, labels: ref.Labels}, &c.connection, hooks{c.changed, func() {}})
	}}
	return c
}

// changed tells run that the objects have changed.
func (c *controller) changed() {
	select {
	case c.wake <- struct{}{}:
	default:
	}
}

// touched tells that a status may be another.
func (c *controller) touched() {
	if c.status != nil {
		c.status.touched()
	}
}

// follower returns that of a kind in a namespace, or nil if there is none. The kind's group
// may follow its name after a dot.
func (c *controller) follower(name, namespace string) *follower {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.scope.narrow() {
		namespace = everywhere
	}
	for _, k := range c.scope.kinds {
		if k.name == name || k.name+"."+k.group == name {
			return c.followers[part{k.key(), namespace}]
		}
	}
	return nil
}

// run works until ctx is done.
func (c *controller) run(ctx context.Context) {
	go c.discover(ctx)
	var changes debounce
	timer := time.NewTimer(0)
	defer timer.Stop()
	<-timer.C
	for {
		select {
		case <-ctx.Done():
			return
		case <-c.wake:
			changes.change(time.Now())
		case <-timer.C:
			began := time.Now()
			changes.begin()
			again := c.update(ctx)
			changes.end(began, time.Now())
			if again > 0 {
				time.AfterFunc(again, c.changed)
			}
		}
		if at, ok := changes.due(); ok {
			timer.Reset(time.Until(at))
		}
	}
}

// discover follows the kinds that are served, until ctx is done.
func (c *controller) discover(ctx context.Context) {
	d := newDiscoverer(c.clients, c.scope.kinds)
	var looked time.Time
	for wait := time.Duration(0); ; {
		select {
		case <-ctx.Done():
			return
		case <-time.After(wait):
		}
		wait = discoveryTime
		if time.Since(looked) < settledTime && c.settled() {
			continue
		}
		err := d.look(ctx)
		if ctx.Err() != nil {
			return
		}
		c.connection.observe(err)
		c.follow(ctx, d.served)
		if err != nil {
			wait = d.failed(err)
		} else {
			looked = time.Now()
		}
	}
}

// settled reports whether all kinds are followed, and none is gone.
func (c *controller) settled() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, k := range c.scope.kinds {
		for _, p := range c.scope.parts(k) {
			if f := c.followers[p]; f == nil || f.isGone() {
				return false
			}
		}
	}
	return true
}

// follow follows the kinds in the versions that are served; one that is known not to
// be served has an empty version.
func (c *controller) follow(ctx context.Context, served map[string]string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, k := range c.scope.kinds {
		version, known := served[k.key()]
		for _, p := range c.scope.parts(k) {
			f := c.followers[p]
			switch {
			case !known || f != nil && f.resource.Version == version || f == nil && version == "":
				continue
			case f != nil && version == "" && !f.isGone():
				continue // what is still being read is there, whatever is said of it
			case f != nil:
				f.stop()
				delete(c.followers, p)
			}
			if version == "" {
				logger().Warn("kind is no longer served by the API server; its objects are dropped", zap.String("kind", k.key()))
			} else {
				t := target{kind: k, version: version, namespace: p.namespace, optional: c.scope.narrow() && k.gateways || k.optional}
				c.followers[p] = c.clients.follow(ctx, t, &c.connection, hooks{c.changed, c.touched})
			}
			c.changed()
		}
	}
	if !c.complete && len(served) == len(c.scope.kinds) {
		c.complete = true
		for _, k := range c.scope.kinds {
			if served[k.key()] == "" {
				logger().Info("kind is not served by the API server; following it once it is", zap.String("kind", k.key()))
			}
		}
		c.changed()
	}
}

// objects returns all objects but those that others refer to. It is not ok while
// there is a kind of which not all are known.
func (c *controller) objects() (out *object.Set, ok bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.complete {
		return nil, false
	}
	without := c.withheldFollowers()
	out = new(object.Set)
	for _, k := range c.scope.kinds {
		for _, p := range c.scope.parts(k) {
			f := c.followers[p]
			if f == nil || without[f] {
				continue
			}
			if !f.isSynced() {
				return nil, false
			}
			for _, o := range f.list() {
				out.Add(o.decoded)
			}
		}
	}
	return out, true
}

// update reports the state that follows from the objects, if it is another one. It
// returns after what time to try again, or 0.
func (c *controller) update(ctx context.Context) (again time.Duration) {
	objects, ok := c.objects()
	if !ok {
		return 0 // what is missing will be a change
	}
	identity, options := c.options.Identity(), c.options.Options()
	c.references.follow(ctx, k8ssource.References(objects, identity, options))
	if left := c.patience(time.Now()); left > 0 {
		return left
	}
	c.references.addTo(objects)
	state, err := c.translator.Try(objects, identity, options)
	if err != nil {
		logger().Error(k8ssource.NotTranslated, zap.Error(err))
		return 0
	}
	if len(state.Findings) > 0 {
		state.Findings = ownFindings(state.Findings, k8ssource.Outcomes(objects, state, options, nil))
	}
	if c.status != nil {
		state.Observer = c.status
	}
	if !reflect.DeepEqual(state, c.last) {
		c.findings.Log(logger(), state.Findings)
		c.last = state
		c.report(state)
	}
	if c.status != nil { // last, when it is known what can be listened on
		c.status.offer(objects, state, c.translator.GatewayAPI())
	}
	return 0
}

// ownFindings are those about objects that are for this workload.
func ownFindings(findings []spec.Finding, outcomes []k8ssource.Outcome) []spec.Finding {
	others := make(map[string]bool)
	for _, o := range outcomes {
		if !o.Applies {
			others[fmt.Sprintf("%s %s/%s", o.Kind, o.Object.GetNamespace(), o.Object.GetName())] = true
		}
	}
	var out []spec.Finding
	for _, f := range findings {
		if !others[f.Object] {
			out = append(out, f)
		}
	}
	return out
}

// patience is how much longer the objects that others refer to are waited for.
func (c *controller) patience(now time.Time) time.Duration {
	if !c.references.pending() {
		c.waiting = time.Time{}
		return 0
	}
	if c.waiting.IsZero() {
		c.waiting = now
	}
	most := laterWait
	if c.last == nil {
		most = firstWait
	}
	return max(0, most-now.Sub(c.waiting))
}
