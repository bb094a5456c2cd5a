package v1alpha1

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/caddy-llm/gateway/k8ssource/api/v1beta1"
)

// LLMLimit is how many requests, tokens or how much money may be used in a period, and
// by whom. All limits that apply to a request must have room for it.
//
// +kubebuilder:object:root=true
// +kubebuilder:resource:shortName=llml,categories=llm
// +kubebuilder:subresource:status
// +kubebuilder:printcolumn:name=Key,type=string,JSONPath=`.spec.key`
// +kubebuilder:printcolumn:name=Accepted,type=string,JSONPath=`.status.conditions[?(@.type=="Accepted")].status`
// +kubebuilder:printcolumn:name=ResolvedRefs,type=string,JSONPath=`.status.conditions[?(@.type=="ResolvedRefs")].status`
// +kubebuilder:printcolumn:name=Programmed,type=string,JSONPath=`.status.conditions[?(@.type=="Programmed")].status`
// +kubebuilder:printcolumn:name=Reason,type=string,priority=1,JSONPath=`.status.conditions[?(@.type=="Accepted")].reason`
// +kubebuilder:printcolumn:name=Workload,type=string,priority=1,JSONPath=`.status.workload`
// +kubebuilder:printcolumn:name=Age,type=date,JSONPath=`.metadata.creationTimestamp`
// +kubebuilder:validation:XValidation:rule=`size(self.metadata.name) <= 63`,message="metadata.name: may not be more than 63 bytes"
type LLMLimit struct {
	metav1.TypeMeta `json:",inline"`
	// +optional
	metav1.ObjectMeta `json:"metadata,omitzero"`

	// How much of what may be used, and by whom. Required.
	//
	// +required
	Spec LLMLimitSpec `json:"spec,omitzero"`

	// What a gateway made of the object. Gateways write it.
	//
	// +optional
	Status v1beta1.Status `json:"status,omitzero"`
}

// LLMLimitList is a list of LLMLimits.
//
// +kubebuilder:object:root=true
type LLMLimitList struct {
	metav1.TypeMeta `json:",inline"`
	metav1.ListMeta `json:"metadata,omitzero"`

	Items []LLMLimit `json:"items"`
}

// LLMLimitSpec is how much may be used, and by whom.
//
// +kubebuilder:validation:XValidation:rule=`has(self.amounts) && size(self.amounts) > 0 || has(self.concurrent)`,message="there is nothing to count; write at least one amount, or spec.concurrent",fieldPath=.amounts
// +kubebuilder:validation:XValidation:rule=`!has(self.require) || !self.require || has(self.key) && size(self.key) > 0`,message="there is no key whose value could be required; write one such as client under spec.key",fieldPath=.require
// +kubebuilder:validation:XValidation:rule=`!has(self.tier) || !self.tier || has(self.key) && 'client' in self.key`,message="a tier is for clients; add client to spec.key",fieldPath=.tier
type LLMLimitSpec struct {
	// What requests must concern, one of these: LLMRoutes by which they are routed,
	// LLMProviders that they are sent to, Gateways that they come in by; all of the
	// object's namespace. Default: all requests that are routed by that namespace's
	// routes, and in the root namespace, all requests. At most 16.
	//
	// +kubebuilder:validation:MaxItems=16
	TargetRefs []TargetRef `json:"targetRefs,omitempty"`

	// What is counted separately: `client` (the name of the virtual key, else the verified
	// token's issuer and subject), `workload`, `namespace`, `provider`, `model`, `rule`,
	// `ip`, `header NAME` and `claim NAME`. With several, each combination has a counter of
	// its own. A request without the value counts under the empty value. Default: one
	// counter for all requests. At most 8.
	//
	// +kubebuilder:validation:MaxItems=8
	// +kubebuilder:validation:items:MaxLength=256
	// +kubebuilder:validation:items:XValidation:rule=`self in ['client', 'workload', 'namespace', 'provider', 'model', 'rule', 'ip'] || self.matches('^(header [a-zA-Z0-9!#$%&\'*+.^_\x60|~-]+|claim [^ \\t\\r\\n]+)$')`,message="there is no such key; write client, workload, namespace, provider, model, rule, ip, header NAME or claim NAME"
	// +kubebuilder:validation:XValidation:rule=`self.all(k, self.exists_one(other, k.startsWith('header ') ? other.lowerAscii() == k.lowerAscii() : other == k))`,message="a key is listed twice; keep one of them"
	Key []string `json:"key,omitempty"`

	// Whether a request without one of the values is refused with a 403. Default:
	// false.
	Require bool `json:"require,omitempty"`

	// How much of what, in which period. Each has its own counter, and all must have room.
	// At most 16.
	//
	// +kubebuilder:validation:MaxItems=16
	// +kubebuilder:validation:XValidation:rule=`self.all(a, self.exists_one(b, a == b || has(a.unit) && has(b.unit) && a.unit == b.unit && has(a.window) && has(b.window) && a.window == b.window && (has(a.timezone) ? a.timezone : "") == (has(b.timezone) ? b.timezone : "")))`,message="the same unit and window are listed twice; keep one of them"
	Amounts []LimitAmount `json:"amounts,omitempty"`

	// The most requests that may be open at once. Default: any number.
	//
	// +kubebuilder:validation:XValidation:rule=`self >= 1 && self <= 1073741824`,message="this is out of range; write a number from 1 to 1073741824"
	Concurrent *int64 `json:"concurrent,omitempty"`

	// The names of rules; only requests that matched one of them are limited. Default:
	// all. At most 64.
	//
	// +kubebuilder:validation:MaxItems=64
	// +kubebuilder:validation:items:MaxLength=256
	// +kubebuilder:validation:items:XValidation:rule=`self != ""`,message="this is empty; write a name, or leave it out"
	Rules []string `json:"rules,omitempty"`

	// LLMProviders, as `name` in the object's namespace or `namespace/name`; only
	// requests that are sent to one of them are limited. Default: all. At most 64.
	//
	// +kubebuilder:validation:MaxItems=64
	// +kubebuilder:validation:items:MaxLength=317
	// +kubebuilder:validation:items:XValidation:rule=`self.matches('^([a-z0-9]([a-z0-9-]*[a-z0-9])?/)?[a-z0-9]([a-z0-9.-]*[a-z0-9])?$')`,message="this is not the name of an LLMProvider; write namespace/name, or name for one in the object's own namespace"
	Providers []string `json:"providers,omitempty"`

	// Models, with `*` for any text; only requests that are sent with one of them are
	// limited. Default: all. At most 64.
	//
	// +kubebuilder:validation:MaxItems=64
	// +kubebuilder:validation:items:MaxLength=256
	// +kubebuilder:validation:items:XValidation:rule=`self != ""`,message="this is empty; write a name, or leave it out"
	Models []string `json:"models,omitempty"`

	// What a request must match, one of the entries, as in an LLMRoute. Default:
	// everything. At most 64.
	//
	// +kubebuilder:validation:MaxItems=64
	Matches []LimitMatch `json:"matches,omitempty"`

	// How the tokens of a prompt are estimated before the provider has counted them:
	// `typical`, by the bytes that a token of this model had so far, or `strict`, one
	// token for each byte of the request, which a prompt never exceeds. Default:
	// `strict` if there is an amount of `cost`, else `typical`.
	//
	// +kubebuilder:validation:XValidation:rule=`self in ['typical', 'strict']`,message="this is unknown; write typical or strict"
	Estimate string `json:"estimate,omitempty"`

	// What is reserved for output when the request names no maximum, in tokens.
	// Default: 4096.
	//
	// +kubebuilder:validation:XValidation:rule=`self >= 1 && self <= 1073741824`,message="this is out of range; write a number from 1 to 1073741824"
	MaxOutput *int64 `json:"maxOutput,omitempty"`

	// What happens when a stream outgrows what is left: `finish` lets it end, and
	// records what it took beyond the limit; `cut` ends it with an error. Default:
	// `finish`.
	//
	// +kubebuilder:validation:XValidation:rule=`self in ['finish', 'cut']`,message="this is unknown; write finish or cut"
	OnExceeded string `json:"onExceeded,omitempty"`

	// What happens to requests while the gateway's store of limits cannot be used, once
	// what was leased from it is spent: `deny` refuses them with a 503, `allow` lets
	// them pass, and `share` lets each gateway use its part of the limit. Default:
	// `deny` if there is an amount of `cost`, else `share`.
	//
	// +kubebuilder:validation:XValidation:rule=`self in ['deny', 'allow', 'share']`,message="this is unknown; write deny, allow or share"
	OnStoreFailure string `json:"onStoreFailure,omitempty"`

	// Whether the limit only counts, and reports in logs and metrics what it would have
	// refused. Default: false.
	Shadow bool `json:"shadow,omitempty"`

	// Whether the limit is only for clients whose virtual key names it, as `limit
	// namespace.name`. It then replaces the limits that are keyed by client. Default: false.
	Tier bool `json:"tier,omitempty"`
}

// LimitAmount is how much may be used in a period.
//
// +kubebuilder:validation:XValidation:rule=`has(self.unit) && self.unit in ['requests', 'tokens', 'input_tokens', 'output_tokens', 'cost']`,message="there is no such unit; write requests, tokens, input_tokens, output_tokens or cost",fieldPath=.unit
// +kubebuilder:validation:XValidation:rule=`has(self.amount)`,message="an amount is required; write a number above 0",fieldPath=.amount
// +kubebuilder:validation:XValidation:rule=`has(self.window) && self.window.matches('^(hour|day|week|month|year|([0-9]+([.][0-9]+)?(ms|s|m|h|d))+)$')`,message="this is not a window; write a duration from 1s to 8784h, such as 1m, or hour, day, week, month or year",fieldPath=.window
// +kubebuilder:validation:XValidation:rule=`!has(self.timezone) || self.timezone == "" || !has(self.window) || self.window in ['hour', 'day', 'week', 'month', 'year']`,message="a duration has no timezone; leave it out, or write hour, day, week, month or year as window",fieldPath=.timezone
// +kubebuilder:validation:XValidation:rule=`!has(self.burst) || !has(self.window) || !(self.window in ['hour', 'day', 'week', 'month', 'year'])`,message="a calendar window has no burst; leave it out, or write a duration such as 24h as window",fieldPath=.burst
// +kubebuilder:validation:XValidation:rule=`!has(self.amount) || !has(self.unit) || self.unit == 'cost' || type(self.amount) == int || !string(self.amount).contains('.')`,message="only costs have decimal places; write a whole number",fieldPath=.amount
// +kubebuilder:validation:XValidation:rule=`!has(self.burst) || !has(self.unit) || self.unit == 'cost' || type(self.burst) == int || !string(self.burst).contains('.')`,message="only costs have decimal places; write a whole number",fieldPath=.burst
type LimitAmount struct {
	// What is counted: `requests`, `tokens`, `input_tokens`, `output_tokens` or `cost`.
	// Required.
	//
	// +kubebuilder:validation:MaxLength=63
	Unit string `json:"unit,omitempty"`

	// How much of it: a whole number; for `cost` one in the currency of the gateway's
	// prices, with up to 9 decimal places, in quotes if it has any: `"0.50"`. Required.
	Amount Number `json:"amount,omitempty"`

	// The time: a duration such as `1m`, in which the amount comes back evenly, or
	// `hour`, `day`, `week` (from Monday), `month` or `year` of the calendar. Required.
	//
	// +kubebuilder:validation:MaxLength=63
	Window string `json:"window,omitempty"`

	// The time zone of a calendar window, such as `Europe/Berlin`. Default: UTC.
	//
	// +kubebuilder:validation:MaxLength=63
	Timezone string `json:"timezone,omitempty"`

	// The most that may be used at once in a window that is a duration. Default: the
	// amount.
	Burst Number `json:"burst,omitempty"`
}

// LimitMatch matches a request if all of its headers do.
type LimitMatch struct {
	// Headers by name, in any case. `host` is the request's host without its
	// port. At most 16.
	//
	// +kubebuilder:validation:MaxProperties=16
	// +kubebuilder:validation:XValidation:rule=`!self.exists(name, name.startsWith('@'))`,message="claims of a token are not matched; write the name of a header"
	// +kubebuilder:validation:XValidation:rule=`!self.exists(name, name.startsWith(':'))`,message="this is not a header name; write host for the request's host"
	Headers map[string]v1beta1.StringMatch `json:"headers,omitempty"`
}
