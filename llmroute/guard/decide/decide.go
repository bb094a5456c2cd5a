// Package decide asks services whether texts may pass: webhooks in published formats, the
// moderation endpoints of providers, and models that judge. What is done with a verdict is
// up to guard.
//
// It imports internal/jsonscan, and llmprovider/upstream, which knows the addresses that
// webhooks of objects must not name. Begin with Service, then Webhook, Moderation and Judge.
package decide

import (
	"context"
	"fmt"
	"net/http"
	"time"

	"github.com/caddyserver/caddy/v2"
)

// Service decides about texts elsewhere.
type Service interface {
	// Ask returns what the service says. An error says that it failed, and has nothing of
	// the texts.
	Ask(ctx context.Context, q *Question) (*Verdict, error)
}

// Ask sends a request of the gateway's own to a provider's endpoint, and returns the status
// and at most limit bytes of the response.
type Ask func(ctx context.Context, provider, path string, body []byte, limit int64) (status int, said []byte, err error)

// Direction is what the texts are of.
type Direction string

// The directions.
const (
	OnRequest  Direction = "request"
	OnResponse Direction = "response"
)

// Message is a text as services are asked about it.
type Message struct {
	Role    string `json:"role"`
	Content string `json:"content"`
}

// Question is what a service is asked.
type Question struct {
	Of       Direction
	Messages []Message
	Header   http.Header // the client's
	Client   string      // its name
}

// Verdict is what a service says.
type Verdict struct {
	Denied bool
	Status int // of the refusal, 0 for the guard's
	// Category is what is found, empty if the service does not say.
	Category string
	Texts    []string // in place of the messages' contents; nil to leave them
}

// The words for what becomes of a request if a service fails.
const (
	FailureClosed = "closed"
	FailureOpen   = "open"
)

const (
	// defaultTimeout is how long a service may take.
	defaultTimeout = 2 * time.Second
	// MaxAsked bounds the texts that a service is asked about at once, and what it says,
	// in bytes.
	MaxAsked = 4 << 20
	// maxAsking bounds how many requests a guard asks its service about at a time.
	maxAsking = 256
)

// checkService reports what is wrong with the settings that services have in common, if
// anything.
func checkService(service string, timeout caddy.Duration, onFailure string) error {
	switch {
	case timeout < 0:
		return fmt.Errorf("%s: the timeout is below zero; write how long it may take to decide", service)
	case onFailure != "" && onFailure != FailureClosed && onFailure != FailureOpen:
		return fmt.Errorf("%s: on_failure is %q; write %s or %s", service, onFailure, FailureClosed, FailureOpen)
	}
	return nil
}

// asker bounds what a service is asked: how long it may take, and how much at a time.
type asker struct {
	timeout time.Duration
	asking  chan struct{}
}

// newAsker takes the configured timeout, 0 for the default.
func newAsker(timeout caddy.Duration) asker {
	a := asker{time.Duration(timeout), make(chan struct{}, maxAsking)}
	if a.timeout == 0 {
		a.timeout = defaultTimeout
	}
	return a
}

// begin begins to ask. end is called when the service has decided.
func (a *asker) begin(ctx context.Context) (_ context.Context, end func(), _ error) {
	select {
	case a.asking <- struct{}{}:
	default:
		return nil, nil, fmt.Errorf("%d requests are being asked about already", maxAsking)
	}
	ctx, cancel := context.WithTimeout(ctx, a.timeout)
	return ctx, func() {
		cancel()
		<-a.asking
	}, nil
}

// askProvider asks a provider that is the service, and returns what it says with status 200.
func (a *asker) askProvider(ctx context.Context, send Ask, provider, path string, question any) ([]byte, error) {
	ctx, end, err := a.begin(ctx)
	if err != nil {
		return nil, err
	}
	defer end()
	status, said, err := send(ctx, provider, path, encoded(question), MaxAsked)
	switch {
	case ctx.Err() != nil:
		return nil, fmt.Errorf("the provider said nothing within %v", a.timeout)
	case err != nil:
		return nil, err
	case status != http.StatusOK:
		return nil, fmt.Errorf("the provider said status %d", status)
	}
	return said, nil
}
