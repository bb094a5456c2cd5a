// Package options reads the blocks of a Caddyfile: options with their arguments, and the
// errors for them. It imports llmprovider, which tells keys from other words. Start at
// Option and Parse.
package options

import (
	"errors"
	"strconv"
	"strings"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
)

// Option is one of those that a block may hold.
type Option struct {
	Name string
	// Parse reads the option, on whose name the dispenser stands.
	Parse func(d *caddyfile.Dispenser) error
	// Block reports whether Parse reads the option's block as well.
	Block bool
}

// Parse reads the block that follows, if any. of names what the options
// are of, for the errors.
func Parse(d *caddyfile.Dispenser, of string, options []Option) error {
	for nesting := d.Nesting(); d.NextBlock(nesting); {
		o := Find(options, d.Val())
		if o == nil {
			return d.Errf("unknown %s option %s; expected one of %s", of, Quoted(d.Val()), strings.Join(Names(options), ", "))
		}
		at := Here(d)
		if err := o.Parse(d); err != nil {
			return err
		}
		if !o.Block && d.NextBlock(d.Nesting()) {
			return at.Errf("%s takes no block; write its value on its own line", o.Name)
		}
	}
	return nil
}

// Find returns the option of that name, or nil.
func Find(options []Option, name string) *Option {
	for i := range options {
		if options[i].Name == name {
			return &options[i]
		}
	}
	return nil
}

// Names returns the names of the options, for errors.
func Names(options []Option) []string {
	out := make([]string, len(options))
	for i := range options {
		out[i] = options[i].Name
	}
	return out
}

// ErrUnexpected is the error of a parse function that has nothing to add to
// what is expected.
var ErrUnexpected = errors.New("unexpected")

// Value returns the parser of an option with one argument, which it writes to
// dst. The text of a secret must not get into an error, so parse then has an
// error of its own.
func Value[T comparable](dst *T, expected string, parse func(string) (T, error)) func(*caddyfile.Dispenser) error {
	return func(d *caddyfile.Dispenser) error {
		var unset T
		if *dst != unset {
			return d.Errf("%s is given twice; keep one", d.Val())
		}
		v, err := Argument(d, expected, parse)
		if err != nil {
			return err
		}
		*dst = v
		return nil
	}
}

// Argument reads the only argument of the option on which d stands.
func Argument[T any](d *caddyfile.Dispenser, expected string, parse func(string) (T, error)) (T, error) {
	name, args := d.Val(), d.RemainingArgs()
	if len(args) != 1 {
		var unset T
		return unset, d.Errf("%s takes %s; got %s", name, expected, Count(args))
	}
	v, err := parse(args[0])
	switch {
	case errors.Is(err, ErrUnexpected):
		return v, d.Errf("%s is %s; expected %s", name, Quoted(args[0]), expected)
	case err != nil:
		return v, d.WrapErr(err)
	}
	return v, nil
}

// Count returns how many arguments there are, but not their text: one may be a
// key.
func Count(args []string) string {
	switch len(args) {
	case 0:
		return "nothing"
	case 1:
		return "1 argument"
	}
	return strconv.Itoa(len(args)) + " arguments"
}

// Presence returns the parser of an option without arguments.
func Presence(dst *bool) func(*caddyfile.Dispenser) error {
	return func(d *caddyfile.Dispenser) error {
		if *dst {
			return d.Errf("%s is given twice; keep one", d.Val())
		}
		if name := d.Val(); d.NextArg() {
			return d.Errf("%s takes no argument; its presence turns it on", name)
		}
		*dst = true
		return nil
	}
}

// What errors say of the arguments that Duration and Text take.
const (
	ExpectedDuration = "a duration above 0, such as 30s"
	ExpectedText     = "one name"
)

// Text takes any text that is not blank.
func Text(s string) (string, error) {
	if strings.TrimSpace(s) == "" {
		return "", ErrUnexpected
	}
	return s, nil
}

// Duration takes a duration above zero.
func Duration(s string) (caddy.Duration, error) {
	v, err := caddy.ParseDuration(s)
	if err != nil || v <= 0 {
		return 0, ErrUnexpected
	}
	return caddy.Duration(v), nil
}

// Number returns a parse function for whole numbers from least to most.
func Number(least, most int) func(string) (int, error) {
	return func(s string) (int, error) {
		n, err := strconv.Atoi(s)
		if err != nil || n < least || n > most {
			return 0, ErrUnexpected
		}
		return n, nil
	}
}

// OnOff takes on and off.
func OnOff(s string) (bool, error) {
	if s != "on" && s != "off" {
		return false, ErrUnexpected
	}
	return s == "on", nil
}

// OneOf returns a parse function that takes these words alone.
func OneOf(words ...string) func(string) (string, error) {
	return func(s string) (string, error) {
		for _, word := range words {
			if s == word {
				return s, nil
			}
		}
		return "", ErrUnexpected
	}
}

// Pointer makes a parse function return a pointer, nil with an error.
func Pointer[T any](parse func(string) (T, error)) func(string) (*T, error) {
	return func(s string) (*T, error) {
		v, err := parse(s)
		if err != nil {
			return nil, err
		}
		return &v, nil
	}
}

// Here returns where d stands, so that an error found later can name this line.
func Here(d *caddyfile.Dispenser) *caddyfile.Dispenser {
	at := *d
	return &at
}

// Located adds file and line to an error that has none.
func Located(d *caddyfile.Dispenser, err error) error {
	if strings.Contains(err.Error(), ", at "+d.File()+":") {
		return err
	}
	return d.WrapErr(err)
}

// ModuleNames lists the modules of a namespace, for errors.
func ModuleNames(namespace string) string {
	var out []string
	for _, m := range caddy.GetModules(namespace) {
		out = append(out, m.ID.Name())
	}
	if len(out) == 0 {
		return "none in this build"
	}
	return strings.Join(out, ", ")
}
