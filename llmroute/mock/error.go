package mock

import (
	"fmt"
	"net/http"
	"strconv"
)

// apiError is a response in the shape of OpenAI's errors.
type apiError struct {
	status     int
	message    string
	param      string // the parameter at fault, if one is
	code       string // the machine-readable reason, if there is one
	allow      string // the methods to name in a 405
	retryAfter int    // seconds; 0 sends no header
}

// Error returns what the client gets to read.
func (e *apiError) Error() string { return e.message }

// kind returns the member "type", which OpenAI derives from the status.
func (e *apiError) kind() string {
	switch {
	case e.status >= 500:
		return "server_error"
	case e.status == http.StatusTooManyRequests:
		return "requests"
	}
	return "invalid_request_error"
}

// body returns the error as JSON.
func (e *apiError) body() []byte {
	orNull := func(s string) []byte {
		if s == "" {
			return []byte("null")
		}
		return quoted(s)
	}
	return fmt.Appendf(nil, `{"error":{"message":%s,"type":%q,"param":%s,"code":%s}}`,
		quoted(e.message), e.kind(), orNull(e.param), orNull(e.code))
}

// write sends the error.
func (e *apiError) write(w http.ResponseWriter) {
	h := w.Header()
	if e.status == http.StatusUnauthorized {
		h.Set("WWW-Authenticate", "Bearer")
	}
	if e.allow != "" {
		h.Set("Allow", e.allow)
	}
	if e.retryAfter > 0 {
		h.Set("Retry-After", strconv.Itoa(e.retryAfter))
	}
	writeJSON(w, e.status, e.body(), nil, nil)
}

// fault returns the error that the option status asks for.
func fault(status int) *apiError {
	e := &apiError{status: status}
	switch status {
	case http.StatusUnauthorized:
		e.code = "invalid_api_key"
	case http.StatusTooManyRequests:
		e.code = "rate_limit_exceeded"
	}
	reason := http.StatusText(status)
	if reason == "" {
		reason = "no standard name"
	}
	e.message = fmt.Sprintf("The mock provider is configured to answer with status %d (%s).", status, reason)
	return e
}
