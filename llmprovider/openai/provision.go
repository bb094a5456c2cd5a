package openai

import (
	"encoding/json"
	"fmt"
	"net/url"
	"strconv"
	"strings"

	"github.com/caddyserver/caddy/v2"

	"github.com/caddy-llm/gateway/llmprovider"
)

// ready is what Provision makes of the configuration.
type ready struct {
	base  *filled
	rules map[string]*filled
	urls  map[string]*url.URL // by endpoint suffix; "" is chat completions, if there are any
}

// filled is one ModelConfig laid over its default, in the forms that requests
// need.
type filled struct {
	model      string
	modelJSON  []byte
	stream     *bool
	streamJSON []byte
	auth       llmprovider.Authorizer // nil without a key
}

// Provision checks the configuration and acquires connections. It contacts
// nobody.
func (p *Provider) Provision(ctx caddy.Context) error {
	if err := p.Connection.Provision(ctx); err != nil {
		return err
	}
	r := new(ready)
	var err error
	if r.base, err = p.fill(ctx, &filled{}, p.Config); err != nil {
		return err
	}
	r.rules = make(map[string]*filled, len(p.Rules))
	for name, config := range p.Rules {
		if r.rules[name], err = p.fill(ctx, r.base, config); err != nil {
			return fmt.Errorf("for %s: %w", name, err)
		}
	}
	if r.urls, err = p.endpoints(); err != nil {
		return err
	}
	p.ready = r
	return nil
}

// endpoints works out where the provider's endpoints are.
func (p *Provider) endpoints() (map[string]*url.URL, error) {
	path := p.Path
	if path == "" {
		path = llmprovider.DefaultPath
	}
	chat, err := llmprovider.ParsePath(path)
	if err != nil {
		return nil, err
	}
	chat = p.URL(chat)
	named := strings.TrimSuffix(chat.Path, "/")
	if base, ok := strings.CutSuffix(named, llmprovider.ChatSuffix); ok {
		urls := map[string]*url.URL{"": chat}
		for _, suffix := range append(llmprovider.Suffixes(), llmprovider.ModelsSuffix) {
			u := *chat
			u.Path = base + suffix
			if u.RawPath != "" { // how the base path was escaped
				u.RawPath = strings.TrimSuffix(strings.TrimSuffix(u.RawPath, "/"), llmprovider.ChatSuffix) + suffix
			}
			urls[suffix] = &u
		}
		return urls, nil
	}
	// A provider with nothing else, such as embeddings alone. It has no chat completions:
	// policies judge a call of them as /v1/chat/completions.
	for _, suffix := range append(llmprovider.Suffixes(), llmprovider.ModelsSuffix) {
		if strings.HasSuffix(named, suffix) {
			return map[string]*url.URL{suffix: chat}, nil
		}
	}
	return map[string]*url.URL{"": chat}, nil
}

// fill lays config over base.
func (p *Provider) fill(ctx caddy.Context, base *filled, config ModelConfig) (*filled, error) {
	out := *base
	if config.Model != nil {
		out.model, out.modelJSON = *config.Model, nil
		if out.model != "" {
			data, err := json.Marshal(out.model)
			if err != nil {
				return nil, fmt.Errorf("model: %w", err)
			}
			out.modelJSON = data
		}
	}
	if config.Stream != nil {
		out.stream = config.Stream
		out.streamJSON = strconv.AppendBool(nil, *config.Stream)
	}
	if config.Key == nil && config.APIKey == nil {
		return &out, nil
	}
	secret := config.Key
	if secret == nil && *config.APIKey != "" {
		var err error
		if secret, err = llmprovider.ParseSecret("api_key", *config.APIKey); err != nil {
			return nil, err
		}
	}
	out.auth = p.Key(ctx, "Authorization", "Bearer ", secret)
	return &out, nil
}
