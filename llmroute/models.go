package llmroute

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/tidwall/gjson"
	"go.uber.org/zap"

	"github.com/caddy-llm/gateway/llmprovider"
)

const (
	// modelsKept is how long a provider's own list of models is used.
	modelsKept = time.Minute
	// modelsWait bounds the wait for it.
	modelsWait = 5 * time.Second
	// maxModelsSize bounds its size, in bytes, and maxModels its length.
	maxModelsSize = 4 << 20
	maxModels     = 10_000
)

// modelList is a provider's own list of models as it was last fetched.
type modelList struct {
	mu      sync.Mutex
	names   []string
	fetched time.Time
	coming  chan struct{} // closed when the list that is being fetched is there
}

// modelObject is a model in OpenAI's list.
type modelObject struct {
	ID      string `json:"id"`
	Object  string `json:"object"`
	Created int64  `json:"created"`
	OwnedBy string `json:"owned_by"`
}

// serveModels answers GET …/models from the configuration, and from the
// providers' own lists where the configuration sets no model.
func (x *exchange) serveModels() error {
	rules, err := x.routesForModels()
	x.snap = nil
	if err != nil {
		return x.refuse(err)
	}
	list := x.listModels(rules)
	var body any = struct {
		Object string        `json:"object"`
		Data   []modelObject `json:"data"`
	}{"list", list}
	if id, one := strings.CutPrefix(x.in.Endpoint.Suffix, "/models/"); one {
		found := false
		for _, m := range list {
			if m.ID == id {
				body, found = m, true
			}
		}
		if !found {
			return x.refuse(&llmprovider.Error{
				Status: http.StatusNotFound, Type: llmprovider.TypeInvalidRequest, Code: "model_not_found", Param: "model",
				Message: fmt.Sprintf("there is no model %q here; GET /v1/models lists those there are", bounded(id)),
			})
		}
	}
	data, _ := json.Marshal(body) // strings and numbers always marshal
	header := x.w.Header()
	header.Set("Content-Type", "application/json")
	header.Set("Content-Length", strconv.Itoa(len(data)))
	x.w.WriteHeader(http.StatusOK)
	_, writeErr := x.w.Write(data)
	return writeErr
}

// ruleTargets is a rule that the request could match, with its targets.
type ruleTargets struct {
	rule    *Rule
	targets []target
}

// routesForModels finds all rules that a request like this one could match.
// Matchers of the model match everything here.
func (x *exchange) routesForModels() ([]ruleTargets, *llmprovider.Error) {
	rules, targets, refused := x.lookup()
	if refused != nil {
		return nil, refused
	}
	var out []ruleTargets
	for i, rule := range rules {
		// A matcher of the model inside of another one, such as `not`, would
		// decide without a model to decide by.
		nested := rule.readsModel && len(rule.models) == 0
		if len(rule.matcherSets) > 0 && !nested {
			ok, err := x.matches(rule)
			if err != nil {
				return nil, x.matcherError(rule, err)
			}
			if !ok {
				continue
			}
		}
		out = append(out, ruleTargets{rule, targets[i]})
		if !rule.readsModel {
			break // every request like this one ends here
		}
	}
	if len(out) == 0 {
		return nil, errNoRoute(x.r)
	}
	sets := make([][]target, len(out))
	for i := range out {
		sets[i] = out[i].targets
	}
	switch {
	case !usable(sets...):
		return nil, errNoBackend(out[0].rule.Name)
	case !x.known(sets...):
		return nil, x.unsupported()
	}
	return out, nil
}

// listModels lists the names a client may ask for, each once.
func (x *exchange) listModels(rules []ruleTargets) []modelObject {
	x.fetchModels(rules)
	list := []modelObject{}
	seen := make(map[string]bool)
	add := func(name, owner string) {
		if name != "" && !seen[name] && len(list) < maxModels && (x.client == nil || x.client.allows(name)) {
			seen[name] = true
			list = append(list, modelObject{ID: name, Object: "model", OwnedBy: owner})
		}
	}
	for _, rt := range rules {
		owner := ""
		for i := range rt.targets {
			if t := &rt.targets[i]; t.usable() {
				owner = t.name
				break
			}
		}
		for _, m := range rt.rule.models { // what the client must ask for to get here
			for _, name := range m.Models {
				if !strings.Contains(name, "*") {
					add(name, owner)
				}
			}
		}
		for i := range rt.targets {
			t := &rt.targets[i]
			if !t.usable() {
				continue
			}
			for _, name := range x.modelsOf(t, rt.rule) {
				if rt.rule.takes(name) {
					add(name, t.name)
				}
			}
		}
	}
	return list
}

// takes tells whether a request for the model would match the rule's matchers
// of models, of which it may have none.
func (r *Rule) takes(model string) bool {
	for _, m := range r.models {
		if m.has(model) {
			return true
		}
	}
	return len(r.models) == 0
}

// modelsOf lists a target's models: the one configured for the rule, else the
// provider's own.
func (x *exchange) modelsOf(t *target, rule *Rule) []string {
	if model, fixed := t.RequestModel(modelsProbe, t.settings(rule)); fixed {
		return []string{model}
	}
	t.state.models.mu.Lock()
	defer t.state.models.mu.Unlock()
	return t.state.models.names
}

// modelsProbe is a chat request without a model.
var modelsProbe = new(llmprovider.Inbound)

func init() { modelsProbe.Endpoint.Operation = llmprovider.Chat }

// fetchModels brings the lists of the providers that have no configured model
// up to date, all at once.
func (x *exchange) fetchModels(rules []ruleTargets) {
	var wait sync.WaitGroup
	asked := make(map[*provider]bool)
	for _, rt := range rules {
		for i := range rt.targets {
			t := &rt.targets[i]
			if !t.usable() || asked[t.provider] {
				continue
			}
			if _, fixed := t.RequestModel(modelsProbe, t.settings(rt.rule)); fixed {
				continue
			}
			asked[t.provider] = true
			wait.Add(1)
			go func() {
				defer wait.Done()
				x.fetchModelsOf(t.provider)
			}()
		}
	}
	wait.Wait()
}

// fetchModelsOf brings one provider's list up to date, and waits for it as long
// as the client does. Requests that come meanwhile wait for the same answer.
// The last good list stays in use while the provider gives none.
func (x *exchange) fetchModelsOf(p *provider) {
	list := &p.state.models
	list.mu.Lock()
	if time.Since(list.fetched) < modelsKept {
		list.mu.Unlock()
		return
	}
	if list.coming == nil {
		list.coming = make(chan struct{})
		go x.h.fetchModels(p, list)
	}
	coming := list.coming
	list.mu.Unlock()
	select {
	case <-coming:
	case <-x.r.Context().Done():
	}
}

// fetchModels asks the provider. It belongs to no request: others wait for it.
func (h *Handler) fetchModels(p *provider, list *modelList) {
	ctx, cancel := context.WithTimeout(context.WithValue(context.Background(), caddy.ReplacerCtxKey, caddy.NewReplacer()), modelsWait)
	defer cancel()
	names, err := askModels(ctx, p)
	if err != nil {
		if c := h.logger.Check(zap.WarnLevel, "could not get the provider's list of models"); c != nil {
			c.Write(zap.String("provider", p.name), zap.Error(err))
		}
	}
	list.mu.Lock()
	defer list.mu.Unlock()
	if err == nil {
		list.names, list.fetched = names, time.Now()
	} else {
		list.fetched = time.Now().Add(modelsWait - modelsKept) // ask again, but not at once
	}
	close(list.coming)
	list.coming = nil
}

func askModels(ctx context.Context, p *provider) ([]string, error) {
	req, refused := p.ModelsRequest(ctx)
	if refused != nil {
		return nil, refused
	}
	res, err := p.RoundTrip(req)
	if err != nil {
		return nil, err
	}
	defer res.Body.Close()
	if res.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("the provider answered with status %d", res.StatusCode)
	}
	body, err := io.ReadAll(io.LimitReader(res.Body, maxModelsSize))
	if err != nil {
		return nil, err
	}
	var names []string
	for _, id := range gjson.GetBytes(body, "data.#.id").Array() {
		if id.Type == gjson.String && len(names) < maxModels {
			names = append(names, id.Str)
		}
	}
	return names, nil
}
