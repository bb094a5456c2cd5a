// Package vertex is the provider kind vertex: models on Google Cloud's Vertex AI, of
// Google and of others, each in the API that it has there. It imports what kinds and
// clouds share, the APIs, and Google's library for tokens. Start at Provider, then
// attempt.go and fetch.go.
package vertex

import (
	"errors"
	"net/url"
	"strings"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
	"go.uber.org/zap"

	"github.com/caddy-llm/gateway/internal/options"
	"github.com/caddy-llm/gateway/llmprovider"
	"github.com/caddy-llm/gateway/llmprovider/cloud"
	"github.com/caddy-llm/gateway/llmprovider/kind"
	"github.com/caddy-llm/gateway/llmprovider/upstream"
)

func init() {
	caddy.RegisterModule(Provider{})
}

const (
	defaultLocation = "global"
	defaultPath     = "/v1"
	googlePath      = "/v1beta1" // what Google's SDKs call for models of its own
)

// Provider is a project of Google Cloud with models on Vertex AI. Google's models are
// called in Gemini's API, Anthropic's in Anthropic's, and others, whose names begin with
// their publisher and a slash, in OpenAI's chat completions. The host follows from the
// location unless configured; `path` is the API's version, below which all endpoints are:
// by default `/v1`, and `/v1beta1` for Google's models. The key is sent as
// `x-goog-api-key`; without one, a token of Google's application default credentials.
type Provider struct {
	kind.Base

	// The project's ID. Required without an API key.
	Project string `json:"project,omitempty"`

	// The location, such as `europe-west4`, `eu` or `global`. Default: `global`.
	Location string `json:"location,omitempty"`

	// The file with Google's credentials: of a service account, or of an account elsewhere
	// (workload identity federation). It is read again for each token. Default:
	// application default credentials, which are the file that the environment's
	// `GOOGLE_APPLICATION_CREDENTIALS` names, that of gcloud, or the machine's service
	// account.
	CredentialsFile string `json:"credentials_file,omitempty"`

	// The project whose quota is used, sent as `x-goog-user-project`. Default: the
	// environment's `GOOGLE_CLOUD_QUOTA_PROJECT`, or that of the credentials.
	QuotaProject string `json:"quota_project,omitempty"`

	// Credentials are those of a service account, set instead of CredentialsFile by
	// sources that hold them.
	Credentials *upstream.Secret `json:"-"`

	root   *url.URL // of the project and location
	google *url.URL // the same, for Google's models

	catalog *url.URL // of the version that has lists of models

	betas *cloud.Betas
}

// CaddyModule returns the Caddy module information.
func (Provider) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{
		ID:  "llm.providers.vertex",
		New: func() caddy.Module { return new(Provider) },
	}
}

// Traits implements kind.Kind.
func (p *Provider) Traits() kind.Traits {
	return kind.Traits{
		Host: hostOf(p.Location), Endpoint: "API's version", DefaultPath: defaultPath, KeyHeader: "X-Goog-Api-Key", TakesMaxTokens: true,
		Options: []kind.Option{
			{Name: "project", Parse: options.Value(&p.Project, "the ID of a project", options.Text)},
			{Name: "location", Parse: options.Value(&p.Location, "a location such as europe-west4", options.Text)},
			{Name: "credentials_file", Parse: options.Value(&p.CredentialsFile, "the path of a file", options.Text)},
			{Name: "quota_project", Parse: options.Value(&p.QuotaProject, "the ID of a project", options.Text)},
		},
		Check:         p.check,
		FetchesMedia:  true,
		ManifestField: "vertexConfig",
		ManifestOptions: map[string]any{
			"project": &p.Project, "location": &p.Location, "quotaProject": &p.QuotaProject, "credentialsSecretRef": &p.Credentials,
		},
		AmbientHosts: []string{
			"aiplatform.googleapis.com", "*-aiplatform.googleapis.com", "aiplatform.*.rep.googleapis.com", "aiplatform-*.p.googleapis.com", "*-aiplatform-*.p.googleapis.com",
		},
	}
}

// hostOf is the host of a location:
// https://cloud.google.com/vertex-ai/generative-ai/docs/learn/locations.
func hostOf(location string) string {
	switch location {
	case "", defaultLocation:
		return "aiplatform.googleapis.com"
	case "us", "eu":
		return "aiplatform." + location + ".rep.googleapis.com"
	}
	return location + "-aiplatform.googleapis.com"
}

// UsesAmbient implements kind.Ambient.
func (p *Provider) UsesAmbient() bool {
	return p.Credentials == nil && p.CredentialsFile == "" && !p.Keyed()
}

const (
	letters  = "abcdefghijklmnopqrstuvwxyz"
	idLetter = letters + "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_.:"
)

// check reports what is wrong with the settings, if anything.
func (p *Provider) check() error {
	switch {
	case p.Project == "" && !p.Keyed():
		return errors.New("project is required; write a project ID, or set api_key")
	case strings.Trim(p.Project, idLetter) != "" || strings.HasPrefix(p.Project, "."): // .. is a part of a path
		return errors.New("project is not a project ID; write one such as my-project")
	case strings.Trim(p.Location, letters+"0123456789-") != "":
		return errors.New("location is not a Google Cloud location; write one such as europe-west4, or global")
	case strings.Trim(p.QuotaProject, idLetter) != "":
		return errors.New("quota_project is not a project ID; write one such as my-project")
	}
	return nil
}

// UnmarshalCaddyfile reads the provider's block.
func (p *Provider) UnmarshalCaddyfile(d *caddyfile.Dispenser) error {
	return p.UnmarshalBlock(d, p.Traits())
}

// Provision checks the configuration and sets up the transport. It does not connect.
func (p *Provider) Provision(ctx caddy.Context) error {
	f := &fetcher{file: p.CredentialsFile, secret: p.Credentials, quota: p.QuotaProject}
	p.Account = cloud.NewBearer(f.ref(), f.fetch, ctx.Logger().With(zap.String("project", p.Project)))
	p.betas = cloud.NewBetas(betas, ctx.Logger())
	t := p.Traits()
	if err := p.Base.Provision(ctx, t); err != nil {
		return err
	}
	main, err := p.MainURL(t)
	if err != nil {
		return err
	}
	p.root = p.below(main)
	p.google, p.catalog = p.root, main
	if p.Path == "" {
		p.catalog = p.URL(&url.URL{Path: googlePath})
		p.google = p.below(p.catalog)
	}
	return nil
}

// below returns what is below the version for the project. With a key alone there is
// none in paths:
// https://cloud.google.com/vertex-ai/generative-ai/docs/start/express-mode/overview.
func (p *Provider) below(version *url.URL) *url.URL {
	if p.Project == "" {
		return version
	}
	location := p.Location
	if location == "" {
		location = defaultLocation
	}
	return llmprovider.Below(version, "/projects/"+url.PathEscape(p.Project)+"/locations/"+location, "")
}

// Copy implements llmprovider.Provider.
func (p *Provider) Copy() llmprovider.Provider {
	return &Provider{
		Base: p.Unprovisioned(), Project: p.Project, Location: p.Location, CredentialsFile: p.CredentialsFile, QuotaProject: p.QuotaProject, Credentials: p.Credentials,
	}
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
