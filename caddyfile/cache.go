package caddyfile

import (
	"strconv"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"

	"github.com/caddy-llm/gateway/internal/options"
	"github.com/caddy-llm/gateway/llmroute"
	"github.com/caddy-llm/gateway/llmroute/cache"
	"github.com/caddy-llm/gateway/llmroute/spec"
)

// parseCache reads the cache of the app:
//
//	cache {
//		store           <module> ...
//		ttl             <duration>
//		scope           client|workload|route|everyone
//		single_flight   on|off
//		max_temperature <number>
//	}
//
// The options set the fields of cache.Config.
func parseCache(d *caddyfile.Dispenser, app *llmroute.App) error {
	if d.NextArg() {
		return d.Errf("cache takes no argument, got %s; its options go into a block", options.Quoted(d.Val()))
	}
	if app.Cache != nil {
		return d.Errf("cache is given twice; a gateway has only one")
	}
	app.Cache = new(cache.Config)
	return options.Parse(d, "cache", cacheOptions(app.Cache))
}

func cacheOptions(c *cache.Config) []options.Option {
	return []options.Option{
		{Name: "store", Block: true, Parse: func(d *caddyfile.Dispenser) error { return parseModule(d, "store", cache.StoreNamespace, &c.StoreRaw) }},
		{Name: "ttl", Parse: options.Value(&c.TTL, expectedTTL, parseTTL)},
		{Name: "scope", Parse: options.Value(&c.Scope, expectedScope, parseScope)},
		{Name: "single_flight", Parse: options.Value(&c.SingleFlight, "on or off", options.Pointer(options.OnOff))},
		{Name: "max_temperature", Parse: options.Value(&c.MaxTemperature, "a number from 0 to 2", options.Pointer(parseTemperature))},
	}
}

// parseRuleCache reads the cache of a rule, whose block may be left out:
//
//	cache {
//		ttl   <duration>
//		scope client|workload|route|everyone
//	}
//
// The options set the fields of cache.Rule.
func parseRuleCache(d *caddyfile.Dispenser, rule *spec.Rule) error {
	if d.NextArg() {
		return d.Errf("cache takes no argument, got %s; its options go into a block", options.Quoted(d.Val()))
	}
	if rule.Cache != nil {
		return d.Errf("cache is given twice; keep one")
	}
	rule.Cache = new(cache.Rule)
	return options.Parse(d, "cache", ruleCacheOptions(rule.Cache))
}

func ruleCacheOptions(c *cache.Rule) []options.Option {
	return []options.Option{
		{Name: "ttl", Parse: options.Value(&c.TTL, expectedTTL, parseTTL)},
		{Name: "scope", Parse: options.Value(&c.Scope, expectedScope, parseScope)},
	}
}

const (
	expectedTTL   = "how long responses may be used, such as 1h"
	expectedScope = "client, workload, route or everyone"
)

func parseTTL(s string) (caddy.Duration, error) {
	ttl, err := options.Duration(s)
	if err != nil || ttl <= 0 || (&cache.Rule{TTL: ttl}).Check() != nil {
		return 0, options.ErrUnexpected
	}
	return ttl, nil
}

func parseScope(s string) (cache.Scope, error) {
	word, err := options.OneOf(cache.Scopes...)(s)
	return cache.Scope(word), err
}

func parseTemperature(s string) (float64, error) {
	t, err := strconv.ParseFloat(s, 64)
	if err != nil || (&cache.Config{MaxTemperature: &t}).Check() != nil {
		return 0, options.ErrUnexpected
	}
	return t, nil
}
