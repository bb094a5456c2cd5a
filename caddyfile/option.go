package caddyfile

import (
	"errors"
	"strconv"
	"strings"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"

	"github.com/caddy-llm/gateway/llmroute"
)

// option is one of those that a block may hold.
type option struct {
	name string
	// parse reads the option, on whose name the dispenser stands.
	parse func(d *caddyfile.Dispenser) error
	// block tells that parse reads the option's block as well.
	block bool
}

// parseBlock reads the block that follows, if any. of names what the options
// are of, for the errors.
func parseBlock(d *caddyfile.Dispenser, of string, options []option) error {
	for nesting := d.Nesting(); d.NextBlock(nesting); {
		o := find(options, d.Val())
		if o == nil {
			return d.Errf("unknown %s option %s; expected one of %s", of, quoted(d.Val()), strings.Join(names(options), ", "))
		}
		at := here(d)
		if err := o.parse(d); err != nil {
			return err
		}
		if !o.block && d.NextBlock(d.Nesting()) {
			return at.Errf("%s takes no block; write its value on its own line", o.name)
		}
	}
	return nil
}

func find(options []option, name string) *option {
	for i := range options {
		if options[i].name == name {
			return &options[i]
		}
	}
	return nil
}

func names(options []option) []string {
	out := make([]string, len(options))
	for i := range options {
		out[i] = options[i].name
	}
	return out
}

// errUnexpected is the error of a parse function that has nothing to add to
// what is expected.
var errUnexpected = errors.New("unexpected")

// value returns the parser of an option with one argument, which it writes to
// dst. The text of a secret must not get into an error, so parse then has an
// error of its own.
func value[T comparable](dst *T, expected string, parse func(string) (T, error)) func(*caddyfile.Dispenser) error {
	return func(d *caddyfile.Dispenser) error {
		var unset T
		if *dst != unset {
			return d.Errf("%s is given twice; keep one", d.Val())
		}
		v, err := argument(d, expected, parse)
		if err != nil {
			return err
		}
		*dst = v
		return nil
	}
}

// argument reads the only argument of the option on which d stands.
func argument[T any](d *caddyfile.Dispenser, expected string, parse func(string) (T, error)) (T, error) {
	name, args := d.Val(), d.RemainingArgs()
	if len(args) != 1 {
		var unset T
		return unset, d.Errf("%s takes %s; got %s", name, expected, count(args))
	}
	v, err := parse(args[0])
	switch {
	case errors.Is(err, errUnexpected):
		return v, d.Errf("%s is %s; expected %s", name, quoted(args[0]), expected)
	case err != nil:
		return v, d.WrapErr(err)
	}
	return v, nil
}

// count tells how many arguments there are, and not what they are: one may be a
// key.
func count(args []string) string {
	switch len(args) {
	case 0:
		return "nothing"
	case 1:
		return "1 argument"
	}
	return strconv.Itoa(len(args)) + " arguments"
}

// presence returns the parser of an option without arguments.
func presence(dst *bool) func(*caddyfile.Dispenser) error {
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

const (
	expectedDuration = "a duration above 0, such as 30s"
	expectedText     = "one name"
)

func parseText(s string) (string, error) {
	if strings.TrimSpace(s) == "" {
		return "", errUnexpected
	}
	return s, nil
}

func parseDuration(s string) (caddy.Duration, error) {
	v, err := caddy.ParseDuration(s)
	if err != nil || v <= 0 {
		return 0, errUnexpected
	}
	return caddy.Duration(v), nil
}

// parseNumber returns a parse function for whole numbers from least to most.
func parseNumber(least, most int) func(string) (int, error) {
	return func(s string) (int, error) {
		n, err := strconv.Atoi(s)
		if err != nil || n < least || n > most {
			return 0, errUnexpected
		}
		return n, nil
	}
}

// hostNames returns the parser of an option with the names of hosts.
func hostNames(dst *[]string) func(*caddyfile.Dispenser) error {
	return func(d *caddyfile.Dispenser) error {
		name, args := d.Val(), d.RemainingArgs()
		if len(args) == 0 {
			return d.Errf("%s takes the names of hosts, such as status.example.com", name)
		}
		for _, host := range args {
			if err := llmroute.CheckHostName(host); err != nil {
				return d.Errf("%s: %w", name, err)
			}
		}
		*dst = append(*dst, args...)
		return nil
	}
}

// here returns where d stands, so that an error found later can name this line.
func here(d *caddyfile.Dispenser) *caddyfile.Dispenser {
	at := *d
	return &at
}

// located adds file and line to an error that has none.
func located(d *caddyfile.Dispenser, err error) error {
	if strings.Contains(err.Error(), ", at "+d.File()+":") {
		return err
	}
	return d.WrapErr(err)
}

// moduleNames lists the modules of a namespace, for errors.
func moduleNames(namespace string) string {
	var out []string
	for _, m := range caddy.GetModules(namespace) {
		out = append(out, m.ID.Name())
	}
	if len(out) == 0 {
		return "none in this build"
	}
	return strings.Join(out, ", ")
}
