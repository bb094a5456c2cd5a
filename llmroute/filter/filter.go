// Package filter is the seam between the attempt loop of llmroute and what looks at
// requests before they are sent and at responses before clients get them: guards,
// prompts and limits. A filter holds wherever the gateway serves LLM requests: at sites, at Gateways'
// ports and in sidecars.
//
// Of the gateway it imports llmprovider. Begin with Filter, then Step.
package filter

import (
	"context"
	"net/http"
	"time"

	"go.uber.org/zap"

	"github.com/caddy-llm/gateway/llmprovider"
)

// Filter looks at every request that is about to be sent to a provider: its client
// is known, its rule and its first provider are chosen, and its body is read. It is
// safe for concurrent use, and is used by requests that have begun until their end,
// even if the configuration that it comes from has ended meanwhile.
type Filter interface {
	// Begin looks at a request. It returns what the filter has to do with the
	// response, or nil if that is nothing. An error refuses the request, and is what
	// the client is told; filters that began earlier then see its end. With a Retargeter
	// beside it, the error is about the provider alone: the request is sent to another
	// backend of its rule if Next lets it, and the client is told if there is none.
	Begin(ctx context.Context, c *Call) (Step, *llmprovider.Error)
}

// Step is what one filter does with one request. Its methods are called one at a
// time.
type Step interface {
	// Reader returns the reader of the response that the client gets: next, or one
	// around it. It is called once at most, before anything of the response was
	// read.
	Reader(next llmprovider.Reader) llmprovider.Reader

	// End is called exactly once, when the request has come to its end in any way.
	// o is valid during the call.
	End(o *Outcome)
}

// Retargeter is implemented by steps that depend on which provider a request is sent
// to.
type Retargeter interface {
	// Next is called before each attempt but the one that Begin was about, with what
	// became of those before. An error keeps the attempt from being made: then another backend is
	// tried, and the client is told if there is none.
	Next(ctx context.Context, to *Target, o *Outcome) *llmprovider.Error
}

// Responder is implemented by steps that may have the response to a request. Then no
// provider is asked, and filters that would begin later do not see the request.
type Responder interface {
	// Response is called once, after Begin. It returns nil if a provider is to be asked.
	// The header that it returns is the caller's; the body is not changed.
	Response() *Response
}

// Decider is implemented by steps that may still refuse the request when Begin has returned:
// a provider is asked meanwhile, and the client gets nothing before they have decided.
type Decider interface {
	// Decide is called once, after Begin. It returns nil if there is nothing left to decide.
	// Else the channel is closed when the step has decided, at the latest during End. If it
	// refuses the request, it calls refuse before that, from another goroutine and once: this
	// ends the attempts.
	Decide(refuse func(*llmprovider.Error)) (decided <-chan struct{})
}

// Response is a response of status 200 that no provider has to give.
type Response struct {
	Header http.Header
	// Stream reports whether Body is a stream of events.
	Stream bool
	Body   []byte
	// Given is called once no filter can refuse the response any more, before the client gets
	// it. It may be nil.
	Given func()
}

// Target is where an attempt goes.
type Target struct {
	// Provider is the provider's name, and Model what it is asked for.
	Provider, Model string
	// Cost is that of Call, for this target.
	Cost func(u *llmprovider.Usage) (c Cost, ok bool)
	// Sent is that of Call, for this target.
	Sent *Sent
}

// Sent is what the response of a target depends on, beside the request.
type Sent struct {
	// Config is a digest of the provider's configuration, and of the settings of it that
	// are used.
	Config [32]byte
	// Stream reports whether the provider is asked for a stream.
	Stream bool
	// Strict reports whether a request that cannot be translated without loss is refused.
	Strict bool
	// Forwards reports whether the provider gets a client's header of that name, in
	// canonical form.
	Forwards func(name string) bool
}

// Call is a request as filters see it. It is not changed while filters look at it,
// but for Header, LogFields and Inbound's body, and what they keep of it must not be
// changed later.
type Call struct {
	// Request is the client's, with its body read. The remote address, headers, and
	// variables of Caddy's are where Caddy's matchers look for them.
	Request *http.Request
	// Inbound is what the gateway read of it. Its body is valid during Begin, which may
	// replace it.
	Inbound *llmprovider.Inbound
	// Header is that of the response, whoever gives it.
	Header http.Header
	// Time is when the request came.
	Time time.Time

	// Client is who is calling.
	Client Client
	// Rule is the name of the rule that matched, or empty, and Table that of the table
	// that it is of, if it is of one.
	Rule, Table string
	// Route is the object of a source that the rule comes from; zero for one of the
	// configuration.
	Route Object
	// Gateway is the table of the Gateway that the request came in by, as
	// namespace/name; empty at sites that route by none, and in sidecars.
	Gateway string
	// Guards are the names of the guards that the rule, the client's virtual key and the
	// providers name.
	Guards []string
	// Prompts are the names of the prompts that they name.
	Prompts []string
	// LogFields are added to the access log, if a filter appends some. They must not hold
	// the client's text.
	LogFields []zap.Field
	// Provider is the provider that is asked first, and Model what it is asked for.
	Provider, Model string
	// Stream reports whether the provider is asked for a stream.
	Stream bool
	// Sent is what the response of Provider depends on, beside the request; nil unless the
	// rule has a cache.
	Sent *Sent
	// Workload and Namespace are those that the gateway acts for, in a sidecar, or is
	// itself.
	Workload, Namespace string

	// Cost returns what usage costs at the prices of Provider and Model in force at
	// Time. ok is false without such a price.
	Cost func(u *llmprovider.Usage) (c Cost, ok bool)
}

// Object names an object of a source.
type Object struct{ Kind, Namespace, Name string }

// Client is who is calling, as far as the gateway has found out.
type Client struct {
	// Name is that of the virtual key; empty without one.
	Name string
	// Realm is where Name is known: the file or the Secret that the key stands in. Other
	// realms may know others by the same name.
	Realm string
	// Limit is the name of the definition of limits that the key's line names; empty
	// for none.
	Limit string
	// Principal is that of the verified token, ISSUER/SUBJECT; empty without one.
	Principal string
	// Claim returns the texts of a claim of the verified token, given as the names that
	// lead to it; none without it. It is nil without a token.
	Claim func(path []string) []string
}

// Cost is an amount of money.
type Cost struct {
	// Nano is in billionths of the currency.
	Nano uint64
	// Currency is the price table's, such as USD.
	Currency string
}

// Outcome is how a request ended.
type Outcome struct {
	// Model is what the last attempt asked for.
	Model string
	// Attempts is the number of attempts that were sent, each endpoint of a pool counted.
	Attempts int
	// TimedOut is how many of these reached a provider that did not respond in time.
	TimedOut int
	// Usage is what all responses to the request reported, those that were passed
	// over in favour of another provider's included.
	Usage llmprovider.Usage
	// Cost is what they cost; CostKnown is false if some has no price.
	Cost      Cost
	CostKnown bool
	// Complete reports whether the response came to its end without an error.
	Complete bool
	// ClientGone reports whether the client left before.
	ClientGone bool
	// Denied reports whether the last attempt was ended by a Decider, so that the provider may
	// have used more than it reported.
	Denied bool
	// Err is the gateway's own error, nil without one.
	Err *llmprovider.Error
}
