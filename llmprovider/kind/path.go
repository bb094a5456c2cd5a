package kind

import (
	"net/http"
	"net/url"
	"strings"

	"github.com/caddy-llm/gateway/llmprovider"
	"github.com/caddy-llm/gateway/llmprovider/upstream"
)

// MainURL returns where the provider's main endpoint is: its path, or the default one of
// its kind.
func (b *Base) MainURL(t Traits) (*url.URL, error) {
	path := b.Path
	if path == "" {
		path = t.DefaultPath
	}
	u, err := upstream.ParsePath(path)
	if err != nil {
		return nil, err
	}
	return b.URL(u), nil
}

// Has reports whether a provider whose endpoints are at urls, by their suffixes, has the
// endpoint at the path that was called; see llmprovider.Provider.
func Has(urls map[string]*url.URL, e llmprovider.Endpoint) bool {
	target := urls[e.Suffix]
	if e.Operation == llmprovider.ListModels {
		target = urls[llmprovider.ModelsSuffix]
	}
	return target != nil && strings.TrimSuffix(target.EscapedPath(), "/") == e.Own
}

// Unplaced is the error for an endpoint of a provider whose path says nothing of it: it
// does not end in main. option is the option that has the path.
func Unplaced(option, main, suffix string) *llmprovider.Error {
	return &llmprovider.Error{
		Status: http.StatusNotFound, Type: llmprovider.TypeInvalidRequest, Code: "unsupported_endpoint",
		Message: "the provider's " + option + " does not end in " + main + ", so the path of its " + suffix + " endpoint cannot be derived",
	}
}

// NeedModel returns the error for a request whose model cannot be in a path, or nil: there
// is none, or a part of it between slashes would move the path elsewhere. what is how the
// provider calls a model, such as "the ID of a model".
func NeedModel(api llmprovider.API, model, what string) *llmprovider.Error {
	for part := range strings.SplitSeq(model, "/") {
		if part == "" || part == "." || part == ".." {
			return &llmprovider.Error{
				Status: http.StatusBadRequest, Type: llmprovider.TypeInvalidRequest, Code: "model_required", Param: "model", API: api,
				Message: "the provider needs " + what + "; send it as the model",
			}
		}
	}
	return nil
}

// Sibling returns u with the end of its path replaced: suffix, which may have a slash
// after it, by with. It is nil where the path does not end so, and for a nil u.
func Sibling(u *url.URL, suffix, with string) *url.URL {
	if u == nil {
		return nil
	}
	base, ok := strings.CutSuffix(strings.TrimSuffix(u.Path, "/"), suffix)
	if !ok {
		return nil
	}
	out := *u
	out.Path = base + with
	if out.RawPath != "" { // how the base was escaped
		out.RawPath = strings.TrimSuffix(strings.TrimSuffix(out.RawPath, "/"), suffix) + with
	}
	return &out
}
