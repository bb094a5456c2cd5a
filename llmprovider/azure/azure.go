// Package azure is the provider kind azure: Azure OpenAI and Microsoft Foundry. It imports
// kind openai, whose endpoints it has at paths of its own, what clouds share, and
// Microsoft's library for tokens of Entra ID: the smaller build is without it. Start at
// Provider, then entra.go.
package azure

import (
	"cmp"
	"errors"
	"fmt"
	"net/url"
	"strings"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
	"go.uber.org/zap"

	"github.com/caddy-llm/gateway/internal/options"
	"github.com/caddy-llm/gateway/llmprovider"
	"github.com/caddy-llm/gateway/llmprovider/cloud"
	"github.com/caddy-llm/gateway/llmprovider/kind"
	"github.com/caddy-llm/gateway/llmprovider/openai"
)

func init() {
	caddy.RegisterModule(Provider{})
}

const (
	// prefix is where Azure has OpenAI's API, and v1Path the chat completions of the API
	// without versions:
	// https://learn.microsoft.com/azure/ai-foundry/openai/api-version-lifecycle.
	prefix = "/openai"
	v1Path = prefix + "/v1" + llmprovider.ChatSuffix

	// foundrySuffix is what the hosts of Foundry end in, which have Anthropic's API too.
	foundrySuffix = ".services.ai.azure.com"
	messagesPath  = "/anthropic/v1" + llmprovider.MessagesSuffix

	apiMessages = "messages"
)

// Provider is a resource of Azure OpenAI or Microsoft Foundry. The model of a request is
// the name of a deployment. Its host is required, such as `NAME.openai.azure.com`; the
// path of chat completions is `/openai/v1/chat/completions` unless configured. The key is
// sent as `api-key`; without one, the token that Entra gives. A host that ends in
// `.services.ai.azure.com` has the API `messages` as well, at `/anthropic/v1/messages`.
type Provider struct {
	openai.Provider

	// The version of the API before v1, such as `2024-10-21`. With it, requests go to
	// `/openai/deployments/MODEL/…?api-version=…`, and `path` is left out. Default: v1,
	// which has no versions.
	APIVersion string `json:"api_version,omitempty"`

	// Where Microsoft Entra ID tokens come from. They are sent when there is no API key.
	// Default: no tokens.
	Entra Entra `json:"entra,omitzero"`
}

// CaddyModule returns the Caddy module information.
func (Provider) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{
		ID:  "llm.providers.azure",
		New: func() caddy.Module { return new(Provider) },
	}
}

// Traits implements kind.Kind.
func (p *Provider) Traits() kind.Traits {
	own := p.Provider.Traits()
	return kind.Traits{
		Endpoint: own.Endpoint, DefaultPath: v1Path, KeyHeader: "Api-Key", APIs: []string{apiMessages},
		Options: append(own.Options,
			kind.Option{Name: "api_version", Parse: options.Value(&p.APIVersion, "a version such as 2024-10-21", parseVersion)},
			kind.Option{Name: "entra", Block: true, Parse: p.Entra.parse},
		),
		ManifestField: "azureConfig",
		ManifestOptions: map[string]any{
			"apiVersion": &p.APIVersion, "entra": &p.Entra.Method, "entra.tenantID": &p.Entra.TenantID, "entra.clientID": &p.Entra.ClientID,
			"entra.scope": &p.Entra.Scope, "entra.clientSecretRef": &p.Entra.Secret,
		},
		AmbientHosts: azureHosts, Check: p.check,
	}
}

// azureHosts are Azure's own hosts.
var azureHosts = []string{
	"*.openai.azure.com", "*" + foundrySuffix, "*.cognitiveservices.azure.com", "*.openai.azure.us", "*.services.ai.azure.us", "*.cognitiveservices.azure.us",
	"*.openai.azure.cn", "*.cognitiveservices.azure.cn",
}

// UsesAmbient implements kind.Ambient.
func (p *Provider) UsesAmbient() bool { return p.Entra.Method != "" && !p.Entra.own() }

func parseVersion(s string) (string, error) { return s, checkVersion(s) }

func checkVersion(version string) error {
	if version != "" && strings.Trim(version, "abcdefghijklmnopqrstuvwxyz0123456789-") != "" {
		return errors.New("this is not an API version; write one such as 2024-10-21")
	}
	return nil
}

// UnmarshalCaddyfile reads the provider's block.
func (p *Provider) UnmarshalCaddyfile(d *caddyfile.Dispenser) error {
	return p.UnmarshalBlock(d, p.Traits())
}

// check reports what is wrong with the settings, if anything.
func (p *Provider) check() error {
	if p.APIVersion != "" && p.Path != "" {
		return errors.New("path and api_version are both set: with an API version, requests go to the path of a deployment; remove one of them")
	}
	if err := checkVersion(p.APIVersion); err != nil {
		return fmt.Errorf("api_version: %w", err)
	}
	return p.Entra.check()
}

// Provision checks the configuration and sets up the transport. It does not connect.
func (p *Provider) Provision(ctx caddy.Context) error {
	host := strings.ToLower(p.Host)
	if p.Entra.Method != "" {
		fetch, ref, err := p.Entra.source(host)
		if err != nil {
			return err
		}
		p.Account = cloud.NewBearer(ref, fetch, ctx.Logger().With(zap.String("host", p.Host)))
	}
	if api := p.APIs[apiMessages]; api.Path == "" && strings.HasSuffix(host, foundrySuffix) {
		// The only further API of the kind. The configuration's map is not changed.
		p.APIs = map[string]kind.API{apiMessages: {Path: messagesPath, KeyHeader: cmp.Or(api.KeyHeader, "x-api-key")}}
	}
	p.AllResponses = true
	t := p.Traits()
	if p.APIVersion != "" {
		t.DefaultPath = prefix + llmprovider.ChatSuffix + "?api-version=" + p.APIVersion
		p.Place = place
	}
	return p.ProvisionAs(ctx, t)
}

// place puts the deployment into a path, where it is to be:
// https://learn.microsoft.com/azure/ai-foundry/openai/reference.
func place(u *url.URL, e llmprovider.Endpoint, model string) (*url.URL, *llmprovider.Error) {
	switch e.Operation {
	case llmprovider.Responses, llmprovider.StoredResponse, llmprovider.CountTokens, llmprovider.ListModels:
		return u, nil
	}
	if refused := kind.NeedModel(e.API, model, "the name of a deployment"); refused != nil {
		return nil, refused
	}
	to := *u
	to.Path = prefix
	to = *llmprovider.Below(&to, "/deployments/"+url.PathEscape(model)+strings.TrimPrefix(u.Path, prefix), "")
	return &to, nil
}

// Copy implements llmprovider.Provider.
func (p *Provider) Copy() llmprovider.Provider {
	out := &Provider{APIVersion: p.APIVersion, Entra: p.Entra}
	out.Base, out.KeepStreamOptions = p.Unprovisioned(), p.KeepStreamOptions
	return out
}

// Interface guards
var (
	_ kind.Kind               = (*Provider)(nil)
	_ kind.Ambient            = (*Provider)(nil)
	_ llmprovider.ModelLister = (*Provider)(nil)
	_ caddy.Provisioner       = (*Provider)(nil)
	_ caddy.CleanerUpper      = (*Provider)(nil)
	_ caddyfile.Unmarshaler   = (*Provider)(nil)
)
