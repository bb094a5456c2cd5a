package httproute

import (
	"errors"
	"fmt"
	"net/netip"

	"github.com/caddyserver/caddy/v2"
)

// Service is a Service of Kubernetes, with its endpoints.
type Service struct {
	// The name, such as namespace/name:port, for logs and metrics.
	Name string `json:"name,omitempty"`

	// The share of requests, in relation to the other services' weights. 0 means never.
	// Default: 1.
	Weight *int `json:"weight,omitempty"`

	// The addresses of the ready endpoints: IP addresses with ports. Without any,
	// requests get a 503.
	Endpoints []string `json:"endpoints,omitempty"`

	// Whether HTTP/2 is spoken without TLS. Default: HTTP/1.1.
	H2C bool `json:"h2c,omitempty"`

	// Why the service cannot be used. Requests for it get a 500.
	Unusable string `json:"unusable,omitempty"`

	// What is changed in the headers of requests to this service, after the handler's own
	// changes.
	RequestHeaders *HeaderChange `json:"request_headers,omitempty"`

	// What is changed in the headers of its responses, after the handler's own changes.
	ResponseHeaders *HeaderChange `json:"response_headers,omitempty"`

	proxy *proxy // nil without endpoints
}

func (s *Service) weight() int {
	if s.Weight == nil {
		return 1
	}
	return *s.Weight
}

func (s *Service) provision(ctx caddy.Context) (err error) {
	if w := s.weight(); w < 0 || w > 1<<30 {
		return fmt.Errorf("weight %d is out of range; write 0 or more", w)
	}
	if s.Unusable != "" || len(s.Endpoints) == 0 {
		return nil
	}
	for _, address := range s.Endpoints {
		if _, err := netip.ParseAddrPort(address); err != nil { // nor is it a placeholder
			return errors.New("an endpoint is no address with a port; write one such as 10.0.0.1:8080")
		}
	}
	s.proxy, err = acquireProxy(ctx, s.H2C, s.Endpoints)
	return err
}

// cleanup gives back what provision acquired.
func (s *Service) cleanup() error {
	if s.proxy == nil {
		return nil
	}
	return s.proxy.release()
}

// Target is a destination of a handler, for status pages.
type Target struct {
	Name  string  `json:"name"`
	Share float64 `json:"share,omitempty"` // of requests, 0 to 1
	// Problem says why requests fail; empty if they do not.
	Problem string `json:"problem,omitempty"`
}

// Targets are where the handler leads.
func (h *Handler) Targets() []Target {
	if h.Redirect != nil {
		return []Target{{Name: "redirect", Share: 1}}
	}
	sum := 0
	for _, s := range h.Services {
		sum += s.weight()
	}
	out := make([]Target, 0, len(h.Services))
	for _, s := range h.Services {
		t := Target{Name: s.Name, Problem: s.Unusable}
		if sum > 0 {
			t.Share = float64(s.weight()) / float64(sum)
		}
		if t.Problem == "" && s.proxy == nil {
			t.Problem = "no endpoint is ready"
		}
		out = append(out, t)
	}
	return out
}
