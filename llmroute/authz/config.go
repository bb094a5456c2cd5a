package authz

import (
	"github.com/caddyserver/caddy/v2"

	"github.com/caddy-llm/gateway/llmroute/authz/jwt"
)

// Config says who may call. Its parts are those of Istio's AuthorizationPolicy,
// RequestAuthentication and HTTP external authorization, with the same meaning,
// and with their fields' names in snake case.
//
// A request is looked at in this order: policies with the action CUSTOM, the
// token, policies with AUDIT, with DENY, with ALLOW. It passes if no DENY policy
// matches and, where there are ALLOW policies, one of them does.
type Config struct {
	// Which tokens are accepted, and where a request may carry them. A request
	// with a token that no rule accepts is refused; one without any passes here
	// and has no identity that a policy could match. If a request carries several
	// tokens, all must be valid, and the first, in the order of the rules and of the places
	// that they name, is its identity. A token may be up to 16 KiB long.
	JWT []*jwt.Rule `json:"jwt,omitempty"`

	// The services that CUSTOM policies ask, by name.
	ExtAuthz map[string]*ExtAuthz `json:"ext_authz,omitempty"`

	// The policies. Their order does not matter.
	Policies []*Policy `json:"policies,omitempty"`

	// How many proxies in front of the gateway add the address that they were
	// called from to `X-Forwarded-For`. With it, `remote.ip` is that many
	// entries from the right of that header, and without it, or if there are
	// fewer, the address of the connection's other end.
	// In a site, Caddy's own `trusted_proxies` is used instead. Default: 0.
	TrustedProxies int `json:"num_trusted_proxies,omitempty"`

	gateways []string // that the requests have come in by, see For
}

// Action is what a policy does with the requests that it matches.
type Action string

// The actions of policies.
const (
	// Allow lets them pass; those that no such policy matches do not.
	Allow Action = "ALLOW"
	// Deny refuses them, whatever other policies say.
	Deny Action = "DENY"
	// Audit logs them.
	Audit Action = "AUDIT"
	// Custom asks an external service.
	Custom Action = "CUSTOM"
)

// Policy is one authorization policy. It matches a request if any of its rules
// does. Without rules it matches none, so that ALLOW without rules refuses
// everything; a rule without parts matches all.
type Policy struct {
	// What logs call the policy, such as an object's namespace and name.
	Name string `json:"name,omitempty"`

	// Where the policy's namespace is one: that of a service account that a rule
	// names without a namespace.
	Namespace string `json:"namespace,omitempty"`

	// What to do: ALLOW, DENY, AUDIT or CUSTOM. Default: ALLOW.
	Action Action `json:"action,omitempty"`

	// The service that a CUSTOM policy asks. If there is no such service, the
	// requests that the policy matches are refused.
	Provider string `json:"provider,omitempty"`

	// The Gateways whose requests the policy is for, by namespace and name. Only sources
	// set it. Default: all requests.
	Gateways []string `json:"gateways,omitempty"`

	// Whether the policy only logs what it would do.
	DryRun bool `json:"dry_run,omitempty"`

	// The rules.
	Rules []*Rule `json:"rules,omitempty"`
}

// Rule matches a request if any of its sources, any of its operations and all of
// its conditions do. A part that is left out matches everything.
type Rule struct {
	// Who is calling.
	From []*Source `json:"from,omitempty"`

	// What is asked for.
	To []*Operation `json:"to,omitempty"`

	// What else must hold.
	When []*Condition `json:"when,omitempty"`
}

// Source is who is calling. All fields that are set must match, each by any of
// its values; a `not_` field by none of them. Values are exact, or `prefix*`,
// `*suffix`, or `*` for whatever is there.
//
// What a request does not have matches no value, so that a `not_` field matches.
type Source struct {
	// The identity in the client's certificate, its SPIFFE ID without
	// `spiffe://`, such as `cluster.local/ns/default/sa/sleep`.
	Principals    []string `json:"principals,omitempty"`
	NotPrincipals []string `json:"not_principals,omitempty"`

	// The issuer and subject of the token, as `issuer/subject`.
	RequestPrincipals    []string `json:"request_principals,omitempty"`
	NotRequestPrincipals []string `json:"not_request_principals,omitempty"`

	// The namespace in the client's certificate. A `*` stands for any text,
	// wherever it is.
	Namespaces    []string `json:"namespaces,omitempty"`
	NotNamespaces []string `json:"not_namespaces,omitempty"`

	// The service account in the client's certificate, as `namespace/name`, or
	// as `name` for the policy's own namespace. Exact.
	ServiceAccounts    []string `json:"service_accounts,omitempty"`
	NotServiceAccounts []string `json:"not_service_accounts,omitempty"`

	// The trust domain in the client's certificate.
	TrustDomains    []string `json:"trust_domains,omitempty"`
	NotTrustDomains []string `json:"not_trust_domains,omitempty"`

	// The address of the connection's other end: addresses and CIDR ranges.
	IPBlocks    []string `json:"ip_blocks,omitempty"`
	NotIPBlocks []string `json:"not_ip_blocks,omitempty"`

	// The address of the client behind trusted proxies: addresses and CIDR
	// ranges.
	RemoteIPBlocks    []string `json:"remote_ip_blocks,omitempty"`
	NotRemoteIPBlocks []string `json:"not_remote_ip_blocks,omitempty"`
}

// Operation is what is asked for. All fields that are set must match, each by
// any of its values; a `not_` field by none of them.
type Operation struct {
	// The host that the request names, whatever its case. A value without a port
	// is for all ports.
	Hosts    []string `json:"hosts,omitempty"`
	NotHosts []string `json:"not_hosts,omitempty"`

	// The port that clients know the listener by. Exact.
	Ports    []string `json:"ports,omitempty"`
	NotPorts []string `json:"not_ports,omitempty"`

	// The HTTP method.
	Methods    []string `json:"methods,omitempty"`
	NotMethods []string `json:"not_methods,omitempty"`

	// The path, without the query and with dot segments resolved. `{*}` stands
	// for one segment, and `{**}`, after which there is no other, for any number
	// of them.
	//
	// Escapes such as `%2F` stay. A request whose path has some is looked at twice,
	// also with the path that the gateway routes by, where they are decoded, and
	// must pass both times.
	Paths    []string `json:"paths,omitempty"`
	NotPaths []string `json:"not_paths,omitempty"`
}

// Condition is one attribute of a request and what it may be.
type Condition struct {
	// The attribute: `request.headers[NAME]`, `source.ip`, `remote.ip`,
	// `source.namespace`, `source.principal`, `source.serviceAccount`,
	// `source.trustDomain`, `request.auth.principal`, `request.auth.audiences`,
	// `request.auth.presenter`, `request.auth.claims[NAME]` (and
	// `[NAME][NESTED]`), `destination.ip`, `destination.port` or
	// `connection.sni`.
	Key string `json:"key,omitempty"`

	// The values of which it must have one.
	Values []string `json:"values,omitempty"`

	// The values of which it must have none.
	NotValues []string `json:"not_values,omitempty"`
}

// ExtAuthz is a service that is asked over HTTP whether a request may pass. Status 200
// allows it. Any other response below 500 goes to the client as it is, with up to 64 KiB
// of its body. No response in time, or one of 500 or more, is a failure.
type ExtAuthz struct {
	// The service's host, `NAMESPACE/HOST`, or address. Required.
	Service string `json:"service,omitempty"`

	// The service's port. Required.
	Port int `json:"port,omitempty"`

	// How long it may take. Default: 600s.
	Timeout caddy.Duration `json:"timeout,omitempty"`

	// What is put before the request's path.
	PathPrefix string `json:"path_prefix,omitempty"`

	// Whether requests pass while the service fails. Default: no.
	FailOpen bool `json:"fail_open,omitempty"`

	// The status of the response, which has no body, while the service fails. Default: 403.
	StatusOnError int `json:"status_on_error,omitempty"`

	// The headers of the request that the service gets, beside `Host` and
	// `Authorization`: exact names, `prefix*` or `*suffix`, whatever their case. Of
	// `X-Forwarded-For` the last address is that of the connection's other end. Of
	// `X-Forwarded-*` and `Forwarded` it gets the client's own only through trusted proxies,
	// and of `X-Forwarded-Client-Cert` and `X-Envoy-*` never.
	IncludeRequestHeadersInCheck []string `json:"include_request_headers_in_check,omitempty"`

	// Headers to add to what the service gets.
	IncludeAdditionalHeadersInCheck map[string]string `json:"include_additional_headers_in_check,omitempty"`

	// How much of the body the service gets. Default: nothing.
	IncludeRequestBodyInCheck *ExtAuthzBody `json:"include_request_body_in_check,omitempty"`

	// The headers of the service's 200 that replace those of the request. One that
	// the service does not send stays as the client sent it.
	HeadersToUpstreamOnAllow []string `json:"headers_to_upstream_on_allow,omitempty"`

	// The headers of the service's 200 that the client gets with the response.
	HeadersToDownstreamOnAllow []string `json:"headers_to_downstream_on_allow,omitempty"`

	// The headers of the service's refusal that the client gets, beside
	// `WWW-Authenticate` and `Location`. Default: all.
	HeadersToDownstreamOnDeny []string `json:"headers_to_downstream_on_deny,omitempty"`
}

// ExtAuthzBody is what an external service gets of a request's body.
type ExtAuthzBody struct {
	// How much, in bytes. Required.
	MaxRequestBytes int `json:"max_request_bytes,omitempty"`

	// Whether it gets the beginning of a larger body, with the header
	// `X-Envoy-Auth-Partial-Body: true`. Default: no; a larger body gets a 413.
	AllowPartialMessage bool `json:"allow_partial_message,omitempty"`
}

// Problem is something in a Config that is not used as it stands, with what
// that means for requests.
type Problem struct {
	// Policy is the policy's or token rule's name.
	Policy string
	// Path is the field, such as rules[0].from[1].ip_blocks[0].
	Path string
	// Message says what is wrong, what to write instead, and what becomes of
	// requests meanwhile.
	Message string
}
