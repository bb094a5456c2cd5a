package caddyfile

import (
	"strings"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"

	"github.com/caddy-llm/gateway/internal/options"
)

// parseMatch reads one set of matchers, in one of these forms:
//
//	match @<name>
//	match <path>|*
//	match <matcher> ...
//	match {
//		<matcher> ...
//	}
func (r *ruleBlock) parseMatch(d *caddyfile.Dispenser) error {
	segment := d.NextSegment()
	set, isToken, err := r.matcherToken(caddyfile.NewDispenser(segment))
	if err != nil {
		return err
	}
	if !isToken {
		if set, err = nestedMatchers(segment); err != nil {
			return err
		}
	}
	r.MatcherSetsRaw = append(r.MatcherSetsRaw, set)
	return nil
}

// matcherToken reads the forms that directives have as their matcher. It
// returns false for the others.
func (r *ruleBlock) matcherToken(d *caddyfile.Dispenser) (caddy.ModuleMap, bool, error) {
	d.Next() // match
	if !d.NextArg() || d.Token().Quoted() {
		return nil, false, nil
	}
	token := d.Val()
	d.Prev()
	set, ok, err := r.helper.WithDispenser(d).MatcherToken()
	switch {
	case err != nil:
		return nil, false, d.Errf("matcher %s is not defined; define it in this site, such as: %[1]s header X-Team a", token)
	case !ok:
		return nil, false, nil
	case d.Next():
		return nil, false, d.Errf("unexpected %s after match %s; write a match line for each alternative, or one block for matchers that must all match", options.Quoted(d.Val()), token)
	case set == nil: // everything
		set = caddy.ModuleMap{}
	}
	return set, true, nil
}

// nestedMatchers reads matchers by their names.
func nestedMatchers(segment caddyfile.Segment) (caddy.ModuleMap, error) {
	const namespace = "http.matchers"
	d := caddyfile.NewDispenser(segment)
	d.Next() // match
	at := options.Here(d)
	for nesting := d.Nesting(); d.NextArg() || d.NextBlock(nesting); {
		if d.Token().Quoted() {
			continue // an expression
		}
		name := d.Val()
		if strings.HasPrefix(name, "@") || strings.HasPrefix(name, "/") {
			return nil, d.Errf("%s cannot be combined with other matchers; write it on a separate match line", name)
		}
		if _, err := caddy.GetModule(namespace + "." + name); err != nil {
			return nil, d.Errf("unknown matcher %s; expected one of %s, or @name", options.Quoted(name), options.ModuleNames(namespace))
		}
		d.NextSegment()
	}
	d.Reset()
	d.Next()
	set, err := caddyhttp.ParseCaddyfileNestedMatcherSet(d)
	if err != nil {
		return nil, options.Located(at, err)
	}
	if len(set) == 0 {
		return nil, at.Errf("match needs a matcher, such as: match header user-type subscriber; a rule for all requests has no match")
	}
	return set, nil
}
