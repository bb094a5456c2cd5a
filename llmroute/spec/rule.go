package spec

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"slices"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"

	"github.com/caddy-llm/gateway/llmroute/cache"
	"github.com/caddy-llm/gateway/llmroute/filter"
	"github.com/caddy-llm/gateway/llmroute/inbound"
	"github.com/caddy-llm/gateway/llmroute/life"
	"github.com/caddy-llm/gateway/llmroute/selection"
)

// TranslationStrict is the translation of a rule that refuses what cannot be translated
// without loss.
const TranslationStrict = "strict"

// maxBackends is the most backends a rule may have: one bit each says which
// were tried.
const maxBackends = 64

// Rule sends the requests that match it to one of its backends.
type Rule struct {
	// The rule's name. It selects the providers' settings for rules of that
	// name, and appears in logs and metrics.
	Name string `json:"name,omitempty"`

	// The matcher sets, of which one must match. Any of Caddy's HTTP matchers
	// may be used, and `llm_model`. Without any, the rule matches everything.
	MatcherSetsRaw caddyhttp.RawMatcherSets `json:"match,omitempty" caddy:"namespace=http.matchers"`

	// Where matching requests go.
	Backends []*Backend `json:"backends,omitempty"`

	// What serves matching requests in place of backends: one of Caddy's HTTP handlers, such
	// as `llm_http_route`. It gets any request, even one that is not an LLM request, unless
	// a rule before it matches by model; policies, tokens and virtual keys hold for it,
	// guards and limits do not.
	HandlerRaw json.RawMessage `json:"handle,omitempty" caddy:"namespace=http.handlers inline_key=handler"`

	// Whether requests whose path is no LLM endpoint are passed on as they are to the
	// backends, which must be pools without a key and headers of their own, and chosen by them
	// as LLM requests are. A rule whose
	// requests guards, prompts, limits or the cache look at passes none on. HTTPRoutes with
	// InferencePools have it. Default: no; they are answered with 404.
	PassOther bool `json:"pass_other,omitempty"`

	// How a backend is picked. Default: `weighted`.
	PolicyRaw json.RawMessage `json:"policy,omitempty" caddy:"namespace=llm.selection_policies inline_key=policy"`

	// The most backends that are tried for a request, each of them once, as
	// long as nothing was sent to the client. Default: 1.
	Attempts int `json:"attempts,omitempty"`

	// The response statuses that move a request on to another backend, as
	// failures and timeouts before the first byte always do. A redirect, and a 2xx
	// that carries only an error or nothing, count as 502. Default: 408, 424, 429,
	// 500, 502, 503, 504, 520 to 530, and 401, 402 and 403 where the credential is
	// the gateway's own.
	RetryOn []int `json:"retry_on,omitempty"`

	// What happens to a request that cannot be fully expressed in its provider's API: with
	// `strict` it gets a 400 that names the fields; by default it is sent without them, and
	// the response's headers `Llm-Dropped` and `Llm-Approximated` name them. A client asks
	// for the former with the header `Llm-Translation: strict`.
	Translation string `json:"translation,omitempty"`

	// The names of the guards that look at matching requests, in their order. Those of the
	// llm app that look at everything come first. Default: none.
	Guards []string `json:"guards,omitempty"`

	// The names of the prompts that are added to matching requests, in their order: what
	// they prepend and what they append. Default: none.
	Prompts []string `json:"prompts,omitempty"`

	// The object that a source made the rule of. It is zero for a rule of the configuration,
	// and has no kind for the route that a provider has to its own host.
	Object filter.Object `json:"-"`

	// Whether responses to matching requests are kept, and given to equal requests; see the
	// `cache` of the llm app. Default: no.
	Cache *cache.Rule `json:"cache,omitempty"`

	cacheFilter *cache.Filter // nil without
	life        *life.Life    // nil for one of the configuration
	matcherSets caddyhttp.MatcherSets
	handler     caddyhttp.MiddlewareHandler // in place of backends, or nil
	policy      selection.Policy
	models      []*inbound.ModelMatcher // of all matcher sets, for the list of models
	readsModel  bool                    // a matcher may ask for the request's model
	matchedBy   []string                // the names of the matchers
}

// Provision loads the rule's matchers and policy.
func (r *Rule) Provision(ctx caddy.Context) error {
	if err := r.check(); err != nil {
		return err
	}
	for _, set := range r.MatcherSetsRaw {
		for name, raw := range set { // a matcher such as `not` has others inside
			r.matchedBy = append(r.matchedBy, name)
			r.readsModel = r.readsModel || name == "llm_model" || bytes.Contains(raw, []byte("llm_model"))
		}
	}
	slices.Sort(r.matchedBy)
	r.matchedBy = slices.Compact(r.matchedBy)
	matchers, err := ctx.LoadModule(r, "MatcherSetsRaw")
	if err != nil {
		return fmt.Errorf("loading matchers: %w", err)
	}
	if err := r.matcherSets.FromInterface(matchers); err != nil {
		return fmt.Errorf("loading matchers: %w", err)
	}
	for _, set := range r.matcherSets {
		for _, m := range set {
			if m, ok := m.(*inbound.ModelMatcher); ok {
				r.models = append(r.models, m)
			}
		}
	}
	if r.HasHandler() {
		handler, err := ctx.LoadModule(r, "HandlerRaw")
		if err != nil {
			return fmt.Errorf("loading the handler: %w", err)
		}
		r.handler = handler.(caddyhttp.MiddlewareHandler)
		return nil
	}
	if r.PolicyRaw == nil {
		r.PolicyRaw = json.RawMessage(`{"policy":"weighted"}`)
	}
	policy, err := ctx.LoadModule(r, "PolicyRaw")
	if err != nil {
		return fmt.Errorf("loading the selection policy: %w", err)
	}
	r.policy = policy.(selection.Policy)
	if r.Attempts == 0 {
		r.Attempts = 1
	}
	return nil
}

func (r *Rule) check() error {
	if r.HasHandler() {
		if len(r.Backends) > 0 || len(r.PolicyRaw) > 0 || len(r.Guards) > 0 || len(r.Prompts) > 0 || r.Cache != nil {
			return errors.New("a rule with handle has no backends, policy, guards, prompts or cache; leave them out, or handle")
		}
		return nil
	}
	if len(r.Backends) == 0 {
		return errors.New("no backends; name at least one provider")
	}
	if len(r.Backends) > maxBackends {
		return fmt.Errorf("%d backends; at most %d are supported", len(r.Backends), maxBackends)
	}
	if r.Attempts < 0 {
		return fmt.Errorf("attempts %d is negative; write how many backends may be tried", r.Attempts)
	}
	for _, status := range r.RetryOn {
		if status < 400 || status > 599 {
			return fmt.Errorf("retry_on %d is no error status; write a number from 400 to 599", status)
		}
	}
	if r.Translation != "" && r.Translation != TranslationStrict {
		return fmt.Errorf("translation %q is unknown; write %s, or leave it out", r.Translation, TranslationStrict)
	}
	if r.Cache != nil {
		if err := r.Cache.Check(); err != nil {
			return fmt.Errorf("cache: %w", err)
		}
	}
	return CheckWeights(r.Backends)
}

// Interface guards
var _ caddy.Provisioner = (*Rule)(nil)
