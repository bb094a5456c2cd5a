package upstream

import (
	"context"
	"maps"
	"net/http"
	"strings"

	"github.com/caddy-llm/gateway/llmprovider"
	"github.com/caddy-llm/gateway/llmprovider/headername"
)

var contentJSON = []string{"application/json"}

// NewAttempt builds the request that out describes from in. It depends on its
// arguments and the configuration alone, never on an earlier attempt.
func (c *Connection) NewAttempt(ctx context.Context, in *llmprovider.Inbound, out *llmprovider.Outgoing) (*llmprovider.Attempt, *llmprovider.Error) {
	to := c.to
	send := outbound{
		forward: to.forward, keyed: out.Auth != nil || to.keyed, changed: out.Changed(in),
		extra: len(to.headers) + len(to.secrets) + len(out.Header),
	}
	header := send.header(in.Header)
	if out.Body != nil {
		dropDialect(header)
		header["Content-Type"] = contentJSON
	} else if in.IsJSON() && in.Header.Get("Content-Type") == "" {
		header["Content-Type"] = contentJSON
	}
	maps.Copy(header, out.Header)
	if to.trace != nil {
		to.trace.Inject(ctx, traceHeader{header, to.forward})
	}
	for _, name := range in.TokenHeaders {
		switch {
		case headername.IsMessage(name): // the attempt's own
		case send.keyed:
			delete(header, name)
		default:
			header[name] = in.Header[name]
		}
	}
	if err := c.authorize(header); err != nil {
		return nil, err
	}
	return llmprovider.NewAttempt(ctx, in, out, header)
}

// dropDialect removes the headers that belong to a client's API and its SDKs, and say
// nothing in another one.
func dropDialect(header http.Header) {
	for name := range header {
		if strings.HasPrefix(name, "Anthropic-") || strings.HasPrefix(name, "Openai-") || strings.HasPrefix(name, "X-Stainless-") || strings.HasPrefix(name, "X-Goog-") {
			delete(header, name)
		}
	}
	delete(header, "Accept") // of an SDK, such as text/event-stream
}
