package headername

import (
	"strings"
	"testing"
)

// credentialNames are of headers that carry a secret.
var credentialNames = []string{
	"Authorization", "authorization", "PROXY-AUTHORIZATION", "WWW-Authenticate", "Authentication-Info", "Cookie", "Cookie2", "Set-Cookie",
	"Api-Key", "X-API-Key", "X-Goog-Api-Key", "apikey", "X-Apikey", "X_API_KEY", "X-Api-Key-2", "X-Auth-Token", "X-Auth-Key", "X-Client-Secret", "X-Password", "X-Passwd",
	"X-Pass", "X-Amz-Security-Token", "X-Access-Key", "X-Accesskey", "Ocp-Apim-Subscription-Key", "x-functions-key", "X_Key", "X-Authentication", "X-Key-Id",
	"Modal-Key", "Modal-Secret", "Private-Token", "X-Vault-Token", "X-Gitlab-Token", "X-Csrf-Token", "X-XSRF-TOKEN", "X-Tokens", "X-Accesstoken", "X-Id-Token",
	"X-Portkey-Virtual-Key", "Helicone-Auth", "Sec-WebSocket-Protocol", "DPoP", "X-OTP", "X-Oauth2-Something", "X-Plex-Token", "X-Reset-Token", "Xi-Api-Key",
	"X-Authorization", "X-Authorisation", "Unauthorized-Token", "X-Bearer",

	// oauth2-proxy
	"X-Auth-Request-Access-Token", "X-Auth-Request-User", "X-Auth-Request-Email", "X-Auth-Request-Preferred-Username", "X-Auth-Request-Groups",
	"X-Forwarded-Access-Token",
	// Google, Azure, Amazon, Cloudflare, Authentik, Apache
	"X-Goog-Authenticated-User-Email", "X-Goog-Authenticated-User-Id", "X-Ms-Token-Aad-Access-Token", "X-Ms-Token-Aad-Id-Token", "X-Ms-Token-Google-Id-Token",
	"X-Amzn-Oidc-Accesstoken", "Cf-Access-Client-Secret", "Cf-Access-Token", "X-Authentik-Username", "X-Authentik-Jwt", "X-WEBAUTH-USER", "X-Webauth-Email",
	"X-Authenticated-Userid", "X-Credential-Identifier", "Teleport-Jwt-Token",
}

// identityNames are of headers in which proxies say who is calling.
var identityNames = []string{
	"X-Goog-Iap-Jwt-Assertion", "X-Amzn-Oidc-Data", "X-Amzn-Oidc-Identity", "X-Amzn-Mtls-Clientcert", "X-Amzn-Mtls-Clientcert-Serial-Number",
	"Cf-Access-Jwt-Assertion", "Cf-Access-Client-Id", "Cf-Access-Authenticated-User-Email", "X-Ms-Client-Principal", "X-Ms-Client-Principal-Id",
	"X-Ms-Client-Principal-Name", "X-Ms-Client-Principal-Idp", "X-Pomerium-Jwt-Assertion", "X-Pomerium-Claim-Email", "Teleport-Jwt-Assertion",
	"Tailscale-User-Login", "Tailscale-User-Name", "Tailscale-User-Profile-Pic", "Tailscale-App-Capabilities", "Remote-User", "Remote-Groups", "Remote-Email",
	"Remote-Name", "X-Remote-User", "X-Remote-Group", "X-Remote-Extra-Scopes", "X-Forwarded-User", "X-Forwarded-Email", "X-Forwarded-Groups",
	"X-Forwarded-Preferred-Username", "X-Forwarded-Client-Cert", "X-Ssl-Client-Cert", "X-SSL-Client-S-DN", "X-SSL-Client-Verify", "X-Ssl-Client-Cn",
	"X-Tls-Client-Cert", "X-Client-Cert", "X-Client-Cert-Subject", "X-ARR-ClientCert", "Client-Cert", "Client-Cert-Chain", "X-Client-Dn", "X-Client-Verify",
	"X-Consumer-Id", "X-Consumer-Username", "X-Consumer-Custom-Id", "X-Vouch-User", "X-Vouch-Idp-Claims-Name", "X-Endpoint-Api-Userinfo",
	"X-Apigateway-Api-Userinfo", "X-User", "X-User-Id", "X-User-Email", "X-Username", "X-Userinfo", "X-Openid-Connect-Userid", "OIDC_CLAIM_email", "X-Saml-Subject",
	"X-Spiffe-Id", "Impersonate-User", "Impersonate-Group", "X-Jwt-Payload", "Jwt-Claims", "X-Kerberos-Principal", "X-Identity", "X-Iap-Something",
	"X-OpenWebUI-User-Email", "X-OpenWebUI-User-Role",
}

// plainNames are of headers that providers need, or that look like the others.
var plainNames = []string{
	"Content-Type", "Accept", "User-Agent", "X-User-Agent", "User-Type", "Accept-Language", "Cache-Control", "Range", "OpenAI-Beta", "anthropic-version",
	"anthropic-beta", "anthropic-dangerous-direct-browser-access", "X-App", "X-Request-Id", "Request-Id", "X-Client-Request-Id", "X-Ms-Client-Request-Id",
	"X-Correlation-Id", "Idempotency-Key", "X-Idempotency-Key", "X-Cache-Key", "X-Stainless-Lang", "X-Stainless-Helper-Method", "X-Stainless-Retry-Count",
	"X-Stainless-Raw-Response", "X-Max-Tokens", "X-Max-Token", "Max-Tokens", "X-Maxtokens", "X-Token-Count", "X-Token-Limit", "X-Tokens-Per-Minute",
	"X-Ratelimit-Limit-Tokens", "X-Ratelimit-Remaining-Tokens", "X-Ratelimit-Reset-Tokens", "Anthropic-Ratelimit-Input-Tokens-Limit", "X-Usage-Output-Tokens",
	"X-Tokenizer", "X-Tokenization", "Author", "X-Author", "X-Authors", "X-Co-Author", "X-Authority", "X-Authoring-Tool", "X-DashScope-WorkSpace", "X-DashScope-SSE",
	"X-DashScope-Async", "Http-Referer", "X-Title", "X-Team", "X-Vip", "Keyboard", "X-Keyword", "X-Monkey", "X-Portkey-Metadata", "X-Portkey-Provider",
	"X-Pass-Through", "X-Bypass", "X-Compass", "Passenger", "X-Goog-Api-Client", "X-Goog-Request-Params", "Session_id", "Conversation_id",
	"X-Session-Id", "X-Claude-Code-Session-Id", "Originator", "X-Initiator", "Copilot-Integration-Id", "Editor-Version", "X-Openrouter-Categories", "Accept-Charset",
	"X-Certain", "X-Concert", "X-Loginless", "X-Grouped", "X-Client-Name", "X-Client-Version", "Api-Version", "Dnt", "Priority", "Sec-Ch-Ua", "If-None-Match",
	"X-Ipa", "X-Zip",
}

func TestCredentialHeaderNames(t *testing.T) {
	for _, name := range credentialNames {
		if !IsCredential(name) || !IsHidden(name) {
			t.Errorf("%s is not taken for a credential", name)
		}
	}
	for _, name := range identityNames {
		if !IsHidden(name) {
			t.Errorf("%s is not taken for a statement about who is calling", name)
		}
	}
	for _, name := range append([]string{"OpenAI-Organization", "OpenAI-Project", "Origin", "Via", "X-Forwarded-For", "Traceparent", "Content-Digest"}, plainNames...) {
		if IsHidden(name) {
			t.Errorf("%s is hidden", name)
		}
	}
}

// TestLongNamesAreHidden holds that names which would take long to take apart are not: what
// is written in them is a client's choice, and there may be one in each request.
func TestLongNamesAreHidden(t *testing.T) {
	name := strings.Repeat("token-", 9000) + "max" // none of a credential, if it were shorter
	if IsHidden(name[len(name)-63:]) {
		t.Error("the short one is hidden")
	}
	if !IsHidden(name) || !IsCredential(name) || ClassOf(name) != Hidden {
		t.Error("the long one is not")
	}
}
