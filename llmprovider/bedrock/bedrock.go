// Package bedrock is the provider kind bedrock: models on Amazon Bedrock, those of
// Anthropic in Anthropic's API, and others in Converse. It imports what kinds and clouds
// share, the APIs, and AWS's SDK for credentials and signatures: the smaller build is
// without it. Start at Provider, then attempt.go, sign.go and fetch.go.
package bedrock

import (
	"errors"
	"net/url"
	"regexp"
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

// Provider is an account of AWS with models on Amazon Bedrock. Anthropic's models are
// called in Anthropic's API, by InvokeModel, and others in Converse, unless `apis` has
// OpenAI's `chat` or `responses`, or Anthropic's `messages`, for clients that speak them. A
// host `bedrock-mantle.REGION.api.aws` has only these. The host follows from the region unless
// configured; `path` is the prefix of `/model/…`, by default empty. Requests are signed with
// AWS's default credentials; with an API key, it is sent as `Authorization: Bearer` instead.
type Provider struct {
	kind.Base

	// The region, such as `eu-central-1`. Required.
	Region string `json:"region,omitempty"`

	// The profile in AWS's shared configuration whose credentials are used. Default:
	// AWS's default chain: environment, files, web identity, pod identity, container,
	// instance.
	AWSProfile string `json:"aws_profile,omitempty"`

	// The ARN of the role to assume with these credentials. Default: none.
	RoleARN string `json:"role_arn,omitempty"`

	// AccessKeyID and SecretAccessKey are credentials that are set by sources that hold
	// them, in place of the default chain.
	AccessKeyID     string           `json:"-"`
	SecretAccessKey *upstream.Secret `json:"-"`

	root    *url.URL            // below which the endpoints are
	further map[string]*url.URL // the endpoints in APIs of others, by their suffixes
	betas   *cloud.Betas
}

// CaddyModule returns the Caddy module information.
func (Provider) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{
		ID:  "llm.providers.bedrock",
		New: func() caddy.Module { return new(Provider) },
	}
}

// Traits implements kind.Kind.
func (p *Provider) Traits() kind.Traits {
	return kind.Traits{
		Host: p.hostOf("bedrock-runtime"), Endpoint: "runtime", DefaultPath: "/", KeyHeader: "Authorization", KeyPrefix: "Bearer ", TakesMaxTokens: true,
		Options: []kind.Option{
			{Name: "region", Parse: options.Value(&p.Region, "a region such as eu-central-1", options.Text)},
			{Name: "aws_profile", Parse: options.Value(&p.AWSProfile, "the name of a profile", options.Text)},
			{Name: "role_arn", Parse: options.Value(&p.RoleARN, "the ARN of a role", options.Text)},
		},
		APIs:          []string{apiChat, apiMessages, apiResponses},
		Check:         p.check,
		FetchesMedia:  true,
		ManifestField: "bedrockConfig",
		ManifestOptions: map[string]any{
			"region": &p.Region, "roleArn": &p.RoleARN, "accessKeyID": &p.AccessKeyID, "secretAccessKeySecretRef": &p.SecretAccessKey,
		},
		AmbientHosts: []string{p.hostOf("bedrock-runtime"), p.hostOf("bedrock-runtime-fips"), "*.bedrock-runtime." + p.Region + ".vpce.amazonaws.com", mantle + "." + p.Region + ".api.aws"},
	}
}

// hostOf is the host of a service in the region:
// https://docs.aws.amazon.com/general/latest/gr/bedrock.html.
func (p *Provider) hostOf(service string) string {
	region := p.Region
	if region == "" {
		region = "region" // none is configured yet, which is an error later
	}
	domain := ".amazonaws.com"
	if strings.HasPrefix(region, "cn-") {
		domain = ".amazonaws.com.cn"
	}
	return service + "." + region + domain
}

// UsesAmbient implements kind.Ambient.
func (p *Provider) UsesAmbient() bool { return p.SecretAccessKey == nil && !p.Keyed() }

const lower = "abcdefghijklmnopqrstuvwxyz0123456789-"

// regionName is what regions are called. Another word before .amazonaws.com is a service:
// below that of S3 are hosts that anybody may have made.
var regionName = regexp.MustCompile(`^[a-z]+(-[a-z]+)+-[0-9]+$`)

// check reports what is wrong with the settings, if anything.
func (p *Provider) check() error {
	switch {
	case p.Region == "":
		return errors.New("region is required; write one such as eu-central-1")
	case !regionName.MatchString(p.Region):
		return errors.New("region is not an AWS region; write one such as eu-central-1")
	case p.RoleARN != "" && (!strings.HasPrefix(p.RoleARN, "arn:") || !strings.Contains(p.RoleARN, ":role/") || strings.ContainsAny(p.RoleARN, " \t\r\n")):
		return errors.New("role_arn is not a role ARN; write one such as arn:aws:iam::123456789012:role/llm-gateway")
	case (p.AccessKeyID == "") != (p.SecretAccessKey == nil):
		return errors.New("an access key has an ID and a secret; write both, or neither")
	case strings.Trim(strings.ToLower(p.AccessKeyID), lower) != "":
		return errors.New("accessKeyID is not an access key ID; write it as AWS shows it")
	}
	return nil
}

// UnmarshalCaddyfile reads the provider's block.
func (p *Provider) UnmarshalCaddyfile(d *caddyfile.Dispenser) error {
	return p.UnmarshalBlock(d, p.Traits())
}

// Provision checks the configuration and sets up the transport. It does not connect.
func (p *Provider) Provision(ctx caddy.Context) error {
	f := &fetcher{region: p.Region, profile: p.AWSProfile, role: p.RoleARN, id: p.AccessKeyID, secret: p.SecretAccessKey}
	p.Account = newSigner(f, serviceOf(p.Host), p.Region, ctx.Logger().With(zap.String("region", p.Region)))
	p.betas = cloud.NewBetas(betas, ctx.Logger())
	t := p.Traits()
	if err := p.Base.Provision(ctx, t); err != nil {
		return err
	}
	var err error
	if p.root, err = p.MainURL(t); err != nil {
		return err
	}
	return p.provisionAPIs()
}

// Copy implements llmprovider.Provider.
func (p *Provider) Copy() llmprovider.Provider {
	return &Provider{
		Base: p.Unprovisioned(), Region: p.Region, AWSProfile: p.AWSProfile, RoleARN: p.RoleARN, AccessKeyID: p.AccessKeyID, SecretAccessKey: p.SecretAccessKey,
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
