package meter

import (
	"time"

	"go.uber.org/zap"

	"github.com/caddy-llm/gateway/llmprovider"
	"github.com/caddy-llm/gateway/llmroute/authz"
	"github.com/caddy-llm/gateway/llmroute/httproute"
	"github.com/caddy-llm/gateway/llmroute/price"
)

const (
	// errorInside is what a response is counted and logged as in which the provider
	// reports an error after it has begun.
	errorInside = "provider_error"
	// ErrorClientGone is what a request is counted as whose client left.
	ErrorClientGone = "client_gone"
)

// Outcome is what became of a request: so far, or in the end. Metrics, prices, traces and
// logs are made of it.
type Outcome struct {
	Began     time.Time
	Operation llmprovider.Operation // empty for what is no LLM request
	Rule      string                // its name, which may be empty
	Client    string                // the name of the virtual key, empty without one
	Attempts  int                   // that there were, a pool's endpoints not counted

	// The attempt whose response the client got, or the last one.
	Provider    *Provider // nil without an attempt
	Host        string    // of the provider
	Endpoint    string    // of a pool, or empty
	Model       string    // asked of the provider
	FixedModel  bool      // the configuration's, not the client's
	Translation *llmprovider.Translation

	Status     int           // the provider's response that the client got
	FirstToken time.Duration // from Began to the first event with content of a stream
	Overhead   time.Duration // until the response's head, less what the request's body and providers took
	Compressed bool          // the response is, so that its usage cannot be read
	Usage      llmprovider.Usage
	Discarded  llmprovider.Usage // the usage of responses that were not given to the client
	Charges    price.Charges     // for both

	Failure *llmprovider.Error // the gateway's own error, if it answered with one
	Denial  *authz.Decision    // what did not let the request pass
	Handled *httproute.Call    // by the rule's handler, nil without one
	Aborted bool               // the response broke off after it had begun
	Gone    bool               // the client left
	Erred   bool               // the provider reported an error inside a response that had begun well

	LogFields []zap.Field // of filters
}

// ErrorType is why the request failed, for metrics and traces; empty if it did not.
func (o *Outcome) ErrorType() string {
	switch {
	case o.Gone:
		return ErrorClientGone
	case o.Failure != nil:
		return o.Failure.Code
	case o.Erred:
		return errorInside
	case o.Status >= 400:
		return StatusText(o.Status)
	}
	return ""
}

// Total is what all responses to the request reported: those that were passed over as well
// as the one that the client got.
func (o *Outcome) Total() llmprovider.Usage {
	u := o.Usage
	u.Add(&o.Discarded)
	return u
}
