package openai

import (
	"fmt"
	"net/url"
	"strings"

	"github.com/caddyserver/caddy/v2"

	"github.com/caddy-llm/gateway/llmprovider"
	"github.com/caddy-llm/gateway/llmprovider/kind"
	"github.com/caddy-llm/gateway/llmprovider/upstream"
)

// Provision checks the configuration and sets up the
// transport. It does not connect.
func (p *Provider) Provision(ctx caddy.Context) error { return p.ProvisionAs(ctx, p.Traits()) }

// ProvisionAs is Provision for a kind that embeds this one, with the traits of that kind.
func (p *Provider) ProvisionAs(ctx caddy.Context, t kind.Traits) error {
	if err := p.Base.Provision(ctx, t); err != nil {
		return err
	}
	var err error
	if p.urls, err = p.endpoints(t); err != nil {
		return err
	}
	_, named := p.APIs[apiResponses]
	p.speaksResponses = named || p.AllResponses || p.ServerAddress() == officialHost || p.urls[""] == nil
	if err := p.furtherAPIs(); err != nil {
		return err
	}
	// Chat completions are what all models and accounts have. In the Responses API encrypted
	// reasoning is bound to one organization, and summaries need one that is verified: that
	// it is to be used is for the configuration to say, also at OpenAI itself.
	// Where only some models may have it (AllResponses), it is not used either.
	p.prefersResponses = (named || p.urls[""] == nil) && !p.AllResponses && p.urls[llmprovider.ResponsesSuffix] != nil
	return nil
}

// officialHost is the host of OpenAI itself.
const officialHost = "api.openai.com"

// The names of further APIs.
const (
	apiMessages  = "messages"
	apiResponses = "responses"
)

// furtherAPIs adds the endpoints of the further APIs.
func (p *Provider) furtherAPIs() error {
	for name, api := range p.APIs {
		suffix, more := llmprovider.MessagesSuffix, []string{"/count_tokens"}
		if name == apiResponses {
			suffix, more = llmprovider.ResponsesSuffix, []string{"/input_tokens", "/compact"}
		}
		target := kind.Sibling(p.urls[""], llmprovider.ChatSuffix, suffix)
		if api.Path != "" {
			u, err := upstream.ParsePath(api.Path)
			if err != nil {
				return err
			}
			target = p.URL(u)
		}
		if target == nil {
			return fmt.Errorf("api %s: the provider's path does not end in %s, so the path of this API cannot be derived; write its path", name, llmprovider.ChatSuffix)
		}
		p.urls[suffix] = target
		for _, end := range more {
			delete(p.urls, suffix+end)
			if u := kind.Sibling(target, suffix, suffix+end); u != nil {
				p.urls[suffix+end] = u
			}
		}
	}
	return nil
}

// endpoints works out where the provider's endpoints are, with the traits of its kind.
func (p *Provider) endpoints(t kind.Traits) (map[string]*url.URL, error) {
	chat, err := p.MainURL(t)
	if err != nil {
		return nil, err
	}
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
