package llmroute

import (
	"errors"
	"strings"

	"github.com/caddyserver/caddy/v2"

	"github.com/caddy-llm/gateway/llmprovider"
)

// KeysSource is a Source that can read virtual keys from a Secret.
type KeysSource interface {
	Source

	// UseKeys has the source report the clients in a Secret, given as namespace/name, in
	// State.Keys. It is called before Start.
	UseKeys(secret string)
}

// KeyTable holds clients and the hashes of their keys. It is immutable.
type KeyTable struct{ clients clientTable }

// ParseKeys reads clients, a line each, as a file of keys has them. place is what errors
// name beside the line; they repeat nothing of the text.
func ParseKeys(place, text string) (*KeyTable, error) {
	table, err := parseKeys(place, []byte(text))
	if err != nil {
		return nil, err
	}
	return &KeyTable{table}, nil
}

// Len is the number of keys.
func (t *KeyTable) Len() int { return len(t.clients) }

// provisionKeys sets up the keys of the app. It is called once the source is loaded.
func (a *App) provisionKeys(ctx caddy.Context) error {
	k := a.Keys
	switch {
	case k == nil:
		return nil
	case k.Secret == "":
		return k.Provision(ctx)
	case k.File != "":
		return errors.New("both a file and a secret are named; keep one of them")
	}
	namespace, name, ok := strings.Cut(k.Secret, "/")
	if !ok || namespace == "" || name == "" || strings.Contains(name, "/") {
		return errors.New("the secret is not named by its namespace and name; write one such as llm-system/virtual-keys")
	}
	if _, ok := a.source.(KeysSource); !ok {
		return errors.New("a secret needs a source that reads Secrets, such as source kubernetes; name a file, or configure the source")
	}
	k.logger, k.metrics = ctx.Logger(), a.metrics
	return nil
}

// admitted finds who is calling at a port of a Gateway or a sidecar's, as Keys.admit does.
func (x *exchange) admitted(k *Keys) (*Client, *llmprovider.Error) {
	if k.Secret == "" {
		return k.admit(x.r, k.keys.Get(), x.token != nil)
	}
	state := x.snap.state
	if state == nil {
		return nil, errNotReady()
	}
	var known clientTable // nobody, if the source has none
	if state.Keys != nil {
		known = state.Keys.clients
	}
	return k.admit(x.r, known, x.token != nil)
}
