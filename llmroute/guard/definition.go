// Package guard looks at the text of requests before they are sent: it denies requests,
// masks parts of their text, or only logs what it finds. A guard sees every text of a
// request in whatever API, form and escapes it is written, and refuses what it cannot
// read.
//
// It imports llmprovider, its neighbour filter and internal/jsonscan. It does not use the
// readers of package dialect: these read what can be translated, and a guard has to see
// the rest as well. Begin with Definition and Filter; reader is what finds the texts.
package guard

import (
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"
)

// Definition is one guard.
type Definition struct {
	// What requests are denied for. All texts are looked at before any is masked.
	// Default: nothing.
	Deny []Pattern `json:"deny,omitempty"`

	// What is masked: the provider gets the category in capitals and brackets in its
	// place, such as `[EMAIL]`. Nothing else of the request changes. Default: nothing.
	Mask []Pattern `json:"mask,omitempty"`

	// Whose text is looked at: `system` (also the developer's, and instructions), `user`,
	// `assistant`, `tool` (results of tools) and `other` (definitions of tools, metadata
	// and all else). Default: all.
	Roles []string `json:"roles,omitempty"`

	// What becomes of a request with something that cannot be read as text, such as an
	// image, a file, a form, token numbers or a part of an unknown type: with `closed` it
	// is denied, with `open` that passes and is counted. Default: `closed`.
	Unreadable string `json:"unreadable,omitempty"`

	// Whether the guard only logs and counts what it would deny or mask. Default: no.
	Log bool `json:"log,omitempty"`

	// The status of a denied request, from 400 to 499. Default: 403.
	Status int `json:"status,omitempty"`

	// Whether the guard looks at all requests, rather than those of rules that name it.
	// Default: no.
	Everything bool `json:"everything,omitempty"`
}

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

// check reports what is wrong with the definition, if anything.
func (d *Definition) check() error {
	if len(d.Deny) == 0 && len(d.Mask) == 0 && d.Unreadable == "" {
		return errors.New("it looks for nothing; write a deny or a mask line, or unreadable closed to deny only what cannot be read")
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
	if d.Status != 0 && (d.Status < 400 || d.Status > 499) {
		return fmt.Errorf("status %d is not that of a client's error; write a number from 400 to 499", d.Status)
	}
	return nil
}

// compile returns what finds the pattern.
func (p *Pattern) compile() (*detector, error) {
	switch {
	case p.Builtin != "" && (p.Regex != "" || p.As != ""):
		return nil, errors.New("a built-in pattern takes no regular expression and no word of its own; write one of both")
	case p.Builtin != "":
		i := slices.IndexFunc(builtins, func(d *detector) bool { return d.category == p.Builtin })
		if i < 0 {
			return nil, fmt.Errorf("there is no built-in pattern %q; there are: %s; or write: regex PATTERN", p.Builtin, strings.Join(builtinNames(), ", "))
		}
		return builtins[i], nil
	case p.Regex == "":
		return nil, errors.New("the pattern is empty; name a built-in one, or write: regex PATTERN")
	case p.As != "" && !categoryForm.MatchString(p.As):
		return nil, errors.New("the word for what a regular expression finds has letters, digits, _ and -, and at most 32 of them")
	}
	return newRegex(p)
}

// builtinNames returns the names of the built-in patterns.
func builtinNames() []string {
	names := make([]string, len(builtins))
	for i, d := range builtins {
		names[i] = d.category
	}
	return names
}
