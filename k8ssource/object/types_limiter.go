package object

import metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

// RateLimiter is what the gateway reads of an ASMLocalRateLimiter and of an
// ASMGlobalRateLimiter, which differ in how a limit is written and where it is counted.
type RateLimiter struct {
	metav1.TypeMeta   `json:",inline"`
	metav1.ObjectMeta `json:"metadata,omitzero"`

	Spec RateLimiterSpec `json:"spec,omitzero"`
}

// RateLimiterSpec is whose requests are limited, and the limits.
type RateLimiterSpec struct {
	WorkloadSelector struct {
		Labels map[string]string `json:"labels,omitempty"`
	} `json:"workloadSelector,omitzero"`

	// IsGateway is true for the requests at the ports of Gateways, else those of sidecars
	// are meant.
	IsGateway bool `json:"isGateway,omitempty"`

	// ApplyToTraffic is sidecar_inbound or sidecar_outbound; of these the gateway has the
	// latter alone.
	ApplyToTraffic string `json:"applyToTraffic,omitempty"`

	// RateLimitService is not used: the gateway's configuration names the store.
	RateLimitService any `json:"rateLimitService,omitempty"`

	Configs []LimiterConfig `json:"configs,omitempty"`
}

// LimiterConfig is one limit, and other ones for some of its requests.
type LimiterConfig struct {
	Name string `json:"name,omitempty"`

	Match struct {
		VHost struct {
			Name  string       `json:"name,omitempty"`
			Port  TextNumber   `json:"port,omitempty"`
			Route LimiterRoute `json:"route,omitzero"`
		} `json:"vhost,omitzero"`
	} `json:"match,omitzero"`

	TargetServices []struct {
		Name      string     `json:"name,omitempty"`
		Namespace string     `json:"namespace,omitempty"`
		Port      TextNumber `json:"port,omitempty"`
	} `json:"target_services,omitempty"`

	Limit LimiterLimit `json:"limit,omitzero"`

	LimitOverrides []struct {
		RequestMatch LimiterRoute `json:"request_match,omitzero"`
		Limit        LimiterLimit `json:"limit,omitzero"`
	} `json:"limit_overrides,omitempty"`
}

// LimiterRoute is which requests are meant.
type LimiterRoute struct {
	NameMatch   string          `json:"name_match,omitempty"`
	HeaderMatch []LimiterHeader `json:"header_match,omitempty"`

	// What follows is not matched, and refused.
	QueryMatch    any `json:"query_match,omitempty"`
	RemoteAddress any `json:"remote_address,omitempty"`
}

// LimiterHeader matches a header.
type LimiterHeader struct {
	Name         string  `json:"name,omitempty"`
	ExactMatch   *string `json:"exact_match,omitempty"`
	PrefixMatch  *string `json:"prefix_match,omitempty"`
	SuffixMatch  *string `json:"suffix_match,omitempty"`
	RegexMatch   *string `json:"regex_match,omitempty"`
	PresentMatch bool    `json:"present_match,omitempty"`
	InvertMatch  bool    `json:"invert_match,omitempty"`

	// IsExactMatchEmpty is ExactMatch of an empty value.
	IsExactMatchEmpty bool `json:"is_exact_match_empty,omitempty"`
}

// LimiterLimit is how many requests there may be in which time: that of FillInterval in
// an ASMLocalRateLimiter, that of Unit in an ASMGlobalRateLimiter.
type LimiterLimit struct {
	Quota        *int64 `json:"quota,omitempty"`
	Unit         string `json:"unit,omitempty"`
	FillInterval struct {
		Seconds int64 `json:"seconds,omitempty"`
		Nanos   int64 `json:"nanos,omitempty"`
	} `json:"fill_interval,omitzero"`

	// What follows is not used.
	Status                  any `json:"status,omitempty"`
	PerDownstreamConnection any `json:"per_downstream_connection,omitempty"`
	CustomResponseBody      any `json:"custom_response_body,omitempty"`
	ResponseHeaderToAdd     any `json:"response_header_to_add,omitempty"`
	ResponseHeadersToAdd    any `json:"response_headers_to_add,omitempty"`
}
