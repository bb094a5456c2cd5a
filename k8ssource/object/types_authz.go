package object

import metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

// AuthorizationPolicy is Istio's (security.istio.io). Its comments are Istio's
// reference; what its fields do is with those of package authz, which have the
// same names.
type AuthorizationPolicy struct {
	metav1.TypeMeta   `json:",inline"`
	metav1.ObjectMeta `json:"metadata,omitzero"`

	Spec AuthorizationPolicySpec `json:"spec,omitzero"`
}

// AuthorizationPolicySpec says which requests to which workloads are allowed, denied or
// checked.
type AuthorizationPolicySpec struct {
	// The workloads, in the policy's namespace or, from the root namespace, in
	// all. Default: all of them.
	Selector *PolicySelector `json:"selector,omitempty"`

	// Objects of the Gateway API, instead of workloads.
	TargetRef  *PolicyTarget  `json:"targetRef,omitempty"`
	TargetRefs []PolicyTarget `json:"targetRefs,omitempty"`

	// The rules. Without any, no request matches.
	Rules []*PolicyRule `json:"rules,omitempty"`

	// ALLOW, DENY, AUDIT or CUSTOM. Default: ALLOW.
	Action string `json:"action,omitempty"`

	// The service that CUSTOM asks.
	Provider *PolicyProvider `json:"provider,omitempty"`
}

// PolicySelector selects workloads by their labels.
type PolicySelector struct {
	// The labels a workload must have, all of them.
	MatchLabels map[string]string `json:"matchLabels,omitempty"`
}

// PolicyTarget names an object of the Gateway API.
type PolicyTarget struct {
	Group     string `json:"group,omitempty"`
	Kind      string `json:"kind,omitempty"`
	Name      string `json:"name,omitempty"`
	Namespace string `json:"namespace,omitempty"`
}

// PolicyProvider names an entry of extensionProviders in the mesh's
// configuration.
type PolicyProvider struct {
	Name string `json:"name,omitempty"`
}

// PolicyRule matches a request if any of From, any of To and all of When do.
type PolicyRule struct {
	From []*PolicyFrom      `json:"from,omitempty"`
	To   []*PolicyTo        `json:"to,omitempty"`
	When []*PolicyCondition `json:"when,omitempty"`
}

// PolicyFrom holds a source.
type PolicyFrom struct {
	Source *PolicySource `json:"source,omitempty"`
}

// PolicySource is who is calling.
type PolicySource struct {
	Principals           []string `json:"principals,omitempty"`
	NotPrincipals        []string `json:"notPrincipals,omitempty"`
	RequestPrincipals    []string `json:"requestPrincipals,omitempty"`
	NotRequestPrincipals []string `json:"notRequestPrincipals,omitempty"`
	Namespaces           []string `json:"namespaces,omitempty"`
	NotNamespaces        []string `json:"notNamespaces,omitempty"`
	ServiceAccounts      []string `json:"serviceAccounts,omitempty"`
	NotServiceAccounts   []string `json:"notServiceAccounts,omitempty"`
	TrustDomains         []string `json:"trustDomains,omitempty"`
	NotTrustDomains      []string `json:"notTrustDomains,omitempty"`
	IPBlocks             []string `json:"ipBlocks,omitempty"`
	NotIPBlocks          []string `json:"notIpBlocks,omitempty"`
	RemoteIPBlocks       []string `json:"remoteIpBlocks,omitempty"`
	NotRemoteIPBlocks    []string `json:"notRemoteIpBlocks,omitempty"`
}

// PolicyTo holds an operation.
type PolicyTo struct {
	Operation *PolicyOperation `json:"operation,omitempty"`
}

// PolicyOperation is what is asked for.
type PolicyOperation struct {
	Hosts      []string `json:"hosts,omitempty"`
	NotHosts   []string `json:"notHosts,omitempty"`
	Ports      []string `json:"ports,omitempty"`
	NotPorts   []string `json:"notPorts,omitempty"`
	Methods    []string `json:"methods,omitempty"`
	NotMethods []string `json:"notMethods,omitempty"`
	Paths      []string `json:"paths,omitempty"`
	NotPaths   []string `json:"notPaths,omitempty"`
}

// PolicyCondition is one attribute of a request and what it may be.
type PolicyCondition struct {
	Key       string   `json:"key,omitempty"`
	Values    []string `json:"values,omitempty"`
	NotValues []string `json:"notValues,omitempty"`
}

// RequestAuthentication is Istio's (security.istio.io).
type RequestAuthentication struct {
	metav1.TypeMeta   `json:",inline"`
	metav1.ObjectMeta `json:"metadata,omitzero"`

	Spec RequestAuthenticationSpec `json:"spec,omitzero"`
}

// RequestAuthenticationSpec says which workloads accept which tokens.
type RequestAuthenticationSpec struct {
	// The workloads, in the object's namespace or, from the root namespace, in
	// all. Default: all of them.
	Selector *PolicySelector `json:"selector,omitempty"`

	// Objects of the Gateway API, instead of workloads.
	TargetRef  *PolicyTarget  `json:"targetRef,omitempty"`
	TargetRefs []PolicyTarget `json:"targetRefs,omitempty"`

	// The issuers, and where their tokens are.
	JWTRules []*JWTRule `json:"jwtRules,omitempty"`
}

// JWTRule accepts the tokens of one issuer.
type JWTRule struct {
	Issuer                string          `json:"issuer,omitempty"`
	Audiences             []string        `json:"audiences,omitempty"`
	JWKSURI               string          `json:"jwksUri,omitempty"`
	JWKSURIAlias          string          `json:"jwks_uri,omitempty"` // which the definition has as well
	JWKS                  string          `json:"jwks,omitempty"`
	FromHeaders           []JWTHeader     `json:"fromHeaders,omitempty"`
	FromParams            []string        `json:"fromParams,omitempty"`
	FromCookies           []string        `json:"fromCookies,omitempty"`
	OutputPayloadToHeader string          `json:"outputPayloadToHeader,omitempty"`
	OutputClaimToHeaders  []ClaimToHeader `json:"outputClaimToHeaders,omitempty"`
	ForwardOriginalToken  bool            `json:"forwardOriginalToken,omitempty"`
	Timeout               string          `json:"timeout,omitempty"`
	SpaceDelimitedClaims  []string        `json:"spaceDelimitedClaims,omitempty"`
}

// JWTHeader is a header that may carry a token, after a prefix.
type JWTHeader struct {
	Name   string `json:"name,omitempty"`
	Prefix string `json:"prefix,omitempty"`
}

// ClaimToHeader passes a claim on as a header.
type ClaimToHeader struct {
	Header string `json:"header,omitempty"`
	Claim  string `json:"claim,omitempty"`
}
