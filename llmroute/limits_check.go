package llmroute

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/caddyserver/caddy/v2"

	"github.com/caddy-llm/gateway/llmroute/limit/unmet"
	"github.com/caddy-llm/gateway/llmroute/spec"
)

// CheckLimits returns what the limits of an llm app cannot do as they are written, which is what
// the log says of them at startup. handlers are the HTTP handlers of the configuration. Only what
// limits depend on is provisioned: no keys and no stores, and no connections are made. Without
// limits, and with a source, whose objects are not known, it returns nothing. An error is one
// with which the gateway does not start.
func CheckLimits(app json.RawMessage, handlers []map[string]any) ([]unmet.Warning, error) {
	var all, limits map[string]json.RawMessage
	if err := json.Unmarshal(app, &all); err != nil {
		return nil, err
	}
	if all["limits"] == nil || all["source"] != nil {
		return nil, nil
	}
	var routes map[string][]*spec.Route
	err := json.Unmarshal(all["limits"], &limits)
	if all["routes"] != nil {
		err = errors.Join(err, json.Unmarshal(all["routes"], &routes))
	}
	if err != nil {
		return nil, err
	}
	delete(limits, "store")
	needed := map[string]any{"limits": limits}
	for _, name := range []string{"providers", "prices", "profiles", "identity"} {
		if all[name] != nil {
			needed[name] = all[name]
		}
	}
	raw, err := json.Marshal(needed)
	if err != nil {
		return nil, err
	}
	ctx, err := caddy.ProvisionContext(&caddy.Config{
		Admin:   &caddy.AdminConfig{Disabled: true},
		AppsRaw: caddy.ModuleMap{"llm": raw},
		Logging: &caddy.Logging{Logs: map[string]*caddy.CustomLog{caddy.DefaultLoggerName: {BaseLog: caddy.BaseLog{Level: "FATAL"}}}},
	})
	if err != nil {
		return nil, err
	}
	module, err := ctx.App("llm")
	if err != nil {
		return nil, err
	}
	a := module.(*App)
	a.Routes = routes
	a.authenticators.keys = all["keys"] != nil
	for _, h := range handlers {
		if err := a.noteHandler(h); err != nil {
			return nil, errors.Join(err, a.Cleanup())
		}
	}
	return a.limitWarnings(a.configured()), a.Cleanup()
}

// noteHandler notes what limits may depend on of an HTTP handler that is not provisioned.
func (a *App) noteHandler(h map[string]any) error {
	switch h["handler"] {
	case "llm_keys":
		a.authenticators.keys = true
	case "llm_authz":
		if issuers, _ := h["jwt"].([]any); len(issuers) > 0 {
			a.VerifiesTokens()
		}
	case "llm_route":
		var route Handler
		raw, err := json.Marshal(h)
		if err == nil {
			err = json.Unmarshal(raw, &route)
		}
		if err != nil {
			return fmt.Errorf("reading llm_route: %w", err)
		}
		a.register(&route)
	}
	return nil
}

// configured returns the snapshot of the configuration alone, of which nothing runs.
func (a *App) configured() *snapshot {
	s := &snapshot{providers: a.static, tables: make(map[string]*table)}
	for name, list := range a.resolveRules(s) {
		s.tables[name] = newTable(list)
	}
	return s
}

// warnOfUnstarted logs what is wrong with limits if the app was provisioned without fault and
// never used, as by `caddy validate`.
func (a *App) warnOfUnstarted() {
	if a.current.Load() == nil && errors.Unwrap(context.Cause(a.ctx)) == nil { // a fault is wrapped
		a.warnOfLimits(a.configured())
	}
}
