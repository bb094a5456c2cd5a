package llmroute

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"slices"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
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
	// name, and stands in logs and metrics.
	Name string `json:"name,omitempty"`

	// The matcher sets, of which one must match. Any of Caddy's HTTP matchers
	// may be used, and `llm_model`. Without any, the rule matches everything.
	MatcherSetsRaw caddyhttp.RawMatcherSets `json:"match,omitempty" caddy:"namespace=http.matchers"`

	// Where matching requests go.
	Backends []*Backend `json:"backends,omitempty"`

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

	// What becomes of a request whose provider speaks another API, in which some of it
	// cannot be said: with `strict` it is answered with a 400 that names the fields; by
	// default it is sent without them, and the response's headers `Llm-Dropped` and
	// `Llm-Approximated` name them. A client asks for the former with the header
	// `Llm-Translation: strict`.
	Translation string `json:"translation,omitempty"`

	// The names of the guards that look at matching requests, in their order. Those of the
	// llm app that look at everything come first. Default: none.
	Guards []string `json:"guards,omitempty"`

	life        *life // nil for one of the configuration
	matcherSets caddyhttp.MatcherSets
	policy      SelectionPolicy
	models      []*ModelMatcher // of all matcher sets, for the list of models
	readsModel  bool            // a matcher may ask for the request's model
	matchedBy   []string        // the names of the matchers
}

// Backend is one of the places a rule sends requests to.
type Backend struct {
	// The provider's name.
	Provider string `json:"provider,omitempty"`

	// The model to ask for. It goes before the provider's own settings, so that one
	// provider can be there twice, with two models. Default: what the provider's
	// settings say.
	Model string `json:"model,omitempty"`

	// The share of requests, in relation to the other backends' weights. 0
	// means never. Default: all backends have equal shares.
	Weight *int `json:"weight,omitempty"`

	// Backends with a higher number are used only when none with a lower one
	// can be. Default: 0.
	Priority int `json:"priority,omitempty"`

	// Whether the provider's settings for rules of this rule's name are left out, and
	// its default ones are used: sources set it for a rule of somebody else, whose name
	// is the same. Default: no.
	DefaultSettings bool `json:"default_settings,omitempty"`

	// Why a source found that this backend cannot be used. Requests that need
	// it are answered with 503.
	Unusable string `json:"unusable,omitempty"`
}

func (b *Backend) weight() uint32 {
	if b.Weight == nil {
		return 1
	}
	return uint32(*b.Weight)
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
			if m, ok := m.(*ModelMatcher); ok {
				r.models = append(r.models, m)
			}
		}
	}
	if r.PolicyRaw == nil {
		r.PolicyRaw = json.RawMessage(`{"policy":"weighted"}`)
	}
	policy, err := ctx.LoadModule(r, "PolicyRaw")
	if err != nil {
		return fmt.Errorf("loading the selection policy: %w", err)
	}
	r.policy = policy.(SelectionPolicy)
	if r.Attempts == 0 {
		r.Attempts = 1
	}
	return nil
}

func (r *Rule) check() error {
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
	return CheckWeights(r.Backends)
}

// CheckWeights tells what is wrong with the backends' weights, if anything.
func CheckWeights(backends []*Backend) error {
	set, sum := 0, 0
	for _, b := range backends {
		if b.Weight == nil {
			continue
		}
		set++
		if *b.Weight < 0 || *b.Weight > 1<<30 {
			return fmt.Errorf("weight %d of %s is out of range; write 0 or more", *b.Weight, b.Provider)
		}
		sum += *b.Weight
	}
	if set == 0 {
		return nil
	}
	if set < len(backends) {
		return errors.New("some backends have a weight and some have none; give one to all of them, or to none for equal shares")
	}
	if sum == 0 {
		return errors.New("all weights are 0, so no backend could ever be used; give at least one backend a weight above 0")
	}
	return nil
}

// Interface guards
var _ caddy.Provisioner = (*Rule)(nil)
