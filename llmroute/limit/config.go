package limit

import (
	"encoding/json"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"

	"github.com/caddyserver/caddy/v2"

	"github.com/caddy-llm/gateway/llmroute/limit/estimate"
	"github.com/caddy-llm/gateway/llmroute/limit/period"
)

const (
	// defaultMaxOutput is what is reserved for output when the request names no
	// maximum, in tokens.
	defaultMaxOutput = 4096

	// maxName bounds a limit's name, which stands in headers, metrics and addresses.
	maxName = 64
	// maxObjectName bounds that of a limit with a Scope: a namespace, a name and which of the object's limits.
	maxObjectName = 63 + 1 + 100 + 16
	// maxConcurrent bounds Definition.Concurrent.
	maxConcurrent = 1 << 30
)

// Config is the limits of a gateway.
type Config struct {
	// Where what was spent is kept. Default: `memory`, which is exact for one
	// gateway.
	StoreRaw json.RawMessage `json:"store,omitempty" caddy:"namespace=llm.limit_stores inline_key=store"`

	// The limits. All that apply to a request must have room for it.
	Limits []*Definition `json:"limits,omitempty"`
}

// Definition is a limit: how much may be used in a period, and by whom.
type Definition struct {
	// The limit's name, which clients and operators see: letters, digits, `-`, `_`
	// and `.`. What was spent is kept under it, also through reloads.
	Name string `json:"name"`

	// What is counted separately: `client` (the name of the virtual key, else the verified
	// token's issuer and subject), `workload`, `namespace`, `provider`, `model`, `rule`,
	// `ip`, `header NAME` and `claim NAME`. With several, each combination has a counter of
	// its own. A request without the value counts under the empty value. Default: one
	// counter for all requests.
	Key []Key `json:"key,omitempty"`

	// Whether a request without one of the values is refused with a 403. Default:
	// false.
	Require bool `json:"require,omitempty"`

	// How much of what, in which period. Each has its own counter, and all must have room.
	Amounts []Amount `json:"amounts,omitempty"`

	// The most requests that may be open at once. Default: any number.
	Concurrent int64 `json:"concurrent,omitempty"`

	// The names of rules; only requests that matched one of them are limited.
	// Default: all.
	Rules []string `json:"rules,omitempty"`

	// The names of providers; only requests that go to one of them are limited.
	// Default: all.
	Providers []string `json:"providers,omitempty"`

	// Models, with `*` for any text; only requests that are sent with one of them
	// are limited. Default: all.
	Models []string `json:"models,omitempty"`

	// The matcher sets, of which one must match for the request to be limited. Any
	// of Caddy's HTTP matchers may be used. Default: all requests.
	MatcherSetsRaw []caddy.ModuleMap `json:"match,omitempty" caddy:"namespace=http.matchers"`

	// How the tokens of a prompt are estimated before the provider has counted them:
	// `typical`, by the bytes that a token of this model had so far, and 1600 tokens
	// for an image or another file inside the request; or `strict`, one token for each
	// byte of the request, which a prompt never exceeds. Default: `strict` if there is
	// an amount of `cost`, else `typical`.
	Estimate string `json:"estimate,omitempty"`

	// What is reserved for output when the request names no maximum, in tokens.
	// Default: 4096.
	MaxOutput int64 `json:"max_output,omitempty"`

	// What happens when a stream outgrows what is left: `finish` lets it end, and
	// records what it took beyond the limit; `cut` ends it with an error. Default:
	// `finish`.
	OnExceeded string `json:"on_exceeded,omitempty"`

	// What happens to requests while the store cannot be used, once what was leased
	// from it is spent: `deny` refuses them with a 503, `allow` lets them pass, and
	// `share` lets this gateway use its part of the limit. Default: `deny` if there
	// is an amount of `cost`, else `share`.
	OnStoreFailure string `json:"on_store_failure,omitempty"`

	// Whether the limit only counts, and reports in logs and metrics what it would have
	// refused. Default: false.
	Shadow bool `json:"shadow,omitempty"`

	// Whether the limit is only for clients whose line in the virtual keys file names it. It
	// then replaces the limits that are keyed by client. Default: false.
	Tier bool `json:"tier,omitempty"`

	// Scope is what a limit of a source's object may be about; nil for one of the
	// configuration.
	Scope *Scope `json:"-"`
}

// Amount is how much may be used in a period.
type Amount struct {
	// What is counted: `requests`, `tokens`, `input_tokens`, `output_tokens` or
	// `cost`.
	Unit Unit `json:"unit"`

	// How much of it: a whole number, for `cost` one with up to 9 decimal places in
	// the currency of the prices.
	Amount json.Number `json:"amount"`

	// The time: a duration such as `1m`, in which a bucket refills evenly, or `hour`,
	// `day`, `week` (from Monday), `month` or `year` of the calendar.
	Window string `json:"window"`

	// The time zone of a calendar window, such as `Europe/Berlin`. Default: `UTC`.
	Timezone string `json:"timezone,omitempty"`

	// The size of the bucket, that is how much may be used at once after a pause.
	// Default: the amount.
	Burst json.Number `json:"burst,omitempty"`
}

var validName = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._-]*$`)

// Check reports what is wrong with the limits, if anything.
func (c *Config) Check() error {
	seen := make(map[string]bool)
	for _, d := range c.Limits {
		if err := d.Check(); err != nil {
			return fmt.Errorf("limit %s: %w", d.Name, err)
		}
		if seen[d.Name] {
			return fmt.Errorf("limit %s is defined twice; give each limit a different name", d.Name)
		}
		seen[d.Name] = true
	}
	return nil
}

// Check reports what is wrong with the limit, if anything. It brings the names of
// headers into their canonical form.
func (d *Definition) Check() error {
	if len(d.Name) > maxName && d.Scope == nil || len(d.Name) > maxObjectName || !validName.MatchString(d.Name) {
		return fmt.Errorf("the name is not usable; write up to %d letters, digits, -, _ and ., with a letter or digit first", maxName)
	}
	if len(d.Amounts) == 0 && d.Concurrent == 0 {
		return errors.New("there is nothing to count; write an amount, such as requests 60 per 1m, or concurrent 8")
	}
	if d.Concurrent < 0 || d.Concurrent > maxConcurrent {
		return fmt.Errorf("concurrent is %d; write a number from 1 to %d", d.Concurrent, maxConcurrent)
	}
	if d.MaxOutput < 0 || d.MaxOutput > estimate.MaxOutput {
		return fmt.Errorf("max_output is %d; write a number of tokens from 1 to %d", d.MaxOutput, estimate.MaxOutput)
	}
	for i, k := range d.Key {
		k, err := ParseKey(string(k))
		if err != nil {
			return err
		}
		d.Key[i] = k // as it is looked up
		if slices.Contains(d.Key[:i], k) {
			return fmt.Errorf("key has %s twice; write it once", k)
		}
	}
	if d.Require && len(d.Key) == 0 {
		return errors.New("require needs a key whose value is required, such as key client require")
	}
	if d.Tier && !slices.Contains(d.Key, KeyClient) {
		return errors.New("a tier is for clients; add client to its key")
	}
	seen := make(map[string]bool)
	for i := range d.Amounts {
		a := &d.Amounts[i]
		w, _, _, err := a.parse()
		if err != nil {
			return err
		}
		id := string(a.Unit) + " " + w.String()
		if seen[id] {
			return fmt.Errorf("%s per %s is given twice; keep one", a.Unit, a.Window)
		}
		seen[id] = true
	}
	for _, list := range [...]struct {
		name   string
		values []string
	}{{"rules", d.Rules}, {"providers", d.Providers}, {"models", d.Models}} {
		if slices.Contains(list.values, "") {
			return fmt.Errorf("%s has an empty name; leave it out, or name one", list.name)
		}
	}
	return d.checkWords()
}

func (d *Definition) checkWords() error {
	for _, w := range [...]struct {
		option, value string
		known         []string
	}{
		{"estimate", d.Estimate, []string{EstimateTypical, EstimateStrict}},
		{"on_exceeded", d.OnExceeded, []string{OnExceededFinish, OnExceededCut}},
		{"on_store_failure", d.OnStoreFailure, []string{OnFailureDeny, OnFailureAllow, OnFailureShare}},
	} {
		if w.value != "" && !slices.Contains(w.known, w.value) {
			return fmt.Errorf("%s is %q; expected one of %s", w.option, w.value, strings.Join(w.known, ", "))
		}
	}
	return nil
}

// The values of Definition.Estimate, OnExceeded and OnStoreFailure.
const (
	EstimateTypical  = "typical"
	EstimateStrict   = "strict"
	OnExceededFinish = "finish"
	OnExceededCut    = "cut"
	OnFailureDeny    = "deny"
	OnFailureAllow   = "allow"
	OnFailureShare   = "share"
)

// Costs reports whether the limit is one of money.
func (d *Definition) Costs() bool {
	return slices.ContainsFunc(d.Amounts, func(a Amount) bool { return a.Unit == UnitCost })
}

// Check reports what is wrong with the amount, if anything.
func (a *Amount) Check() error {
	_, _, _, err := a.parse()
	return err
}

// parse returns the window, the amount in the smallest parts of its unit, and the
// size of the bucket.
func (a *Amount) parse() (w period.Window, amount, burst int64, err error) {
	if !slices.Contains(Units, a.Unit) {
		return w, 0, 0, fmt.Errorf("unknown unit %q; expected one of %s", string(a.Unit), joinUnits())
	}
	if w, err = period.Parse(a.Window, a.Timezone); err != nil {
		return w, 0, 0, fmt.Errorf("%s: %w", a.Unit, err)
	}
	if amount, err = a.Unit.readAmount(string(a.Amount)); err != nil {
		return w, 0, 0, fmt.Errorf("%s: %w", a.Unit, err)
	}
	burst = amount
	if a.Burst != "" {
		if w.Calendar() {
			return w, 0, 0, fmt.Errorf("%s: a calendar window has no burst; leave it out, or write a duration such as 24h", a.Unit)
		}
		if burst, err = a.Unit.readAmount(string(a.Burst)); err != nil {
			return w, 0, 0, fmt.Errorf("%s: burst: %w", a.Unit, err)
		}
	}
	return w, amount, burst, nil
}
