package llmroute

import (
	"errors"

	"github.com/caddyserver/caddy/v2"

	"github.com/caddy-llm/gateway/llmprovider"
	"github.com/caddy-llm/gateway/llmroute/spec"
	"github.com/caddy-llm/gateway/llmroute/virtualkey"
)

// provisionKeys sets up the keys of the app. It is called once the source is loaded.
func (a *App) provisionKeys(ctx caddy.Context) error {
	k := a.Keys
	switch {
	case k == nil:
		return nil
	case k.Secret == "":
		if err := k.Provision(ctx); err != nil {
			return err
		}
		a.authenticators.known = append(a.authenticators.known, k.Known)
		return nil
	}
	if err := k.CheckSecret(); err != nil {
		return err
	}
	if _, ok := a.source.(spec.KeysSource); !ok {
		return errors.New("a secret needs a source that reads Secrets, such as source kubernetes; name a file, or configure the source")
	}
	return nil
}

// UsesKeys implements virtualkey.User.
func (a *App) UsesKeys(known func() virtualkey.Table) {
	a.authenticators.keys = true
	a.authenticators.known = append(a.authenticators.known, known)
}

// admitted finds who is calling at a port of a Gateway or a sidecar's, as Keys.Admit does.
func (x *exchange) admitted(k *virtualkey.Keys) (*virtualkey.Client, *llmprovider.Error) {
	if k.Secret == "" {
		return k.Admit(x.r, k.Known(), x.token != nil)
	}
	state := x.snap.state
	if state == nil {
		return nil, errNotReady()
	}
	var known virtualkey.Table // nobody, if the source has none
	if state.Keys != nil {
		known = *state.Keys
	}
	return k.Admit(x.r, known, x.token != nil)
}

// Interface guard
var _ virtualkey.User = (*App)(nil)
