package cache

import (
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/caddyserver/caddy/v2"
)

const (
	// defaultTTL is how long a response may be used unless configured.
	defaultTTL = time.Hour
	// MaxTTL bounds what may be configured, so that times cannot overflow.
	MaxTTL = 10 * 365 * 24 * time.Hour
	// maxTemperature bounds Config.MaxTemperature.
	maxTemperature = 2
)

// Scope says which clients share responses.
type Scope string

// The scopes.
const (
	// Client shares nothing: a client gets what it was given itself.
	Client Scope = "client"
	// Workload shares among the clients of one sidecar or gateway workload.
	Workload Scope = "workload"
	// Route shares among the clients that call one address and match one rule.
	Route Scope = "route"
	// Everyone shares among all.
	Everyone Scope = "everyone"
)

// Scopes are all scopes, the narrowest first.
var Scopes = []string{string(Client), string(Workload), string(Route), string(Everyone)}

// Config is the cache of a gateway.
type Config struct {
	// Where responses are kept. Default: `memory`, with 256 MiB.
	StoreRaw json.RawMessage `json:"store,omitempty" caddy:"namespace=llm.cache_stores inline_key=store"`

	// How long a response may be used after it was received. Default: 1h.
	TTL caddy.Duration `json:"ttl,omitempty"`

	// Which clients share responses. `client`: none do; a client is who the virtual key
	// belongs to, with the issuer and the subject of a verified token. `workload`: those of one workload, by its name and
	// namespace. `route`: those that call the same host, port and path, match the same
	// rule, and are known by the same keys and issuer of tokens, if by any. `everyone`: all of
	// them. A request that lacks what the scope needs is not cached. Default: `client`.
	Scope Scope `json:"scope,omitempty"`

	// Whether, of several equal requests that arrive together, only one is sent to the
	// provider while the others wait for its response. Default: true.
	SingleFlight *bool `json:"single_flight,omitempty"`

	// The highest temperature of requests that are cached. One that names none counts as
	// 1, the default of most providers. Default: any temperature.
	MaxTemperature *float64 `json:"max_temperature,omitempty"`
}

// Rule is a routing rule's settings for the cache.
type Rule struct {
	// How long responses may be used. Default: the setting of the app's cache.
	TTL caddy.Duration `json:"ttl,omitempty"`

	// Which clients share responses. Default: the setting of the app's cache.
	Scope Scope `json:"scope,omitempty"`

	// Policy is the object of a source that has the rule use the cache, as namespace/name,
	// empty without one.
	Policy string `json:"-"`
}

// Check reports what is wrong with the configuration, if anything.
func (c *Config) Check() error {
	if t := c.MaxTemperature; t != nil && !(*t >= 0 && *t <= maxTemperature) {
		return fmt.Errorf("max_temperature is %v; write a number from 0 to %d", *t, maxTemperature)
	}
	return errors.Join(checkTTL(c.TTL), checkScope(c.Scope))
}

// joins reports whether equal requests wait for one.
func (c *Config) joins() bool { return c.SingleFlight == nil || *c.SingleFlight }

// Check reports what is wrong with the rule's cache, if anything.
func (r *Rule) Check() error { return errors.Join(checkTTL(r.TTL), checkScope(r.Scope)) }

func checkTTL(ttl caddy.Duration) error {
	if ttl < 0 || time.Duration(ttl) > MaxTTL {
		return fmt.Errorf("ttl is %s; write a duration above 0, such as 1h", time.Duration(ttl))
	}
	return nil
}

func checkScope(s Scope) error {
	switch s {
	case "", Client, Workload, Route, Everyone:
		return nil
	}
	return fmt.Errorf("scope is %q; expected one of client, workload, route, everyone", string(s))
}
