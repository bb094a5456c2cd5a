package decide

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/caddyserver/caddy/v2"

	"github.com/caddy-llm/gateway/llmprovider/upstream"
)

// Webhook is a service that a guard asks about texts, in a published format.
type Webhook struct {
	// Where the service is: an http or https URL. Required.
	URL string `json:"url"`

	// The format that the service speaks: `agentgateway`, which kgateway has too, or
	// `litellm`, the generic guardrail API of LiteLLM. In the first, `/request` and
	// `/response` are appended to the URL's path; in the second
	// `/beta/litellm_basic_guardrail_api`, unless the path ends with it. Required.
	Format string `json:"format"`

	// How long the service may take for one request or response. Default: 2s.
	Timeout caddy.Duration `json:"timeout,omitempty"`

	// What happens to a request or a response about which the service gives no response in
	// time, or not in its format: with `closed` it is refused with status 503, with `open`
	// it passes. Default: `closed`.
	OnFailure string `json:"on_failure,omitempty"`

	// The client's headers that the service gets. Default: none.
	ForwardHeaders []string `json:"forward_headers,omitempty"`

	// FixedHeaders are further headers that the service gets, credentials among them.
	// Sources set it, which read the values themselves.
	FixedHeaders map[string]string `json:"-"`

	// Guarded refuses connections to what upstream.Internal knows, whatever the host's name
	// stands for. Sources set it, whose writers may not configure the gateway.
	Guarded bool `json:"-"`
}

// The formats of webhooks.
const (
	FormatAgentgateway = "agentgateway"
	FormatLiteLLM      = "litellm"
)

const liteLLMPath = "/beta/litellm_basic_guardrail_api"

// Check reports what is wrong with the webhook, if anything. The errors do not repeat the
// URL, which may have a token in it.
func (w *Webhook) Check() error {
	u, err := url.Parse(w.URL)
	switch {
	case err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "":
		return errors.New("webhook: this is not a URL that can be called; write http://HOST:PORT/PATH or https://HOST/PATH")
	case u.User != nil:
		return errors.New("webhook: the URL has a user; credentials do not belong into it, forward a header instead")
	case w.Format != FormatAgentgateway && w.Format != FormatLiteLLM:
		return fmt.Errorf("webhook: the format is %q; write format %s or %s", w.Format, FormatAgentgateway, FormatLiteLLM)
	}
	return checkService("webhook", w.Timeout, w.OnFailure)
}

// webhook is a Webhook in use.
type webhook struct {
	*Webhook
	asker
	urls      map[Direction]string
	transport http.RoundTripper
}

// NewWebhook returns the service at a webhook, which Check has seen.
func NewWebhook(w *Webhook) Service {
	u, _ := url.Parse(w.URL) // was checked
	h := &webhook{Webhook: w, asker: newAsker(w.Timeout), urls: make(map[Direction]string)}
	for _, of := range []Direction{OnRequest, OnResponse} {
		to := *u
		to.Path, to.RawPath = strings.TrimSuffix(u.Path, "/"), strings.TrimSuffix(u.RawPath, "/")
		suffix := "/" + string(of)
		if w.Format == FormatLiteLLM {
			suffix = liteLLMPath
		}
		if w.Format != FormatLiteLLM || !strings.HasSuffix(to.Path, suffix) {
			to.Path += suffix
			if to.RawPath != "" {
				to.RawPath += suffix
			}
		}
		h.urls[of] = to.String()
	}
	dial := (&net.Dialer{Timeout: 10 * time.Second}).DialContext
	if w.Guarded {
		dial = upstream.GuardDial(dial)
	}
	h.transport = &http.Transport{
		DialContext:            dial,
		MaxIdleConnsPerHost:    64,
		IdleConnTimeout:        30 * time.Second,
		MaxResponseHeaderBytes: 64 << 10,
		ForceAttemptHTTP2:      true,
	}
	return h
}

// Ask implements Service.
func (h *webhook) Ask(ctx context.Context, q *Question) (*Verdict, error) {
	ctx, end, err := h.begin(ctx)
	if err != nil {
		return nil, err
	}
	defer end()
	var body []byte
	var read func([]byte, *Question) (*Verdict, error)
	if h.Format == FormatLiteLLM {
		body, read = h.liteLLM(q), readLiteLLM
	} else {
		body, read = q.agentgateway(), readAgentgateway
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, h.urls[q.Of], bytes.NewReader(body))
	if err != nil {
		return nil, errors.New("the request to the service cannot be made")
	}
	for _, name := range h.ForwardHeaders {
		if values := q.Header.Values(name); len(values) > 0 {
			req.Header[http.CanonicalHeaderKey(name)] = values
		}
	}
	for name, value := range h.FixedHeaders {
		req.Header.Set(name, value)
	}
	req.Header.Set("Content-Type", "application/json")
	if h.Guarded {
		upstream.RefuseAdmin(req.Header)
	}
	res, err := h.transport.RoundTrip(req) // which follows no redirects
	if err != nil {
		if ctx.Err() != nil {
			return nil, fmt.Errorf("the service said nothing within %v", h.timeout)
		}
		return nil, errors.New("the service cannot be reached")
	}
	defer res.Body.Close()
	said, err := io.ReadAll(io.LimitReader(res.Body, MaxAsked+1))
	switch {
	case err != nil:
		return nil, errors.New("the service broke off")
	case res.StatusCode != http.StatusOK:
		return nil, fmt.Errorf("the service said status %d", res.StatusCode)
	case len(said) > MaxAsked:
		return nil, fmt.Errorf("the service said more than %d MiB", MaxAsked>>20)
	}
	return read(said, q)
}

// headers are the client's as LiteLLM's format has them: those that are not forwarded by
// their names alone.
func (h *webhook) headers(header http.Header) map[string]string {
	out := make(map[string]string, len(header))
	for name := range header {
		out[strings.ToLower(name)] = "[present]"
	}
	for _, name := range h.ForwardHeaders {
		if values := header.Values(name); len(values) > 0 {
			out[strings.ToLower(name)] = strings.Join(values, ", ")
		}
	}
	return out
}

func encoded(v any) []byte {
	var out bytes.Buffer
	e := json.NewEncoder(&out)
	e.SetEscapeHTML(false)
	_ = e.Encode(v) // of strings
	return out.Bytes()
}

// Interface guards
var _ Service = (*webhook)(nil)
