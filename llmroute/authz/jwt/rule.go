// Package jwt verifies the tokens of requests, in the terms of Istio's RequestAuthentication
// and with Envoy's answers: where tokens may be, the keys of their issuers, and the headers
// that are made of their claims. It decides nothing about who may call. It may import what
// is in internal, the names of headers and the guard of addresses of llmprovider/upstream.
// Begin with Rule and Verifier.
package jwt

import "github.com/caddyserver/caddy/v2"

// Rule accepts the tokens of one issuer. Those signed with a shared secret, or
// not at all, are not accepted. A rule whose keys or issuer are wrong accepts none:
// tokens of its issuer are refused.
type Rule struct {
	// The `iss` claim. Required.
	Issuer string `json:"issuer,omitempty"`

	// The `aud` claim must have one of these. `http://` or `https://` before it and
	// a slash after it mean nothing. Default: any audience.
	Audiences []string `json:"audiences,omitempty"`

	// The issuer's public keys, as a JSON Web Key Set (RFC 7517): RSA keys of 2048
	// bits or more, EC keys on P-256, P-384 or P-521, and Ed25519 keys.
	JWKS string `json:"jwks,omitempty"`

	// Where the issuer's public keys are, an http or https URL. They are fetched
	// when they are first needed, again every 20 minutes, and, at most once a minute, when a
	// token names a key that is not among them; while that fails, the last ones are used.
	// Default, without JWKS: what the issuer's `/.well-known/openid-configuration` says.
	JWKSURI string `json:"jwks_uri,omitempty"`

	// Guarded refuses to ask internal addresses for the keys, by [upstream.Internal],
	// wherever redirects and the issuer's configuration lead. Sources set it, whose
	// writers may not read the gateway's secrets.
	Guarded bool `json:"-"`

	// The certificate authorities of JWKSURI's server, a PEM file. Default: the
	// system's.
	JWKSCA string `json:"jwks_ca,omitempty"`

	// How long fetching the keys may take. Default: 5s.
	Timeout caddy.Duration `json:"timeout,omitempty"`

	// The headers that may carry a token. If this, FromParams or FromCookies is
	// set, a token is looked for nowhere else. Default: `Authorization`, after
	// `Bearer `, and the query parameter `access_token`, which Caddy's access log
	// does not hide.
	FromHeaders []*Header `json:"from_headers,omitempty"`

	// The query parameters that may carry a token.
	FromParams []string `json:"from_params,omitempty"`

	// The cookies that may carry a token.
	FromCookies []string `json:"from_cookies,omitempty"`

	// Whether a provider without a key of its own gets the token as well. A
	// provider with a key never does. Default: no.
	ForwardOriginalToken bool `json:"forward_original_token,omitempty"`

	// The header in which the token's payload is passed on, in base64url.
	OutputPayloadToHeader string `json:"output_payload_to_header,omitempty"`

	// The headers in which single claims are passed on.
	OutputClaimToHeaders []*ClaimToHeader `json:"output_claim_to_headers,omitempty"`

	// Claims whose text is a list with spaces between its values, beside `scope`
	// and `permission`.
	SpaceDelimitedClaims []string `json:"space_delimited_claims,omitempty"`

	// Whether text that does not look like a JWT (three parts separated by dots) counts as
	// no token rather than as an invalid one. A virtual key for `llm_keys` is such a text.
	// Default: no.
	IgnoreOtherTokens bool `json:"ignore_other_tokens,omitempty"`

	// The Gateways whose requests the rule is for, by namespace and name. Only sources set
	// it. Default: all requests.
	Gateways []string `json:"gateways,omitempty"`

	// Where the rule comes from, such as an object's namespace and name.
	Origin string `json:"origin,omitempty"`
}

// Header is a header that may carry a token.
type Header struct {
	// The header's name.
	Name string `json:"name,omitempty"`

	// The text before the token.
	Prefix string `json:"prefix,omitempty"`
}

// ClaimToHeader passes a claim on as a header, replacing what the client sent.
type ClaimToHeader struct {
	// The header's name.
	Header string `json:"header,omitempty"`

	// The claim, with dots for claims inside of claims. Text, numbers and
	// booleans are passed on. A name that has dots of its own is found too.
	Claim string `json:"claim,omitempty"`
}
