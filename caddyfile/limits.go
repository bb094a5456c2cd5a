package caddyfile

import (
	"encoding/json"
	"math"

	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"

	"github.com/caddy-llm/gateway/internal/options"
	"github.com/caddy-llm/gateway/llmroute"
	"github.com/caddy-llm/gateway/llmroute/limit"
)

// parseLimits reads the block of limits. Given more than once, the limits add up:
//
//	limits {
//		store <module> ...
//		limit <name> { ... }
//	}
func parseLimits(d *caddyfile.Dispenser, app *llmroute.App) error {
	if d.NextArg() {
		return d.Errf("limits takes no argument, got %s; limits go into its block: limit NAME { ... }", options.Quoted(d.Val()))
	}
	if app.Limits == nil {
		app.Limits = new(limit.Config)
	}
	return options.Parse(d, "limits", limitsOptions(app.Limits))
}

func limitsOptions(c *limit.Config) []options.Option {
	return []options.Option{
		{Name: "store", Block: true, Parse: func(d *caddyfile.Dispenser) error { return parseModule(d, "store", limit.StoreNamespace, &c.StoreRaw) }},
		{Name: "limit", Block: true, Parse: func(d *caddyfile.Dispenser) error { return parseLimit(d, c) }},
	}
}

// parseLimit reads:
//
//	limit <name> {
//		key <kind...> [require]
//		requests|tokens|input_tokens|output_tokens|cost <amount> per <window> [burst <amount>] [timezone <name>]
//		concurrent       <number>
//		rules            <names...>
//		providers        <names...>
//		models           <patterns...>
//		match            <matcher> ...
//		estimate         typical|strict
//		max_output       <tokens>
//		on_exceeded      finish|cut
//		on_store_failure deny|allow|share
//		shadow
//		tier
//	}
//
// A kind is client, workload, namespace, provider, model, rule, ip, header <name> or
// claim <name>. All options set the fields of limit.Definition.
func parseLimit(d *caddyfile.Dispenser, c *limit.Config) error {
	at := options.Here(d)
	if !d.NextArg() {
		return d.Errf("limit needs a name; expected: limit NAME { ... }")
	}
	def := &limit.Definition{Name: d.Val()}
	if d.NextArg() {
		return d.Errf("limit takes one name, got %s as well; its options go into a block", options.Quoted(d.Val()))
	}
	for _, other := range c.Limits {
		if other.Name == def.Name {
			return d.Errf("limit %s is defined twice; give each limit a different name", options.Quoted(def.Name))
		}
	}
	if err := options.Parse(d, "limit", limitOptions(def)); err != nil {
		return err
	}
	if err := def.Check(); err != nil {
		return at.Errf("limit %s: %w", options.Quoted(def.Name), err)
	}
	c.Limits = append(c.Limits, def)
	return nil
}

func limitOptions(def *limit.Definition) []options.Option {
	list := []options.Option{
		{Name: "key", Parse: func(d *caddyfile.Dispenser) error { return parseLimitKey(d, def) }},
	}
	for _, unit := range limit.Units {
		list = append(list, options.Option{Name: string(unit), Parse: func(d *caddyfile.Dispenser) error { return parseAmount(d, def, unit) }})
	}
	return append(list,
		options.Option{Name: "concurrent", Parse: options.Value(&def.Concurrent, "a number of open requests, 1 or more", parseInt64(1<<30))},
		options.Option{Name: "rules", Parse: texts(&def.Rules)},
		options.Option{Name: "providers", Parse: texts(&def.Providers)},
		options.Option{Name: "models", Parse: texts(&def.Models)},
		options.Option{Name: "match", Block: true, Parse: func(d *caddyfile.Dispenser) error { return parseLimitMatch(d, def) }},
		options.Option{Name: "estimate", Parse: options.Value(&def.Estimate, "typical or strict", options.OneOf(limit.EstimateTypical, limit.EstimateStrict))},
		options.Option{Name: "max_output", Parse: options.Value(&def.MaxOutput, "a number of tokens, 1 or more", parseInt64(1<<30))},
		options.Option{Name: "on_exceeded", Parse: options.Value(&def.OnExceeded, "finish or cut", options.OneOf(limit.OnExceededFinish, limit.OnExceededCut))},
		options.Option{Name: "on_store_failure", Parse: options.Value(&def.OnStoreFailure, "deny, allow or share", options.OneOf(limit.OnFailureDeny, limit.OnFailureAllow, limit.OnFailureShare))},
		options.Option{Name: "shadow", Parse: options.Presence(&def.Shadow)},
		options.Option{Name: "tier", Parse: options.Presence(&def.Tier)},
	)
}

// parseLimitKey reads: key <kind...> [require]
func parseLimitKey(d *caddyfile.Dispenser, def *limit.Definition) error {
	if def.Key != nil {
		return d.Errf("key is given twice; write all kinds on one line")
	}
	for d.NextArg() {
		word := d.Val()
		if word == "require" && len(def.Key) > 0 && !def.Require {
			def.Require = true
			continue
		}
		if def.Require {
			return d.Errf("unexpected %s after require; it ends the line", options.Quoted(word))
		}
		if word == "header" || word == "claim" {
			if !d.NextArg() {
				return d.Errf("%s needs a name, such as: key header X-Team", word)
			}
			word += " " + d.Val()
		}
		k, err := limit.ParseKey(word)
		if err != nil {
			return d.WrapErr(err)
		}
		def.Key = append(def.Key, k)
	}
	if len(def.Key) == 0 {
		return d.Errf("key needs a kind; expected some of %s", limit.KeyKinds)
	}
	return nil
}

// parseAmount reads: <unit> <amount> per <window> [burst <amount>] [timezone <name>]
func parseAmount(d *caddyfile.Dispenser, def *limit.Definition, unit limit.Unit) error {
	at := options.Here(d)
	args := d.RemainingArgs()
	if len(args) < 3 || args[1] != "per" || len(args)%2 == 0 {
		return d.Errf("%s takes an amount and a window; expected: %[1]s N per WINDOW [burst N] [timezone NAME], such as %[1]s %[2]s", unit, amountExample(unit))
	}
	a := limit.Amount{Unit: unit, Amount: json.Number(args[0]), Window: args[2]}
	for rest := args[3:]; len(rest) > 0; rest = rest[2:] {
		switch {
		case rest[0] == "burst" && a.Burst == "":
			a.Burst = json.Number(rest[1])
		case rest[0] == "timezone" && a.Timezone == "":
			a.Timezone = rest[1]
		default:
			return at.Errf("unexpected %s after %s per %s; expected burst N or timezone NAME, each once", options.Quoted(rest[0]), unit, options.Quoted(a.Window))
		}
	}
	if err := a.Check(); err != nil {
		return at.WrapErr(err)
	}
	def.Amounts = append(def.Amounts, a)
	return nil
}

func amountExample(unit limit.Unit) string {
	if unit == limit.UnitCost {
		return "500 per month"
	}
	return "1000 per 1m"
}

// parseLimitMatch reads one set of matchers, by their names.
func parseLimitMatch(d *caddyfile.Dispenser, def *limit.Definition) error {
	set, err := nestedMatchers(d.NextSegment())
	if err != nil {
		return err
	}
	def.MatcherSetsRaw = append(def.MatcherSetsRaw, set)
	return nil
}

// parseInt64 returns a parse function for whole numbers from 1 to most.
func parseInt64(most int64) func(string) (int64, error) {
	parse := options.Number(1, int(min(most, math.MaxInt)))
	return func(s string) (int64, error) {
		n, err := parse(s)
		return int64(n), err
	}
}
