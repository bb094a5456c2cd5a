package azure

import (
	"cmp"
	"errors"
	"fmt"
	"os"
	"strings"

	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"

	"github.com/caddy-llm/gateway/internal/options"
	"github.com/caddy-llm/gateway/llmprovider/cloud"
	"github.com/caddy-llm/gateway/llmprovider/upstream"
)

// The ways to a token.
const (
	methodAuto     = "auto"
	methodWorkload = "workload_identity"
	methodManaged  = "managed_identity"
	methodSecret   = "client_secret"
)

// Entra says where tokens of Microsoft Entra ID come from.
type Entra struct {
	// How they are obtained: `workload_identity` (a Kubernetes service account's token, in a
	// file, is exchanged), `managed_identity` (of the machine or the app service),
	// `client_secret` (of an application), or `auto`: with a client secret that, else
	// workload identity if the environment has `AZURE_FEDERATED_TOKEN_FILE`, else managed
	// identity. Required for tokens.
	Method string `json:"method,omitempty"`

	// The tenant's ID. Default: the environment's `AZURE_TENANT_ID`.
	TenantID string `json:"tenant_id,omitempty"`

	// The ID of the application, or of a managed identity that was assigned by a user.
	// Default: the environment's `AZURE_CLIENT_ID`; with managed identity, that of the
	// machine.
	ClientID string `json:"client_id,omitempty"`

	// The application's secret. It must be a reference: `{env.NAME}` or `{file.PATH}`.
	ClientSecret string `json:"client_secret,omitempty"`

	// The file with the service account's token. It is read again for each exchange.
	// Default: the environment's `AZURE_FEDERATED_TOKEN_FILE`.
	TokenFile string `json:"token_file,omitempty"`

	// What the token is for. Default, by the host: `https://ai.azure.com/.default` for
	// hosts of Foundry, otherwise `https://cognitiveservices.azure.com/.default`, and their
	// equivalents for government clouds.
	Scope string `json:"scope,omitempty"`

	// Secret is the client secret, set instead of ClientSecret by sources that hold it.
	Secret *upstream.Secret `json:"-"`
}

// parse reads: entra [<method>] { ... }
func (e *Entra) parse(d *caddyfile.Dispenser) error {
	if e.Method != "" {
		return d.Errf("entra is given twice; put its options into one block")
	}
	at := options.Here(d)
	args := d.RemainingArgs()
	if len(args) > 1 {
		return d.Errf("entra takes one method at most; got %s", options.Count(args))
	}
	e.Method = methodAuto
	if len(args) == 1 {
		e.Method = args[0]
	}
	if err := e.checkMethod(); err != nil {
		return at.WrapErr(err)
	}
	if err := options.Parse(d, "entra", []options.Option{
		{Name: "tenant_id", Parse: options.Value(&e.TenantID, options.ExpectedText, options.Text)},
		{Name: "client_id", Parse: options.Value(&e.ClientID, options.ExpectedText, options.Text)},
		{Name: "client_secret", Parse: options.Value(&e.ClientSecret, "a reference such as {env.NAME} or {file./path/to/secret}", parseSecret)},
		{Name: "token_file", Parse: options.Value(&e.TokenFile, "the path of a file", options.Text)},
		{Name: "scope", Parse: options.Value(&e.Scope, options.ExpectedText, options.Text)},
	}); err != nil {
		return err
	}
	if err := e.check(); err != nil {
		return at.WrapErr(err)
	}
	return nil
}

func parseSecret(s string) (string, error) {
	_, err := upstream.ParseSecret("client_secret", s)
	return s, err
}

func (e *Entra) checkMethod() error {
	switch e.Method {
	case methodAuto, methodWorkload, methodManaged, methodSecret:
		return nil
	}
	return fmt.Errorf("entra: unknown method %s; write workload_identity, managed_identity or client_secret, or leave the method out to have it chosen", options.Quoted(e.Method))
}

// own reports whether the credential is the configuration's own, and not the gateway's.
func (e *Entra) own() bool { return e.Secret != nil || e.ClientSecret != "" }

// check reports what is wrong with the settings, if anything.
func (e *Entra) check() error {
	if e.Method == "" {
		if *e != (Entra{}) {
			return errors.New("entra: a method is required; write auto to have it chosen")
		}
		return nil
	}
	if err := e.checkMethod(); err != nil {
		return err
	}
	if e.ClientSecret != "" {
		if _, err := parseSecret(e.ClientSecret); err != nil {
			return fmt.Errorf("entra: %w", err)
		}
	}
	switch {
	case e.Method == methodSecret && !e.own():
		return errors.New("entra: client_secret is required with the method client_secret; write a reference such as {env.NAME}")
	case e.own() && e.Method != methodSecret && e.Method != methodAuto:
		return fmt.Errorf("entra: client_secret is set, but the method is %s; remove client_secret, or use the method client_secret", e.Method)
	case e.TokenFile != "" && e.Method != methodWorkload && e.Method != methodAuto:
		return fmt.Errorf("entra: token_file is set, but the method is %s; remove token_file, or use the method workload_identity", e.Method)
	case e.TokenFile != "" && e.own():
		return errors.New("entra: client_secret and token_file are both set; keep one of them")
	case e.TenantID != "" && strings.Trim(e.TenantID, tenantCharacters) != "":
		return errors.New("entra: tenant_id has characters that are not allowed in a tenant ID; write one such as 11111111-2222-3333-4444-555555555555")
	}
	return nil
}

const tenantCharacters = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789.-"

// method is how a token is obtained.
func (e *Entra) method() string {
	switch {
	case e.Method != methodAuto:
		return e.Method
	case e.own():
		return methodSecret
	case e.TokenFile != "" || os.Getenv("AZURE_FEDERATED_TOKEN_FILE") != "":
		return methodWorkload
	}
	return methodManaged
}

// source returns what fetches tokens for a host, and its name.
func (e *Entra) source(host string) (fetch cloud.Fetch[cloud.Token], ref string, err error) {
	f := &fetcher{Entra: *e, method: e.method(), scope: cmp.Or(e.Scope, scopeOf(host))}
	if f.secret = e.Secret; f.secret == nil && e.ClientSecret != "" {
		if f.secret, err = upstream.ParseSecret("client_secret", e.ClientSecret); err != nil {
			return nil, "", err
		}
	}
	return f.fetch, "Microsoft Entra ID, " + f.method, nil
}

// scopes are what tokens are for, by what a host's name ends in: that of Foundry as
// Anthropic's client has it, of others as OpenAI's client has it
// (https://github.com/anthropics/anthropic-sdk-go/blob/main/foundry/foundry.go,
// https://github.com/openai/openai-go/blob/main/azure/azure.go). Those of the clouds of
// governments are by analogy, since no official page names them; the option scope goes
// before all of these.
var scopes = []struct{ suffix, scope string }{
	{foundrySuffix, "https://ai.azure.com/.default"},
	{".services.ai.azure.us", "https://ai.azure.us/.default"},
	{".azure.us", "https://cognitiveservices.azure.us/.default"},
	{".azure.cn", "https://cognitiveservices.azure.cn/.default"},
}

func scopeOf(host string) string {
	for _, s := range scopes {
		if strings.HasSuffix(host, s.suffix) {
			return s.scope
		}
	}
	return "https://cognitiveservices.azure.com/.default"
}
