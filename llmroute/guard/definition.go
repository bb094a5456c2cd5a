// Package guard looks at the text of requests before they are sent, and of responses
// before clients get them: it denies them, masks parts of their text, or only logs what it
// finds. A guard sees every text in whatever API, form and escapes it is written, and
// refuses what it cannot read.
//
// It imports llmprovider, its neighbour filter, detect, which finds patterns, decide, which
// asks services, and internal/jsonscan. It does not use the
// readers of package dialect: these read what can be translated, and a guard has to see
// the rest as well. Begin with Definition and Filter; reader is what finds the texts,
// response has guards look at a response, stream and lane do so event by event, and
// service has services asked.
package guard

import (
	"errors"
	"fmt"
	"regexp"
	"strings"

	"github.com/caddy-llm/gateway/llmroute/guard/decide"
	"github.com/caddy-llm/gateway/llmroute/guard/detect"
)

// Definition is one guard.
type Definition struct {
	// What requests and responses are denied for. All texts are looked at before any is masked.
	// Default: nothing.
	Deny []Pattern `json:"deny,omitempty"`

	// What is masked: the provider, or the client, gets the category in capitals and
	// brackets in its place, such as `[EMAIL]`. Nothing else changes. Default: nothing.
	Mask []Pattern `json:"mask,omitempty"`

	// A service that is asked about the texts, after Deny has matched nothing in them, and
	// with what Mask finds masked. Default: none.
	Webhook *decide.Webhook `json:"webhook,omitempty"`

	// A provider that is asked to moderate the texts, in place of Webhook. Default: none.
	Moderation *decide.Moderation `json:"moderation,omitempty"`

	// A model that is asked for a verdict about the texts, in place of Webhook. Default: none.
	Judge *decide.Judge `json:"judge,omitempty"`

	// Whose text in requests is looked at: `system` (also the developer's, and instructions), `user`,
	// `assistant`, `tool` (results of tools) and `other` (definitions of tools, metadata
	// and all else). Default: all.
	Roles []string `json:"roles,omitempty"`

	// What happens to a request or a response with something that cannot be read as text,
	// such as an image, a file, a form, token numbers or a part of an unknown type: with
	// `closed` it is denied, with `open` that passes and is counted. Default: `closed`.
	Unreadable string `json:"unreadable,omitempty"`

	// Whether the guard only logs and counts what it would deny or mask. Default: no.
	Log bool `json:"log,omitempty"`

	// Whether the guard looks at requests. Default: if it does not look at responses.
	OnRequest bool `json:"on_request,omitempty"`

	// How the guard looks at responses. Default: it does not.
	OnResponse *OnResponse `json:"on_response,omitempty"`

	// Whether text that was masked in the request is restored where the response contains
	// its mask. Masks are then numbered, such as `[EMAIL_1]`. Default: no.
	Restore bool `json:"restore,omitempty"`

	// Whether a provider is asked while Webhook, Moderation or Judge decides about the request.
	// The client gets nothing before that, unless the guard has Log, and the provider's request is
	// canceled if the guard denies it. It cannot mask: what a service changes is denied. Default: no.
	Parallel bool `json:"parallel,omitempty"`

	// The status of a denied request or response, from 400 to 499. Default: 403.
	Status int `json:"status,omitempty"`

	// Whether the guard looks at all requests, rather than those of rules that name it.
	// Default: no.
	Everything bool `json:"everything,omitempty"`
}

// OnResponse is how a guard looks at responses. One that is not a stream is always held
// until the guard has seen all of it.
type OnResponse struct {
	// How streams are looked at. With `window`, events are held until Window bytes of text
	// have come after theirs, so that a text up to that length is seen whole before any of
	// it is passed on. With `whole`, the client gets nothing before the stream has ended.
	// With `off`, streams are not looked at. Required.
	Stream string `json:"stream"`

	// The bytes of text that `window` holds back, from 16 to 65536.
	Window int `json:"window,omitempty"`
}

// The ways to look at streams.
const (
	StreamWindow = "window"
	StreamWhole  = "whole"
	StreamOff    = "off"
)

// The least and the most that a window may hold back, in bytes of text.
const (
	MinWindow = 16
	MaxWindow = 64 << 10
)

// Pattern is what a guard looks for: one of Builtin and Regex.
type Pattern struct {
	// A built-in pattern: `email`, `phone`, `card` (numbers of payment cards whose check
	// digit is right), `iban` (whose check digits and length are right) or `ssn` (US
	// Social Security numbers).
	Builtin string `json:"builtin,omitempty"`

	// A regular expression in [Go's syntax](https://pkg.go.dev/regexp/syntax), which
	// takes time that is linear in the text.
	Regex string `json:"regex,omitempty"`

	// The category of what the regular expression finds, in errors, logs and metrics, and
	// in place of what is masked: letters, digits, `_` and `-`, at most 32. Required to
	// mask. Default: `regex`.
	As string `json:"as,omitempty"`
}

// The words for what cannot be read.
const (
	UnreadableClosed = "closed"
	UnreadableOpen   = "open"
)

// defaultStatus is that of a denied request.
const defaultStatus = 403

// categoryForm is what a category may look like: it stands in JSON without escapes.
var categoryForm = regexp.MustCompile(`^[A-Za-z0-9_-]{1,32}$`)

// Check reports what is wrong with the definition, if anything. It reads no files.
func (d *Definition) Check() error {
	if len(d.Deny) == 0 && len(d.Mask) == 0 && d.services() == 0 && d.Unreadable == "" {
		return errors.New("it looks for nothing; write a deny, a mask, a webhook, a moderation or a judge line, or unreadable closed to deny only what cannot be read")
	}
	for _, p := range d.Deny {
		if _, err := p.compile(); err != nil {
			return fmt.Errorf("deny: %w", err)
		}
	}
	for _, p := range d.Mask {
		if p.Regex != "" && p.As == "" {
			return errors.New("mask: a regular expression needs a word to put in place of what it finds; write: mask regex PATTERN as WORD")
		}
		if _, err := p.compile(); err != nil {
			return fmt.Errorf("mask: %w", err)
		}
	}
	if _, err := rolesOf(d.Roles); err != nil {
		return err
	}
	switch d.Unreadable {
	case "", UnreadableClosed, UnreadableOpen:
	default:
		return fmt.Errorf("unreadable is %q; write %s or %s", d.Unreadable, UnreadableClosed, UnreadableOpen)
	}
	if o := d.OnResponse; o != nil {
		switch {
		case o.Stream == StreamWindow && (o.Window < MinWindow || o.Window > MaxWindow):
			return fmt.Errorf("on_response window holds back %d bytes; write a number from %d to %d", o.Window, MinWindow, MaxWindow)
		case o.Stream == StreamWindow:
		case o.Window != 0:
			return fmt.Errorf("on_response %s has no window; write on_response window %d, or leave the number out", o.Stream, o.Window)
		case o.Stream != StreamWhole && o.Stream != StreamOff:
			return fmt.Errorf("on_response does not say how streams are checked; write window N, whole or off")
		}
	}
	if d.Webhook != nil {
		if err := d.Webhook.Check(); err != nil {
			return err
		}
	}
	if d.Moderation != nil {
		if err := d.Moderation.Check(); err != nil {
			return err
		}
	}
	if d.Judge != nil {
		if err := d.Judge.Check(); err != nil {
			return err
		}
	}
	if d.services() > 1 {
		return errors.New("a guard can ask only one service; write a guard for each of webhook, moderation and judge")
	}
	if d.services() > 0 && d.OnResponse != nil && d.OnResponse.Stream == StreamWindow {
		return errors.New("a service is asked about a response once, when all of it has come; write on_response whole or off")
	}
	if d.Restore && (len(d.Mask) == 0 || d.Log || !d.looksAtRequests()) {
		return errors.New("restore puts back what the guard masks in requests, and this one masks nothing there; write a mask line and on_request, or leave restore out")
	}
	if d.Parallel {
		switch {
		case d.services() == 0:
			return errors.New("parallel is for guards that ask a service, and this one asks none; write a webhook, a moderation or a judge line, or leave parallel out")
		case len(d.Mask) > 0:
			return errors.New("parallel sends the request before the guard has decided, so it cannot mask; move the mask lines to a guard of their own, or leave parallel out")
		case !d.looksAtRequests():
			return errors.New("parallel is for requests, and this guard looks at responses only; write on_request, or leave parallel out")
		}
	}
	if d.Status != 0 && (d.Status < 400 || d.Status > 499) {
		return fmt.Errorf("status %d is not that of a client's error; write a number from 400 to 499", d.Status)
	}
	return nil
}

// services returns how many services the guard asks.
func (d *Definition) services() int {
	n := 0
	for _, has := range []bool{d.Webhook != nil, d.Moderation != nil, d.Judge != nil} {
		if has {
			n++
		}
	}
	return n
}

func (d *Definition) looksAtRequests() bool { return d.OnRequest || d.OnResponse == nil }

// compile returns what finds the pattern.
func (p *Pattern) compile() (*detect.Detector, error) {
	switch {
	case p.Builtin != "" && (p.Regex != "" || p.As != ""):
		return nil, errors.New("a built-in pattern takes no regular expression and no word of its own; write one of both")
	case p.Builtin != "":
		d := detect.Builtin(p.Builtin)
		if d == nil {
			return nil, fmt.Errorf("there is no built-in pattern %q; there are: %s; or write: regex PATTERN", p.Builtin, strings.Join(detect.BuiltinNames(), ", "))
		}
		return d, nil
	case p.Regex == "":
		return nil, errors.New("the pattern is empty; name a built-in one, or write: regex PATTERN")
	case p.As != "" && !categoryForm.MatchString(p.As):
		return nil, errors.New("the word for what a regular expression finds has letters, digits, _ and -, and at most 32 of them")
	}
	return detect.Regex(p.Regex, p.As)
}
