package llmprovider

import (
	"context"
	"net/http"
)

// EndpointPicker is what chooses among a pool's endpoints instead of the gateway: a module
// of the namespace llm.endpoint_pickers. It is safe for concurrent use.
type EndpointPicker interface {
	// Pick asks for the endpoints of a request, within the time limit that the picker
	// itself has. An error of the type *PickerRefusal is the picker's response to the
	// client; any other one is a failure of the picker.
	Pick(ctx context.Context, ask *PickerRequest) (PickerSession, error)

	// FailOpen reports whether the gateway chooses itself while the picker fails.
	FailOpen() bool

	// Close gives back what the picker holds. It is called once, with the end of the
	// provider, and not with that of the context in which the module was provisioned:
	// modules of a source's providers outlive that. Requests in flight go on.
	Close() error
}

// PickerRequest is what an EndpointPicker decides by.
type PickerRequest struct {
	// Request is the request as an endpoint gets it, but for the host. GetBody gives its
	// body any number of times. Picking does not change it, nor read its Body.
	Request *http.Request

	// Subset are the only endpoints that may be picked, as hosts with ports. Default: all
	// of the pool.
	Subset []string

	// Evict is called at most once, if the picker ends the request after it has picked.
	// Then the session is still to be closed.
	Evict func(*PickerRefusal)
}

// PickerSession is one request of which an EndpointPicker knows, from its choice to the
// end of the response. Its methods are called one at a time.
type PickerSession interface {
	// Endpoints are the addresses to try, in this order, as the picker sent them.
	Endpoints() []string

	// Prepare makes the changes to the header of a request that the picker asked for. It
	// returns the body that is to be sent instead, which is not changed, or nil.
	Prepare(header http.Header) (body []byte)

	// Respond tells the picker which endpoint served the response, and makes the
	// changes to its header that the picker asks for. It wraps the body if the picker
	// wants to see it.
	Respond(ctx context.Context, served string, res *http.Response)

	// Close ends the session.
	Close()
}

// PickerRefusal is a response to the client that a picker gives itself, such as 429 when it
// sheds load, or 503 when no endpoint fits.
type PickerRefusal struct {
	Status int
	// Header are headers of the response, without those of a connection.
	Header http.Header
	Body   []byte
}

// Error implements error.
func (*PickerRefusal) Error() string { return "the endpoint picker rejected the request" }
