package v1alpha1

import "github.com/caddy-llm/gateway/k8ssource/api/v1beta1"

// Guard looks at the text of requests before they are sent, and of responses before clients
// get them: it denies them, masks parts of their text, or only logs what it finds.
//
// +kubebuilder:validation:XValidation:rule=`has(self.name) && self.name.matches('^[A-Za-z0-9_-]{1,32}$')`,message="this is not the name of a guard; write letters, digits, _ and -, at most 32",fieldPath=.name
// +kubebuilder:validation:XValidation:rule=`has(self.deny) && size(self.deny) > 0 || has(self.mask) && size(self.mask) > 0 || has(self.webhook) || has(self.moderation) || has(self.judge) || has(self.unreadable) && self.unreadable != ""`,message="the guard looks for nothing; write deny, mask, webhook, moderation or judge, or unreadable: Closed to deny only what cannot be read"
// +kubebuilder:validation:XValidation:rule=`(has(self.webhook) ? 1 : 0) + (has(self.moderation) ? 1 : 0) + (has(self.judge) ? 1 : 0) <= 1`,message="a guard can ask only one service; write a guard for each of webhook, moderation and judge"
// +kubebuilder:validation:XValidation:rule=`!(has(self.webhook) || has(self.moderation) || has(self.judge)) || !has(self.onResponse) || !has(self.onResponse.window)`,message="a service is asked about a response once, when all of it has come; write whole: true or off: true",fieldPath=.onResponse
// +kubebuilder:validation:XValidation:rule=`!has(self.restore) || !self.restore || has(self.mask) && size(self.mask) > 0 && !(has(self.log) && self.log) && (has(self.onRequest) && self.onRequest || !has(self.onResponse))`,message="the guard masks nothing in requests that could be put back; write mask and onRequest: true without log, or leave it out",fieldPath=.restore
// +kubebuilder:validation:XValidation:rule=`!has(self.mask) || self.mask.all(p, !has(p.regex) || p.regex == "" || has(p.as) && p.as != "")`,message="a regular expression needs a word to put in place of what it finds; write one such as key under as",fieldPath=.mask
// +kubebuilder:validation:XValidation:rule=`!has(self.parallel) || !self.parallel || has(self.webhook) || has(self.moderation) || has(self.judge)`,message="the guard asks no service that could decide while a provider is asked; write webhook, moderation or judge, or leave it out",fieldPath=.parallel
// +kubebuilder:validation:XValidation:rule=`!has(self.parallel) || !self.parallel || !has(self.mask) || size(self.mask) == 0`,message="the request is sent before the guard has decided, so it cannot mask; move mask to a guard of its own, or leave it out",fieldPath=.parallel
// +kubebuilder:validation:XValidation:rule=`!has(self.parallel) || !self.parallel || !has(self.onResponse) || has(self.onRequest) && self.onRequest`,message="the guard does not look at requests; write onRequest: true, or leave it out",fieldPath=.parallel
type Guard struct {
	// The guard's name, in errors, logs and metrics: letters, digits, `_` and `-`, at most
	// 32. Required.
	//
	// +kubebuilder:validation:MaxLength=32
	Name string `json:"name,omitempty"`

	// What requests and responses are denied for. All texts are looked at before any is
	// masked. Default: nothing. At most 64.
	//
	// +kubebuilder:validation:MaxItems=64
	Deny []GuardPattern `json:"deny,omitempty"`

	// What is masked: the provider, or the client, gets the category in capitals and
	// brackets in its place, such as `[EMAIL]`. Default: nothing. At most 64.
	//
	// +kubebuilder:validation:MaxItems=64
	Mask []GuardPattern `json:"mask,omitempty"`

	// A service that is asked about the texts, after `deny` has matched nothing in them, and
	// with what `mask` finds masked. Default: none.
	Webhook *GuardWebhook `json:"webhook,omitempty"`

	// An LLMProvider that is asked to moderate the texts, in place of `webhook`. Default:
	// none.
	Moderation *GuardModeration `json:"moderation,omitempty"`

	// A model that is asked for a verdict about the texts, in place of `webhook`. Default:
	// none.
	Judge *GuardJudge `json:"judge,omitempty"`

	// Whose text in requests is looked at: `system` (also the developer's, and
	// instructions), `user`, `assistant`, `tool` (results of tools) and `other`
	// (definitions of tools, metadata and all else). Default: all.
	//
	// +kubebuilder:validation:MaxItems=5
	// +kubebuilder:validation:items:MaxLength=63
	// +kubebuilder:validation:items:XValidation:rule=`self in ['system', 'user', 'assistant', 'tool', 'other']`,message="there is no such role; write system, user, assistant, tool or other"
	Roles []string `json:"roles,omitempty"`

	// What happens to a request or a response with something that cannot be read as text,
	// such as an image or a part of an unknown type: with `Closed` it is denied, with `Open`
	// that passes and is counted. Default: `Closed`.
	//
	// +kubebuilder:validation:XValidation:rule=`self in ["", 'Closed', 'Open']`,message="this is unknown; write Closed or Open"
	// +kubebuilder:validation:MaxLength=63
	Unreadable string `json:"unreadable,omitempty"`

	// Whether the guard only logs and counts what it would deny or mask. Default: false.
	Log bool `json:"log,omitempty"`

	// Whether the guard looks at requests. Default: if it does not look at responses.
	OnRequest bool `json:"onRequest,omitempty"`

	// How the guard looks at responses. Default: it does not.
	OnResponse *GuardOnResponse `json:"onResponse,omitempty"`

	// Whether text that was masked in the request is restored where the response contains
	// its mask. Masks are then numbered, such as `[EMAIL_1]`. Default: false.
	Restore bool `json:"restore,omitempty"`

	// Whether a provider is asked while `webhook`, `moderation` or `judge` decides about the
	// request. The client gets nothing before that, and the provider's request is canceled if
	// the guard denies it. It cannot mask: what a service changes is denied. Default: false.
	Parallel bool `json:"parallel,omitempty"`

	// The status of a denied request or response, from 400 to 499. Default: 403.
	//
	// +kubebuilder:validation:XValidation:rule=`self == 0 || self >= 400 && self <= 499`,message="this is not the status of a client's error; write a number from 400 to 499"
	Status int32 `json:"status,omitempty"`
}

// GuardPattern is what a guard looks for: `builtin` or `regex`.
//
// +kubebuilder:validation:XValidation:rule=`has(self.builtin) && self.builtin != "" || has(self.regex) && self.regex != ""`,message="there is no pattern; write builtin or regex"
// +kubebuilder:validation:XValidation:rule=`!has(self.builtin) || self.builtin == "" || !(has(self.regex) && self.regex != "" || has(self.as) && self.as != "")`,message="a built-in pattern takes no regular expression and no word of its own; keep builtin, or regex and as"
type GuardPattern struct {
	// A built-in pattern: `email`, `phone`, `card` (numbers of payment cards whose check
	// digit is right), `iban` (whose check digits and length are right) or `ssn` (US Social
	// Security numbers).
	//
	// +kubebuilder:validation:MaxLength=63
	// +kubebuilder:validation:XValidation:rule=`self in ["", 'email', 'phone', 'card', 'iban', 'ssn']`,message="there is no such pattern; write email, phone, card, iban or ssn"
	Builtin string `json:"builtin,omitempty"`

	// A regular expression in Go's syntax, which takes time that is linear in the text. At
	// most 4096 bytes.
	//
	// +kubebuilder:validation:MaxLength=4096
	Regex string `json:"regex,omitempty"`

	// The category of what the regular expression finds, in errors, logs and metrics, and
	// in place of what is masked: letters, digits, `_` and `-`, at most 32. Required to
	// mask. Default: `regex`.
	//
	// +kubebuilder:validation:MaxLength=32
	// +kubebuilder:validation:XValidation:rule=`self.matches('^[A-Za-z0-9_-]*$')`,message="this is not a category; write letters, digits, _ and -, at most 32"
	As string `json:"as,omitempty"`
}

// GuardWebhook is a service that a guard asks about texts, in a published format.
//
// +kubebuilder:validation:XValidation:rule=`has(self.url) && self.url.matches('^https?://[^/?#@ ]+([/?#][^ ]*)?$')`,message="this is not a URL that can be called; write http://HOST:PORT/PATH or https://HOST/PATH, and credentials under secretHeaders",fieldPath=.url
// +kubebuilder:validation:XValidation:rule=`has(self.format) && self.format in ['agentgateway', 'litellm']`,message="this format is unknown; write agentgateway or litellm",fieldPath=.format
type GuardWebhook struct {
	// Where the service is: an http or https URL. Required.
	//
	// +kubebuilder:validation:MaxLength=2048
	URL string `json:"url,omitempty"`

	// The format that the service speaks: `agentgateway`, which kgateway has too, or
	// `litellm`, the generic guardrail API of LiteLLM. Required.
	//
	// +kubebuilder:validation:MaxLength=63
	Format string `json:"format,omitempty"`

	// How long the service may take for one request or response. Default: `2s`.
	Timeout v1beta1.Duration `json:"timeout,omitempty"`

	// What happens to a request or a response that the service does not decide about in
	// time, or not in its format: with `Closed` it is refused with status 503, with `Open`
	// it passes. Default: `Closed`.
	OnFailure OnFailure `json:"onFailure,omitempty"`

	// The client's headers that the service gets; none that may be credentials. Default:
	// none. At most 16.
	//
	// +kubebuilder:validation:MaxItems=16
	// +kubebuilder:validation:items:MaxLength=256
	ForwardHeaders []string `json:"forwardHeaders,omitempty"`

	// Headers with values from Secrets of the object's own namespace, such as credentials.
	// Default: none. At most 8.
	//
	// +kubebuilder:validation:MaxItems=8
	SecretHeaders []SecretHeader `json:"secretHeaders,omitempty"`
}

// SecretHeader is a header with a value from a Secret.
//
// +kubebuilder:validation:XValidation:rule=`has(self.name) && self.name.matches('^[a-zA-Z0-9!#$%&\'*+.^_\x60|~-]+$')`,message="this is not a header name",fieldPath=.name
// +kubebuilder:validation:XValidation:rule=`has(self.secretRef) && has(self.secretRef.key) && self.secretRef.key != ""`,message="a Secret is required; write its name and the key of the value in it",fieldPath=.secretRef
type SecretHeader struct {
	// The header's name, such as `Authorization`. Required.
	//
	// +kubebuilder:validation:MaxLength=256
	Name string `json:"name,omitempty"`

	// The Secret of the object's own namespace with the whole value, such as
	// `Bearer TOKEN`. Required.
	SecretRef *v1beta1.SecretKeyRef `json:"secretRef,omitempty"`
}

// GuardModeration is an LLMProvider whose moderation endpoint is asked about texts.
//
// +kubebuilder:validation:XValidation:rule=`has(self.provider) && self.provider != ""`,message="a provider is required; write the name of an LLMProvider of the object's namespace",fieldPath=.provider
// +kubebuilder:validation:XValidation:rule=`has(self.model) && self.model != ""`,message="a model is required; write the one that decides",fieldPath=.model
type GuardModeration struct {
	// The name of an LLMProvider of the object's own namespace. Required.
	//
	// +kubebuilder:validation:MaxLength=253
	Provider string `json:"provider,omitempty"`

	// The model that decides. Required.
	//
	// +kubebuilder:validation:MaxLength=256
	Model string `json:"model,omitempty"`

	// How long the provider may take for one request or response. Default: `2s`.
	Timeout v1beta1.Duration `json:"timeout,omitempty"`

	// What happens to a request or a response that the provider does not decide about in
	// time: with `Closed` it is refused with status 503, with `Open` it passes. Default:
	// `Closed`.
	OnFailure OnFailure `json:"onFailure,omitempty"`
}

// GuardJudge is a model that is asked for a verdict about texts.
//
// +kubebuilder:validation:XValidation:rule=`has(self.provider) && self.provider != ""`,message="a provider is required; write the name of an LLMProvider of the object's namespace",fieldPath=.provider
// +kubebuilder:validation:XValidation:rule=`has(self.prompt) && self.prompt.matches('[^ \\t\\r\\n]')`,message="a prompt is required; write what the model is to deny",fieldPath=.prompt
type GuardJudge struct {
	// The name of an LLMProvider of the object's own namespace. Required.
	//
	// +kubebuilder:validation:MaxLength=253
	Provider string `json:"provider,omitempty"`

	// The model that decides. Default: the one that the LLMProvider names.
	//
	// +kubebuilder:validation:MaxLength=256
	Model string `json:"model,omitempty"`

	// What the model is to deny, in words. The gateway adds what the model gets and how it
	// is to answer. Required, at most 65536 bytes.
	//
	// +kubebuilder:validation:MaxLength=65536
	Prompt string `json:"prompt,omitempty"`

	// How long the model may take for one request or response. Default: `2s`.
	Timeout v1beta1.Duration `json:"timeout,omitempty"`

	// What happens to a request or a response that the model does not decide about in time,
	// or not in the form of a verdict: with `Closed` it is refused with status 503, with
	// `Open` it passes. Default: `Closed`.
	OnFailure OnFailure `json:"onFailure,omitempty"`
}

// OnFailure is `Closed` or `Open`.
//
// +kubebuilder:validation:MaxLength=63
// +kubebuilder:validation:XValidation:rule=`self in ["", 'Closed', 'Open']`,message="this is unknown; write Closed or Open"
type OnFailure string

// GuardOnResponse is how a guard looks at streams; one of its fields is set. A response that
// is not a stream is always held until the guard has seen all of it.
//
// +kubebuilder:validation:XValidation:rule=`(has(self.window) ? 1 : 0) + (has(self.whole) && self.whole ? 1 : 0) + (has(self.off) && self.off ? 1 : 0) == 1`,message="it must say how streams are checked; write one of window: BYTES, whole: true and off: true"
type GuardOnResponse struct {
	// The bytes of text that are held back, from 16 to 65536, so that a text up to that
	// length is seen whole before any of it is passed on.
	//
	// +kubebuilder:validation:XValidation:rule=`self >= 16 && self <= 65536`,message="this is out of range; write a number from 16 to 65536"
	Window *int32 `json:"window,omitempty"`

	// Whether the client gets nothing before the stream has ended.
	Whole bool `json:"whole,omitempty"`

	// Whether streams are not looked at.
	Off bool `json:"off,omitempty"`
}
