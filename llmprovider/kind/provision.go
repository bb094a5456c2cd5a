package kind

import (
	"encoding/json"
	"errors"
	"fmt"
	"strconv"

	"github.com/caddyserver/caddy/v2"

	"github.com/caddy-llm/gateway/llmprovider"
	"github.com/caddy-llm/gateway/llmprovider/dialect"
	"github.com/caddy-llm/gateway/llmprovider/media"
	"github.com/caddy-llm/gateway/llmprovider/upstream"
)

// ready is what Provision makes of the configuration.
type ready struct {
	base  *Filled
	rules map[string]*Filled

	habits *dialect.Habits
	media  *media.Fetcher // nil unless configured
}

// Filled is a Config laid over its default, in the forms that requests need.
type Filled struct {
	Model      *llmprovider.FixedModel // nil for the client's
	Stream     *bool                   // nil for the client's
	StreamJSON []byte
	Auth       llmprovider.Authorizer // nil without a key and an account
	xAPIKey    llmprovider.Authorizer // the same, as X-Api-Key
	MaxTokens  int                    // for a request that names none, if the API needs one
}

// Provision checks the configuration and sets up the
// transport. It does not connect.
func (b *Base) Provision(ctx caddy.Context, t Traits) error {
	if b.Host == "" {
		b.Host = t.Host
	}
	if t.Check != nil {
		if err := t.Check(); err != nil {
			return err
		}
	}
	if err := b.Connection.Provision(ctx); err != nil {
		return err
	}
	if err := b.checkAPIs(&t); err != nil {
		return err
	}
	if err := b.FetchMedia.Check(&t); err != nil {
		return fmt.Errorf("fetch_media: %w", err)
	}
	r := &ready{media: newFetcher(b.FetchMedia)}
	var err error
	if r.base, err = b.fill(ctx, &t, &Filled{MaxTokens: dialect.DefaultMaxOutput, Auth: b.Account, xAPIKey: b.Account}, &b.Config); err != nil {
		return err
	}
	r.rules = make(map[string]*Filled, len(b.Rules))
	for name, config := range b.Rules {
		if name == "" { // as which rules are known that get the defaults
			return errors.New("rules: a rule's name is empty; write its name, or move the settings into config")
		}
		if r.rules[name], err = b.fill(ctx, &t, r.base, &config); err != nil {
			return fmt.Errorf("for %s: %w", name, err)
		}
	}
	if r.habits, err = dialect.ProfilesIn(ctx).Find(b.Profile, b.Host); err != nil {
		return err
	}
	b.ready = r
	return nil
}

// fill lays config over base.
func (b *Base) fill(ctx caddy.Context, t *Traits, base *Filled, config *Config) (*Filled, error) {
	out := *base
	if config.Model != nil {
		out.Model = llmprovider.NewFixedModel(*config.Model)
	}
	if config.Stream != nil {
		out.Stream = config.Stream
		out.StreamJSON = strconv.AppendBool(nil, *config.Stream)
	}
	switch {
	case config.MaxTokens == nil:
	case !t.TakesMaxTokens:
		return nil, errors.New("max_tokens: providers of this kind do not have this setting; leave it out, and the client's value is sent")
	case *config.MaxTokens < 1:
		return nil, errors.New("max_tokens is not positive; write a number of tokens, such as 8192")
	default:
		out.MaxTokens = *config.MaxTokens
	}
	if config.Key == nil && config.APIKey == nil {
		return &out, nil
	}
	secret := config.Key
	if secret == nil && *config.APIKey != "" {
		var err error
		if secret, err = upstream.ParseSecret("api_key", *config.APIKey); err != nil {
			return nil, err
		}
	}
	out.Auth, out.xAPIKey = b.Key(ctx, t.KeyHeader, t.KeyPrefix, secret), upstream.NewKey("X-Api-Key", "", secret)
	if out.Auth == nil {
		out.Auth, out.xAPIKey = b.Account, b.Account
	}
	return &out, nil
}

// Keyed reports whether the configuration has an API key for all requests.
func (b *Base) Keyed() bool {
	has := func(c *Config) bool { return c.Key != nil || c.APIKey != nil && *c.APIKey != "" }
	if !has(&b.Config) {
		return false
	}
	for _, c := range b.Rules {
		if c.Key == nil && c.APIKey != nil && *c.APIKey == "" {
			return false
		}
	}
	return true
}

// For returns the settings for requests that matched the rule.
func (b *Base) For(rule string) *Filled {
	if f := b.ready.rules[rule]; f != nil {
		return f
	}
	return b.ready.base
}

// RequestModel implements llmprovider.Provider.
func (b *Base) RequestModel(in *llmprovider.Inbound, s llmprovider.Settings) (model string, fixed bool) {
	if m := b.fixedModel(in, s); m != nil {
		return m.Name, true
	}
	return in.Model, false
}

// RequestStream implements llmprovider.Streamer.
func (b *Base) RequestStream(in *llmprovider.Inbound, s llmprovider.Settings) bool {
	if f := b.For(s.Rule); in.IsJSON() && in.Endpoint.TakesStream() && f.Stream != nil {
		return *f.Stream
	}
	return in.Stream
}

// fixedModel is the configured model of a request: the backend's goes before the one
// for the rule, which goes before the provider's. Nil for the client's own.
func (b *Base) fixedModel(in *llmprovider.Inbound, s llmprovider.Settings) *llmprovider.FixedModel {
	switch {
	case !in.Endpoint.TakesModel():
		return nil
	case s.Model != nil:
		return s.Model
	}
	return b.For(s.Rule).Model
}

// Outgoing begins the provider's request: model, stream, credential, and the endpoint of
// a pool. The kind adds where it goes.
func (b *Base) Outgoing(in *llmprovider.Inbound, s llmprovider.Settings) llmprovider.Outgoing {
	f := b.For(s.Rule)
	out := llmprovider.Outgoing{Model: in.Model, Stream: in.Stream, Auth: f.Auth, Address: s.Address}
	fixed := b.fixedModel(in, s)
	if fixed != nil {
		out.Model, out.FixedModel = fixed.Name, true
	}
	if !in.IsJSON() {
		return out
	}
	switch {
	case fixed != nil:
		out.Edits.Model = fixed.JSON
	case in.Endpoint.Model != "" && in.Endpoint.API != llmprovider.GeminiAPI: // the body may name another one, which nothing has judged
		out.Edits.Model, _ = json.Marshal(in.Endpoint.Model) // a string always marshals
	}
	if in.Endpoint.TakesStream() && f.Stream != nil {
		out.Edits.Stream, out.Stream = f.StreamJSON, *f.Stream
		out.StreamForced = in.Stream && !out.Stream
	}
	return out
}
