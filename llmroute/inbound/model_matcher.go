package inbound

import (
	"context"
	"errors"
	"net/http"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"

	"github.com/caddy-llm/gateway/llmprovider"
	"github.com/caddy-llm/gateway/llmroute/authz"
	"github.com/caddy-llm/gateway/llmroute/matcher"
	"github.com/caddy-llm/gateway/llmroute/virtualkey"
)

func init() {
	caddy.RegisterModule(ModelMatcher{})
}

// ModelMatcher matches requests by the model they ask for: the member `model` of
// their JSON body, or the field of a multipart form on the audio and image
// endpoints. A request that names no model, or has no valid body of these, does not
// match.
//
// Used outside of `llm_route` it reads the body, up to 32 MiB, and leaves it for
// the handlers that follow. Where `llm_keys` comes after it in a site, a request
// without a known key is answered with a 401 and its body is not read: no client that is
// not authenticated can make the gateway hold one. Where the sender of a request is not
// known, at most a quarter of `max_bodies` is taken for it and its like.
type ModelMatcher struct {
	// The model names, of which one must match. A `*` stands for any text, as in
	// `gpt-4*` or `*-mini`.
	Models []string `json:"models,omitempty"`

	bodies *Budget
	site   *siteKeys
}

// CaddyModule returns the Caddy module information.
func (ModelMatcher) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{
		ID:  "http.matchers.llm_model",
		New: func() caddy.Module { return new(ModelMatcher) },
	}
}

// UnmarshalCaddyfile sets up the matcher from Caddyfile tokens. Syntax:
//
//	llm_model <name...>
func (m *ModelMatcher) UnmarshalCaddyfile(d *caddyfile.Dispenser) error {
	for d.Next() {
		names := d.RemainingArgs()
		if len(names) == 0 {
			return d.Errf("llm_model needs at least one model name, such as gpt-4o or gpt-4*")
		}
		m.Models = append(m.Models, names...)
		if d.NextBlock(0) {
			return d.Errf("llm_model takes no block; write the model names on its line")
		}
	}
	return nil
}

// Provision sets up the matcher.
func (m *ModelMatcher) Provision(caddy.Context) error {
	m.bodies, m.site = AcquireBudget(), new(siteKeys)
	return nil
}

// Cleanup gives back what Provision acquired.
func (m *ModelMatcher) Cleanup() error {
	if m.bodies == nil {
		return nil
	}
	return ReleaseBudget()
}

// Validate checks the configuration.
func (m *ModelMatcher) Validate() error {
	if len(m.Models) == 0 {
		return errors.New("llm_model needs at least one model name")
	}
	return nil
}

// Match implements caddyhttp.RequestMatcher.
func (m *ModelMatcher) Match(r *http.Request) bool {
	ok, _ := m.MatchWithError(r)
	return ok
}

// MatchWithError implements caddyhttp.RequestMatcherWithError. The error is a
// body that could not be read whole, so that no other handler can have it, or that
// may not be read for this client.
func (m *ModelMatcher) MatchWithError(r *http.Request) (bool, error) {
	in, err := m.readInbound(r)
	if err != nil || in == nil {
		return false, err
	}
	if in.Endpoint.Operation == llmprovider.ListModels {
		return true, nil // the list is filtered by name afterwards
	}
	return in.Model != "" && m.Has(in.Model), nil
}

// Has reports whether one of the names matches.
func (m *ModelMatcher) Has(model string) bool {
	for _, pattern := range m.Models {
		if matcher.Wildcard(pattern, model) {
			return true
		}
	}
	return false
}

// inboundVar is the request variable that holds what is known of its body.
const inboundVar = "llm.inbound"

// Held is the request of a handler that has it read once for its own matchers.
type Held struct {
	In *llmprovider.Inbound
	// Max is the largest body that is taken, in bytes.
	Max int64
}

// Share has matchers of the model read the request by the handler's own reading. The error of a
// body is then the handler's to write.
func (h *Held) Share(r *http.Request) { caddyhttp.SetVar(r.Context(), inboundVar, h) }

// sharedInbound is a request read outside of llm_route, with the body that was
// put in place of the one read.
type sharedInbound struct {
	in   *llmprovider.Inbound
	body *llmprovider.Replay
}

// readInbound returns the request with its body read, or nil when it has none
// that names a model.
func (m *ModelMatcher) readInbound(r *http.Request) (*llmprovider.Inbound, error) {
	switch v := caddyhttp.GetVar(r.Context(), inboundVar).(type) {
	case *Held: // inside llm_route, which writes the error itself
		if v.In.Endpoint.Operation == llmprovider.ListModels {
			return v.In, nil
		}
		if err := v.In.Read(r, v.Max); err != nil {
			return nil, err
		}
		return v.In, nil
	case *sharedInbound:
		if any(v.body) == any(r.Body) {
			if v.in.Read(r, llmprovider.DefaultMaxBody) != nil { // as it was found before
				return nil, nil //nolint:nilerr // no JSON: for another handler to judge
			}
			return v.in, nil
		}
	}
	if r.Method != http.MethodPost || r.Body == nil {
		return nil, nil
	}
	in, refused := llmprovider.NewInbound(r)
	if refused != nil || in.Endpoint.Operation == llmprovider.StoredResponse {
		return nil, nil //nolint:nilerr // it names no model; what is wrong with it is for its handler to say
	}
	in.Budget = &m.bodies.All
	if !isKnown(r) {
		switch locked, known := m.site.check(r, m); {
		case locked && !known:
			return nil, m.refused(virtualkey.ErrNoKey(r.URL.Path, false))
		case !known:
			in.Budget = &m.bodies.Strangers
		}
	}
	err := in.Read(r, llmprovider.DefaultMaxBody)
	if err != nil && in.Body() == nil {
		if !in.Begun() {
			return nil, nil
		}
		return nil, m.refused(err)
	}
	body := in.Replay()
	r.Body = body
	// The server closes its own body, and not what stands in its place.
	context.AfterFunc(r.Context(), func() { _ = body.Close() })
	caddyhttp.SetVar(r.Context(), inboundVar, &sharedInbound{in, body})
	if err != nil {
		return nil, nil //nolint:nilerr // no JSON, but whole: for another handler to judge
	}
	return in, nil
}

// refused counts an error of the matcher and returns it as Caddy's.
func (m *ModelMatcher) refused(err *llmprovider.Error) error {
	if metrics := m.bodies.Metrics.Load(); metrics != nil {
		metrics.CountRefusal(err.Code)
	}
	return caddyhttp.Error(err.Status, err)
}

// isKnown reports whether something has told already who sends the request.
func isKnown(r *http.Request) bool {
	if virtualkey.ClientOf(r) != nil || authz.TokenOf(r) != nil {
		return true
	}
	repl, ok := r.Context().Value(caddy.ReplacerCtxKey).(*caddy.Replacer)
	if !ok {
		return false
	}
	id, _ := repl.GetString("http.auth.user.id") // of any of Caddy's authentication handlers
	return id != ""
}

// Take returns the request as a matcher outside has read it, if its body
// is still the one that the matcher left.
func Take(r *http.Request) *llmprovider.Inbound {
	v, ok := caddyhttp.GetVar(r.Context(), inboundVar).(*sharedInbound)
	if !ok || any(v.body) != any(r.Body) {
		return nil
	}
	if llmprovider.EndpointOf(r.Method, r.URL) != v.in.Endpoint {
		return nil // the path was rewritten since
	}
	if !v.in.Take(v.body) {
		return nil
	}
	return v.in
}

// Interface guards
var (
	_ caddy.Provisioner                 = (*ModelMatcher)(nil)
	_ caddy.CleanerUpper                = (*ModelMatcher)(nil)
	_ caddy.Validator                   = (*ModelMatcher)(nil)
	_ caddyhttp.RequestMatcherWithError = (*ModelMatcher)(nil)
	_ caddyfile.Unmarshaler             = (*ModelMatcher)(nil)
)
