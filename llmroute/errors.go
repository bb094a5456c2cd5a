package llmroute

import (
	"context"
	"errors"
	"fmt"
	"net/http"

	"github.com/caddy-llm/gateway/llmprovider"
	"github.com/caddy-llm/gateway/llmroute/receive"
)

// statusClientGone is the status in logs of requests whose client left. It
// follows Caddy's reverse_proxy.
const statusClientGone = 499

func errNoRoute(r *http.Request) *llmprovider.Error {
	return &llmprovider.Error{
		Status: http.StatusNotFound, Type: llmprovider.TypeInvalidRequest, Code: "no_route",
		Message: fmt.Sprintf("no LLM route matches this request to host %q; check the host, the headers and the model, or ask the gateway's operator for a route", llmprovider.Bounded(r.Host)),
	}
}

func errNotReady() *llmprovider.Error {
	return &llmprovider.Error{
		Status: http.StatusServiceUnavailable, Type: llmprovider.TypeServer, Code: "not_ready",
		Message: "the gateway has no configuration yet; try again in a moment",
	}
}

func errUnusable(reason string) *llmprovider.Error {
	return &llmprovider.Error{
		Status: http.StatusServiceUnavailable, Type: llmprovider.TypeServer, Code: "no_usable_backend",
		Message: fmt.Sprintf("the route for this request cannot be used (%s); the gateway's operator finds the reason in its status", reason),
	}
}

func errNoBackend(rule string) *llmprovider.Error {
	return &llmprovider.Error{
		Status: http.StatusServiceUnavailable, Type: llmprovider.TypeServer, Code: "no_usable_backend",
		Message: fmt.Sprintf("the rule %q has no usable provider; the gateway's operator finds the reason in its log", rule),
	}
}

func errModelNotAllowed(client, model string) *llmprovider.Error {
	message := fmt.Sprintf("the key of %q may not use the model %q; ask for another model, or ask the gateway's operator to allow it", client, llmprovider.Bounded(model))
	if model == "" {
		message = fmt.Sprintf("the key of %q may use certain models only; name one of them as \"model\"", client)
	}
	return &llmprovider.Error{
		Status: http.StatusForbidden, Type: llmprovider.TypePermission, Code: "model_not_allowed", Param: "model", Message: message,
	}
}

// attemptError is what the client is told when an attempt gave no response.
func attemptError(p *provider, ctx context.Context, err error) *llmprovider.Error {
	cause := context.Cause(ctx)
	var refused *llmprovider.Error // by a guard, or an endpoint picker
	switch {
	case errors.As(cause, &refused):
		return refused
	case errors.Is(cause, errDrained):
		return &llmprovider.Error{
			Status: http.StatusServiceUnavailable, Type: llmprovider.TypeServer, Code: "shutting_down",
			Message: "the gateway is shutting down; send the request again", Cause: cause,
		}
	case errors.Is(cause, receive.ErrFirstByte), errors.Is(cause, receive.ErrIdle):
		return &llmprovider.Error{
			Status: http.StatusGatewayTimeout, Type: llmprovider.TypeServer, Code: "provider_timeout",
			Message: cause.Error() + " (" + p.host + "); try again, or ask the gateway's operator for a longer timeout", Cause: err,
		}
	}
	var timeout interface{ Timeout() bool }
	if errors.As(err, &timeout) && timeout.Timeout() {
		return &llmprovider.Error{
			Status: http.StatusGatewayTimeout, Type: llmprovider.TypeServer, Code: "provider_timeout",
			Message: "connecting to the provider " + p.host + " took too long; try again", Cause: err,
		}
	}
	return &llmprovider.Error{
		Status: http.StatusBadGateway, Type: llmprovider.TypeServer, Code: "provider_unreachable",
		Message: "the provider " + p.host + " could not be reached or broke off; try again", Cause: err,
	}
}

func errHeadersTooLarge(p *provider, cause error) *llmprovider.Error {
	return &llmprovider.Error{
		Status: http.StatusRequestHeaderFieldsTooLarge, Type: llmprovider.TypeInvalidRequest, Code: "headers_too_large",
		Message: "the provider " + p.host + " does not take request headers this large; send fewer or shorter ones", Cause: cause,
	}
}

func errRedirected(p *provider) *llmprovider.Error {
	return &llmprovider.Error{
		Status: http.StatusBadGateway, Type: llmprovider.TypeServer, Code: "provider_redirected",
		Message: "the provider " + p.host + " answered with a redirect, which is not followed; the gateway's operator has to correct its scheme, host or path",
	}
}
