package receive

import (
	"errors"
	"net/http"
	"strings"
	"syscall"

	"github.com/caddy-llm/gateway/llmprovider/upstream"
)

const (
	// usualHeader and usualBody are what most servers take of a request without
	// looking at it, in bytes: some reset the connection of a larger one.
	usualHeader = 8 << 10
	usualBody   = 64 << 10
)

// IsOversized reports whether an attempt's request is so large that the provider
// may have cut the connection because of it.
func IsOversized(r *http.Request) bool {
	if r.ContentLength > usualBody {
		return true
	}
	n := 0
	for name, values := range r.Header {
		for _, value := range values {
			n += len(name) + len(value) + len(": \r\n")
		}
	}
	return n > usualHeader
}

// BrokeOff reports whether a connection that had been made ended without a response.
func BrokeOff(err error) bool {
	if upstream.NotConnected(err) {
		return false
	}
	var timeout interface{ Timeout() bool }
	return !errors.As(err, &timeout) || !timeout.Timeout() || errors.Is(err, syscall.ECONNRESET) || errors.Is(err, syscall.EPIPE)
}

// HeadersTooLarge reports whether net/http refused to send headers that the
// provider said it does not take. Its error has no name.
func HeadersTooLarge(err error) bool {
	return strings.Contains(err.Error(), "header list larger than peer's advertised limit")
}
