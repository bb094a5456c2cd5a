package kind

import (
	"errors"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"

	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"

	"github.com/caddy-llm/gateway/internal/options"
	"github.com/caddy-llm/gateway/llmprovider"
	"github.com/caddy-llm/gateway/llmprovider/upstream"
)

// API is a further API that a provider has, beside that of its kind.
type API struct {
	// The path of the API's endpoint, such as `/anthropic/v1/messages`. Default: beside
	// the provider's `path`.
	Path string `json:"path,omitempty"`

	// The header that the API key is sent in: `x-api-key`, or `Authorization` after
	// `Bearer`. Default: as in the API of the kind.
	KeyHeader string `json:"key_header,omitempty"`
}

// keyHeaders are those that a further API may have its key in.
var keyHeaders = []string{"Authorization", "X-Api-Key"}

// Check reports what is wrong with the API, if anything.
func (a API) Check() error {
	if a.Path != "" {
		if _, err := upstream.ParsePath(a.Path); err != nil {
			return err
		}
	}
	if a.KeyHeader != "" && !slices.Contains(keyHeaders, http.CanonicalHeaderKey(a.KeyHeader)) {
		return errors.New("the key is sent as x-api-key or as Authorization; write one of them, or leave it out")
	}
	return nil
}

// checkAPIs reports what is wrong with the further APIs of a provider, if anything.
func (b *Base) checkAPIs(t *Traits) error {
	for _, name := range slices.Sorted(maps.Keys(b.APIs)) {
		if !slices.Contains(t.APIs, name) {
			return fmt.Errorf("api %s: %w", options.Unquoted(name), errAPI(t))
		}
		if err := b.APIs[name].Check(); err != nil {
			return fmt.Errorf("api %s: %w", name, err)
		}
	}
	return nil
}

func errAPI(t *Traits) error {
	if len(t.APIs) == 0 {
		return errors.New("providers of this kind have no further APIs")
	}
	return fmt.Errorf("providers of this kind support these further APIs: %s", strings.Join(t.APIs, ", "))
}

// AuthFor returns the credential for a further API under the named rule; nil without one.
func (b *Base) AuthFor(api, rule string) llmprovider.Authorizer {
	f := b.For(rule)
	if http.CanonicalHeaderKey(b.APIs[api].KeyHeader) == "X-Api-Key" {
		return f.xAPIKey
	}
	return f.Auth
}

// parseAPI reads: api <name> [<path>] [<header>]
func (p *block) parseAPI(d *caddyfile.Dispenser) error {
	args := d.RemainingArgs()
	if len(args) == 0 || len(args) > 3 {
		return d.Errf("api takes a name and, if you like, a path and x-api-key; got %s", options.Count(args))
	}
	name, api := args[0], API{}
	for _, arg := range args[1:] {
		switch {
		case strings.HasPrefix(arg, "/") && api.Path == "" && api.KeyHeader == "":
			api.Path = arg
		case slices.Contains(keyHeaders, http.CanonicalHeaderKey(arg)) && api.KeyHeader == "":
			api.KeyHeader = arg
		default:
			return d.Errf("api %s has %s; expected a path and then the header that the key is sent in, x-api-key or Authorization", options.Unquoted(name), options.Quoted(arg))
		}
	}
	if _, ok := p.APIs[name]; ok {
		return d.Errf("api %s is given twice; keep one", options.Unquoted(name))
	}
	if !slices.Contains(p.traits.APIs, name) {
		return d.Errf("unknown API %s; %w", options.Quoted(name), errAPI(&p.traits))
	}
	if err := api.Check(); err != nil {
		return d.WrapErr(err)
	}
	if p.APIs == nil {
		p.APIs = make(map[string]API)
	}
	p.APIs[name] = api
	return nil
}
