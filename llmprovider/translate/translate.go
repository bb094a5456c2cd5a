// Package translate fits the translation between LLM APIs (package dialect) to the
// requests of provider kinds: a kind that is asked in an API that its provider does not
// speak names one that it does, and gets the body to send and the reader of the
// response. Kinds import it; it imports dialect, each API, and llmprovider. Start
// reading at Request.
package translate

import (
	"crypto/rand"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/caddy-llm/gateway/llmprovider"
	"github.com/caddy-llm/gateway/llmprovider/dialect"
	"github.com/caddy-llm/gateway/llmprovider/dialect/chat"
	"github.com/caddy-llm/gateway/llmprovider/dialect/embeddings"
	"github.com/caddy-llm/gateway/llmprovider/dialect/gemini"
	"github.com/caddy-llm/gateway/llmprovider/dialect/messages"
	"github.com/caddy-llm/gateway/llmprovider/dialect/responses"
)

// Headers of a response that say what became of a translated request.
const (
	HeaderTranslated   = "Llm-Translated"
	HeaderDropped      = "Llm-Dropped"
	HeaderApproximated = "Llm-Approximated"
)

// Target is how a provider is asked in an API that it speaks.
type Target struct {
	// API is that API.
	API *dialect.API
	// URL is where requests go; it is not changed. If it is nil, they go below Base,
	// where the API has them.
	URL, Base *url.URL
	// MaxOutput is the output cap, in tokens, where the provider's API needs one and the
	// client names none. Default: dialect.DefaultMaxOutput.
	MaxOutput int
	// Profile is what is known of the vendor's habits; nil for nothing.
	Profile *dialect.Profile
	// Vendor is the origin tag of the provider's reasoning; see dialect.Carrier.
	// Default: that of the profile.
	Vendor string
	// Auth is the credential for the API. Default: the one that the request has already.
	Auth llmprovider.Authorizer
	// Fetch fetches what the client gives as URLs where the API takes none; nil where that is
	// not allowed.
	Fetch *dialect.FetchMedia
}

// APIOf returns the API in which the client asks, nil where requests to the endpoint are
// not translated.
func APIOf(e llmprovider.Endpoint) *dialect.API {
	switch {
	case e.Operation == llmprovider.Embeddings && e.API == llmprovider.GeminiAPI:
		return embeddings.Gemini
	case e.Operation == llmprovider.Embeddings && e.API == llmprovider.OpenAIAPI:
		return embeddings.OpenAI
	case e.API == llmprovider.MessagesAPI:
		return messages.API
	case e.API == llmprovider.GeminiAPI:
		return gemini.API
	case e.API != llmprovider.OpenAIAPI:
		return nil
	case e.Operation == llmprovider.Chat:
		return chat.API
	case e.Operation == llmprovider.Responses && e.Suffix != llmprovider.CompactSuffix, e.Operation == llmprovider.CountTokens:
		return responses.API
	}
	return nil
}

// isEmbeddings reports whether an API is one of embeddings alone.
func isEmbeddings(api *dialect.API) bool { return slices.Contains(embeddings.All, api) }

// Request fills in what is sent of the client's request in, translated for the target.
// out has the model, the stream and the credential already, as kind.Base.Outgoing fills
// them in; its stream is what the provider is asked for, and the client gets what it
// asked for. The error is what the client is to be told: the request cannot be
// translated.
func Request(in *llmprovider.Inbound, s llmprovider.Settings, t *Target, out *llmprovider.Outgoing) *llmprovider.Error {
	return Best(in, s, []*Target{t}, out)
}

// Best is Request for a provider that can be asked in several APIs: the one that keeps most
// of the request, which is the first of those in which the least is dropped and then
// approximated. There must be one target at least.
func Best(in *llmprovider.Inbound, s llmprovider.Settings, targets []*Target, out *llmprovider.Outgoing) *llmprovider.Error {
	from := APIOf(in.Endpoint)
	if t := targets[len(targets)-1]; from == nil || !in.IsJSON() || isEmbeddings(from) != isEmbeddings(t.API) {
		return Unsupported(in.Endpoint, t.API.Name)
	}
	m, refused := read(in, from)
	if refused != nil {
		return refused
	}
	request := m.request
	t, sent, refused := best(m, s, out, targets)
	if refused != nil {
		return refused
	}
	if s.Strict {
		if refused = sent.Loss.Strict(from); refused != nil {
			refused.API = from.Errors
			return refused
		}
	}
	if sent.Wanted != nil {
		if sent, refused = m.fetch(in, s, t, out, sent.Wanted); refused != nil {
			refused.API = from.Errors
			return refused
		}
	}
	if t.Auth != nil {
		out.Auth = t.Auth
	}
	vendor := t.vendor()
	translation := &llmprovider.Translation{
		From: from.Name, To: t.API.Name,
		Dropped: sent.Loss.Fields(from, dialect.Dropped), Approximated: sent.Loss.Fields(from, dialect.Approximated),
	}
	if out.URL = t.URL; out.URL == nil {
		out.URL = llmprovider.Below(t.Base, sent.Path, sent.Query)
	}
	out.Body = sent.Body
	out.Endpoint = llmprovider.Endpoint{Operation: in.Endpoint.Operation, API: t.API.Errors, Suffix: sent.Path}
	out.Translation = translation
	out.AddedStreamOptions = t.API == chat.API && out.Stream && !s.WithoutStreamOptions
	to, stream, array := t.API, in.Stream, in.Array
	out.NewReader = func(*http.Response, bool) llmprovider.Reader {
		return &reader{translation: translation, api: from, Response: dialect.NewResponse(to, from, dialect.ResponseOptions{
			Request: request, Model: request.Model, Stream: stream, Array: array, Vendor: vendor, ID: rand.Text(), Created: time.Now().Unix(),
		})}
	}
	return nil
}

// best translates a request for the target that keeps most of it. Where all refuse it,
// the error is that of the last one.
func best(m *meaning, s llmprovider.Settings, out *llmprovider.Outgoing, targets []*Target) (t *Target, sent *dialect.Translation, refused *llmprovider.Error) {
	var than *dialect.Loss // nil until there is a translation
	for _, other := range targets {
		translation, err := m.write(s, other, out, than)
		switch {
		case err != nil:
			refused = err
			continue
		case translation == nil: // it would lose as much
			continue
		}
		t, sent, than = other, translation, &translation.Loss
		if !m.request.Loss.Less(than) { // no API could keep more
			break
		}
	}
	if sent != nil {
		refused = nil
	}
	return t, sent, refused
}

// meaning is what a client's request says, and what was fetched for it, for all attempts.
type meaning struct {
	request *dialect.Request
	fetched map[dialect.Wanted]*dialect.Fetched
}

// write translates the request for a target. It returns nil if no less would be lost than
// what than says, if it is set.
func (m *meaning) write(s llmprovider.Settings, t *Target, out *llmprovider.Outgoing, than *dialect.Loss) (*dialect.Translation, *llmprovider.Error) {
	target := dialect.Target{
		Model: out.Model, Stream: out.Stream, NoStreamOptions: s.WithoutStreamOptions, MaxOutput: t.MaxOutput, Profile: t.Profile, Vendor: t.vendor(), Than: than,
	}
	if t.Fetch != nil {
		target.MaxFetched, target.Fetched = t.Fetch.MaxSize, m.fetched
	}
	return dialect.Translate(m.request, t.API, target)
}

// fetch fetches what a target's API does not take as URLs, and translates the request with
// it.
func (m *meaning) fetch(in *llmprovider.Inbound, s llmprovider.Settings, t *Target, out *llmprovider.Outgoing, wanted []dialect.Wanted) (*dialect.Translation, *llmprovider.Error) {
	got, refused := t.Fetch.Fetch(wanted, in.Hold)
	if refused != nil {
		return nil, refused
	}
	if m.fetched == nil {
		m.fetched = make(map[dialect.Wanted]*dialect.Fetched, len(got))
	}
	maps.Copy(m.fetched, got)
	return m.write(s, t, out, nil)
}

// vendor returns the origin tag of the provider's reasoning.
func (t *Target) vendor() string {
	if t.Vendor == "" && t.Profile != nil {
		return t.Profile.Vendor
	}
	return t.Vendor
}

// read returns the client's request as it was read, once for all attempts.
func read(in *llmprovider.Inbound, from *dialect.API) (*meaning, *llmprovider.Error) {
	if m, ok := in.Meaning.(*meaning); ok && m.request.API == from {
		return m, nil
	}
	request, refused := dialect.Read(from, in.Body(), dialect.Call{
		Model: in.Endpoint.Model, Stream: in.Endpoint.Suffix == llmprovider.StreamSuffix, Count: in.Endpoint.Operation == llmprovider.CountTokens,
	})
	if refused != nil {
		return nil, refused
	}
	m := &meaning{request: request}
	in.Meaning = m
	return m, nil
}

// Unsupported is the error for an endpoint that a provider does not have and that
// requests are not translated for. speaks names what the provider does speak.
func Unsupported(e llmprovider.Endpoint, speaks string) *llmprovider.Error {
	if e.Operation == llmprovider.StoredResponse {
		return &llmprovider.Error{
			Status: http.StatusNotFound, Type: llmprovider.TypeInvalidRequest, Code: "unsupported_endpoint", API: e.API,
			Message: "the provider speaks the API " + speaks + ", which does not store responses; send the whole conversation with each request",
		}
	}
	return &llmprovider.Error{
		Status: http.StatusNotFound, Type: llmprovider.TypeInvalidRequest, Code: "unsupported_endpoint", API: e.API,
		Message: "the provider of this model speaks the API " + speaks + ", and the gateway does not translate " + e.Path() + " for it; call an endpoint that both have, or ask for another model",
	}
}

// reader is the reader of a translated response. It adds to the head what became of the
// request, and, where the response is not streamed, of the response.
type reader struct {
	translation *llmprovider.Translation
	api         *dialect.API // the client's
	head        *llmprovider.Head
	*dialect.Response
}

// Head implements llmprovider.Reader.
func (r *reader) Head(h *llmprovider.Head) {
	r.Response.Head(h)
	r.head = h
	h.Header[HeaderTranslated] = []string{r.translation.To + "; from=" + r.translation.From}
	if names := r.translation.Dropped; len(names) > 0 {
		h.Header[HeaderDropped] = []string{strings.Join(names, ", ")}
	}
	if names := r.translation.Approximated; len(names) > 0 {
		h.Header[HeaderApproximated] = []string{strings.Join(names, ", ")}
	}
}

// Finish implements llmprovider.Reader. What of the response the client is not told, or told
// otherwise, is known now: it is in the log, and in the head of a response that has not begun.
func (r *reader) Finish(pass func([]byte) error) error {
	err := r.Response.Finish(func(p []byte) error {
		r.note()
		return pass(p)
	})
	r.note() // of a stream, whose last event came before
	return err
}

func (r *reader) note() {
	r.add(&r.translation.Dropped, dialect.Dropped, HeaderDropped)
	r.add(&r.translation.Approximated, dialect.Approximated, HeaderApproximated)
}

// add adds what was lost of the response to what was lost of the request.
func (r *reader) add(known *[]string, class dialect.Class, header string) {
	names := r.Loss().Fields(r.api, class)
	if len(names) == 0 {
		return
	}
	names = append(names, *known...)
	slices.Sort(names)
	*known = slices.Compact(names)
	if !r.head.Stream {
		r.head.Header[header] = []string{strings.Join(*known, ", ")}
	}
}

// Interface guards
var _ llmprovider.Reader = (*reader)(nil)
