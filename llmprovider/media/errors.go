package media

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/caddy-llm/gateway/llmprovider"
	"github.com/caddy-llm/gateway/llmprovider/dialect"
)

// The reasons why a URL is not fetched. None names the URL, which may hold a token, nor an
// address, which a client is not to find out from the gateway.
var (
	errURL      = errors.New("the URL is not one of https or http, with the scheme's own port and without a user name")
	errRedirect = errors.New("its server redirects too often, or from https to http")
	errTooLarge = errors.New("too large")
	errType     = errors.New("type not accepted")
	errEmpty    = errors.New("its server returned nothing")
	errBusy     = errors.New("no turn")
)

// statusError is the status of a response that is not the content.
type statusError int

// Error implements error.
func (e statusError) Error() string { return fmt.Sprintf("its server returned the status %d", int(e)) }

// retryAfter is when a client may try again whose URLs had no turn.
const retryAfter = time.Second

// explain makes of an error what the client is to be told. ctx is that of the request.
func (f *Fetcher) explain(ctx context.Context, err error, wanted *dialect.Wanted) *llmprovider.Error {
	var refused *llmprovider.Error
	var status statusError
	switch {
	case errors.As(err, &refused), errors.As(context.Cause(ctx), &refused):
		return refused
	case ctx.Err() != nil: // the client has left, or the gateway shuts down
		return &llmprovider.Error{
			Status: http.StatusServiceUnavailable, Type: llmprovider.TypeServer, Code: "shutting_down",
			Message: "the gateway is shutting down; send the request again", Cause: context.Cause(ctx),
		}
	case errors.Is(err, errBusy):
		return &llmprovider.Error{
			Status: http.StatusServiceUnavailable, Type: llmprovider.TypeServer, Code: "overloaded", RetryAfter: retryAfter,
			Message: "the gateway is fetching as many images and documents for this provider as it may; try again in a moment, or send the content in base64",
		}
	case errors.Is(err, errTooLarge):
		return notAccepted(wanted, fmt.Sprintf("the content is over the limit of %d bytes for all URLs of a request; use a smaller one", f.maxSize))
	case errors.Is(err, errType):
		return notAccepted(wanted, "the content is not of a type that can be sent ("+accepts(wanted.Kind)+"), or is not what its server calls it")
	case errors.Is(err, errURL), errors.Is(err, errRedirect), errors.Is(err, errEmpty):
		return unavailable(wanted, unwrapped(err))
	case errors.As(err, &status):
		return unavailable(wanted, status)
	case isTimeout(err):
		return unavailable(wanted, fmt.Errorf("its server took longer than %s", f.maxTime))
	}
	return unavailable(wanted, errors.New("its server has no public address that can be reached, or broke off"))
}

// unwrapped returns the one of the reasons that an error is for: the others name the URL.
func unwrapped(err error) error {
	for _, reason := range []error{errURL, errRedirect} {
		if errors.Is(err, reason) {
			return reason
		}
	}
	return errEmpty
}

func unavailable(wanted *dialect.Wanted, why error) *llmprovider.Error {
	return &llmprovider.Error{
		Status: http.StatusBadRequest, Type: llmprovider.TypeInvalidRequest, Code: "media_unavailable", Param: wanted.Field,
		Message: wanted.Field + " could not be fetched for the provider of this model: " + why.Error() + "; send the content in base64, or another URL",
	}
}

func notAccepted(wanted *dialect.Wanted, why string) *llmprovider.Error {
	return &llmprovider.Error{
		Status: http.StatusBadRequest, Type: llmprovider.TypeInvalidRequest, Code: "media_not_accepted", Param: wanted.Field,
		Message: wanted.Field + " cannot be sent to the provider of this model: " + why,
	}
}
