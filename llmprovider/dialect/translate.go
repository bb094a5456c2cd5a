package dialect

import (
	"fmt"
	"net/http"
	"net/url"
	"strings"

	"github.com/caddy-llm/gateway/internal/jsonscan"
	"github.com/caddy-llm/gateway/llmprovider"
)

// Translation is a request as it is sent to a provider of another API.
type Translation struct {
	// Body is the new body.
	Body []byte
	// Path and Query are where it goes below the path of all of the API's requests,
	// such as /chat/completions or /models/NAME:generateContent. The path is escaped.
	Path, Query string
	// Loss is what the provider is not told.
	Loss Loss
	// Wanted is what is to be fetched before there is a body; see Target.MaxFetched. Without
	// repetitions, nil for nothing.
	Wanted []Wanted
}

// maxValues is how many values a request may have that is translated. What is read of one takes
// up to sixty bytes, whatever its length. Anthropic takes 100,000 messages:
// https://docs.anthropic.com/en/api/messages
const maxValues = 300_000

// Read reads a client's request in the API from. The body must be valid JSON, and
// must not be changed while the request is in use. The error is what the client is to
// be told.
func Read(from *API, body []byte, call Call) (*Request, *llmprovider.Error) {
	if len(body) > maxValues && jsonscan.Commas(body) > maxValues {
		return nil, &llmprovider.Error{
			Status: http.StatusRequestEntityTooLarge, Type: llmprovider.TypeInvalidRequest, Code: "request_too_large", API: from.Errors,
			Message: fmt.Sprintf("the request has more than %d values, too many to translate it for the provider of this model; send fewer messages and parts", maxValues),
		}
	}
	r := &Request{API: from, Source: body}
	err := from.ReadRequest(r, body, call)
	if err == nil && sameIDs(r.Turns) {
		err = Invalid(from.CallID, "an id that no other call of the same turn has")
	}
	if err != nil {
		err.API = from.Errors
		return nil, err
	}
	return r, nil
}

// sameIDs reports whether two calls that wait for results at once have the same id: whose
// result is whose cannot be told. In turns that follow, ids may come again.
func sameIDs(turns []Turn) bool {
	seen := make(map[string]bool)
	for i := range turns {
		if turns[i].Role != Assistant {
			clear(seen)
			continue
		}
		for _, p := range turns[i].Parts {
			if p.Kind != ToolCall {
				continue
			}
			if seen[p.Call.ID] {
				return true
			}
			seen[p.Call.ID] = true
		}
	}
	return false
}

// Translate writes a request for a provider that speaks the API to. The request is
// not changed. The error is a refusal, which the client is to be told: no provider of
// this API could have the request. A translation that is given up is nil.
func Translate(r *Request, to *API, target Target) (*Translation, *llmprovider.Error) {
	if target.Profile == nil {
		target.Profile = new(Profile)
	}
	if target.Vendor == "" {
		target.Vendor = target.Profile.Vendor
	}
	copied := *r // whose loss the writer adds to
	if short := r.shortNames(to.MaxToolName); short != nil {
		copied = *r.withNames(short)
		copied.Loss.Approximate(CToolName)
	}
	copied.wanted, copied.uses, copied.placed = nil, 0, 0
	body, err := write(&copied, to, target)
	if err == nil {
		err = copied.checkFetched(&target)
	}
	if err != nil {
		err.API = r.API.Errors
		return nil, err
	}
	if target.givenUp(&copied.Loss) {
		return nil, nil
	}
	t := &Translation{Body: body, Loss: copied.Loss, Wanted: copied.wanted}
	if t.Wanted != nil {
		t.Body = nil
	}
	t.Path, t.Query = to.Path(r, &target)
	return t, nil
}

func write(r *Request, to *API, target Target) ([]byte, *llmprovider.Error) {
	if r.Count && to.CountMember == "" {
		return nil, &llmprovider.Error{
			Status: http.StatusNotFound, Type: llmprovider.TypeInvalidRequest, Code: "unsupported_endpoint",
			Message: "the provider of this model does not count tokens; leave the count out, or estimate it",
		}
	}
	return to.WriteRequest(r, target)
}

// NeedModel returns the error for a request without a model, for APIs that cannot do
// without one, or nil.
func (t *Target) NeedModel() *llmprovider.Error {
	if t.Model != "" {
		return nil
	}
	return &llmprovider.Error{
		Status: http.StatusBadRequest, Type: llmprovider.TypeInvalidRequest, Code: "model_required", Param: "model",
		Message: "the request names no model, and the provider's API requires one; name the model",
	}
}

// GoogleName returns the name of a model in Google's APIs: with that of its collection,
// which is models unless the model names another one, as in tunedModels/NAME.
func GoogleName(model string) string {
	if strings.Contains(model, "/") {
		return model
	}
	return "models/" + model
}

// GoogleModel returns the path of a model in Google's APIs, escaped and below that of the
// version.
func GoogleModel(model string) string {
	collection, name, _ := strings.Cut(GoogleName(model), "/")
	return "/" + url.PathEscape(collection) + "/" + url.PathEscape(name)
}

// EscapeModel returns a model's id as one segment of a path, as AWS's signatures want
// it: with every byte escaped that is not unreserved in RFC 3986.
func EscapeModel(id string) string {
	const hex = "0123456789ABCDEF"
	out := make([]byte, 0, len(id)+8)
	for _, c := range []byte(id) {
		if '0' <= c && c <= '9' || 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || c == '-' || c == '.' || c == '_' || c == '~' {
			out = append(out, c)
		} else {
			out = append(out, '%', hex[c>>4], hex[c&15])
		}
	}
	return string(out)
}
