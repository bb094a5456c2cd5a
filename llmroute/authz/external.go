package authz

import (
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"golang.org/x/net/http/httpguts"

	"github.com/caddy-llm/gateway/internal/shared"
	"github.com/caddy-llm/gateway/llmprovider"
	"github.com/caddy-llm/gateway/llmprovider/headername"
)

const (
	// externalTimeout is how long a service may take if nothing else is said:
	// Istio's default.
	externalTimeout = 600 * time.Second
	// externalIdle is how long an unused connection to a service stays open.
	externalIdle = 30 * time.Second
	// maxRefusalBody bounds what is passed on of a service's refusal, in bytes.
	maxRefusalBody = 64 << 10
)

// external is an ExtAuthz in use.
type external struct {
	*ExtAuthz
	name          string
	address       string // host:port
	plainPrefix   string // PathPrefix without percent signs
	transport     *http.Transport
	timeout       time.Duration
	statusOnError int
	added         http.Header // what the service gets in addition
	bodies        *llmprovider.Budget
	behindProxies bool // the gateway is, whoever the client is

	// Which headers the service gets, and which ones of its response the request,
	// the client on a 200, and the client on a refusal.
	asked, upstream, downstream, refused headerList
}

// connections are those to services, by host:port.
var connections shared.Values[string, http.Transport]

func newTransport() *http.Transport {
	return &http.Transport{
		DialContext:            (&net.Dialer{Timeout: 10 * time.Second}).DialContext,
		MaxIdleConnsPerHost:    64,
		IdleConnTimeout:        externalIdle,
		MaxResponseHeaderBytes: 64 << 10,
		DisableCompression:     true, // a refusal goes to the client as it is
	}
}

func newExternal(name string, config *ExtAuthz) (*external, error) {
	if config == nil {
		return nil, errors.New("there is nothing of the service; write at least service and port; meanwhile requests that it decides on are refused")
	}
	e := &external{ExtAuthz: config, name: name, timeout: time.Duration(config.Timeout), statusOnError: config.StatusOnError}
	if err := e.compile(); err != nil {
		return nil, fmt.Errorf("%w; meanwhile requests that the service decides on are refused", err)
	}
	e.transport = connections.Get(e.address, newTransport)
	return e, nil
}

func (e *external) compile() error {
	host := e.Service
	if _, after, found := strings.Cut(host, "/"); found && !strings.Contains(host, "://") {
		host = after // NAMESPACE/HOST
	}
	if host == "" {
		return errors.New("service: write the service's host")
	}
	host = strings.TrimSuffix(strings.TrimPrefix(host, "["), "]")
	if strings.ContainsAny(host, "/?#@[] \t\r\n") || strings.Contains(host, ":") && net.ParseIP(host) == nil {
		return errors.New("service: this is not a host; write a host or an address, without scheme, port and path")
	}
	if e.Port < 1 || e.Port > 65535 {
		return fmt.Errorf("port: %d is no port; write the service's port", e.Port)
	}
	e.address = net.JoinHostPort(host, strconv.Itoa(e.Port))
	switch {
	case e.timeout < 0:
		return errors.New("timeout: it is below zero; write how long the service may take")
	case e.timeout == 0:
		e.timeout = externalTimeout
	}
	if e.PathPrefix != "" && e.PathPrefix[0] != '/' {
		return errors.New("path_prefix: this does not begin with a slash")
	}
	var err error
	if e.plainPrefix, err = url.PathUnescape(e.PathPrefix); err != nil || strings.ContainsAny(e.PathPrefix, "?# \t\r\n") {
		return errors.New("path_prefix: this has characters that a path cannot have; write them with percent signs")
	}
	switch {
	case e.statusOnError == 0:
		e.statusOnError = http.StatusForbidden
	case e.statusOnError < 200 || e.statusOnError > 599:
		return fmt.Errorf("status_on_error: %d is not the status of a response; write one from 200 to 599", e.statusOnError)
	}
	if body := e.IncludeRequestBodyInCheck; body != nil && body.MaxRequestBytes <= 0 {
		return errors.New("include_request_body_in_check.max_request_bytes: write how many bytes of the body the service may get")
	}
	return e.compileHeaders()
}

func (e *external) compileHeaders() error {
	for _, list := range []struct {
		field string
		names []string
		into  *headerList
	}{
		{"include_request_headers_in_check", e.IncludeRequestHeadersInCheck, &e.asked},
		{"headers_to_upstream_on_allow", e.HeadersToUpstreamOnAllow, &e.upstream},
		{"headers_to_downstream_on_allow", e.HeadersToDownstreamOnAllow, &e.downstream},
		{"headers_to_downstream_on_deny", e.HeadersToDownstreamOnDeny, &e.refused},
	} {
		var err error
		if *list.into, err = newHeaderList(list.names); err != nil {
			return fmt.Errorf("%s: %w", list.field, err)
		}
		if name := list.into.namesMessage(); name != "" && (list.into == &e.upstream || list.into == &e.downstream) {
			return fmt.Errorf("%s: %s says how a message is sent, or what its body is; leave it out", list.field, name)
		}
	}
	e.added = make(http.Header, len(e.IncludeAdditionalHeadersInCheck))
	for name, value := range e.IncludeAdditionalHeadersInCheck {
		switch {
		case !httpguts.ValidHeaderFieldName(name):
			return errors.New("include_additional_headers_in_check: a name is not that of a header")
		case !httpguts.ValidHeaderFieldValue(value):
			return fmt.Errorf("include_additional_headers_in_check: the value of %s has characters that a header cannot have", name)
		case headername.IsConnection(http.CanonicalHeaderKey(name)):
			return fmt.Errorf("include_additional_headers_in_check: %s says how a message is sent; leave it out", name)
		}
		e.added[http.CanonicalHeaderKey(name)] = []string{value}
	}
	return nil
}
