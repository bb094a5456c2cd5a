package openai

import (
	"net/url"
	"strings"

	"github.com/caddyserver/caddy/v2"

	"github.com/caddy-llm/gateway/llmprovider"
	"github.com/caddy-llm/gateway/llmprovider/kind"
)

// Provision checks the configuration and acquires connections. It contacts
// nobody.
func (p *Provider) Provision(ctx caddy.Context) error {
	if err := p.Base.Provision(ctx, p.Traits()); err != nil {
		return err
	}
	var err error
	p.urls, err = p.endpoints()
	return err
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
	if strings.HasSuffix(named, llmprovider.ChatSuffix) {
		urls := map[string]*url.URL{"": chat}
		for _, suffix := range append(llmprovider.Suffixes(), llmprovider.ModelsSuffix) {
			urls[suffix] = kind.Sibling(chat, llmprovider.ChatSuffix, suffix)
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
