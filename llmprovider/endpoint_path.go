package llmprovider

import (
	"net/http"
	"net/url"
	"strings"
	"unicode"
	"unicode/utf8"
)

// apiNames are path segments that name an API. An endpoint's name below one of
// them is part of that API: /v1/files/completions would be a file. They are the
// first segments of OpenAI's API reference, those of the endpoints above, and
// those of Anthropic's and Google's APIs.
var apiNames = map[string]bool{
	"answers": true, "assistants": true, "audio": true, "batches": true, "chat": true, "chatkit": true, "classifications": true,
	"classify": true, "completions": true, "containers": true, "conversations": true, "deployments": true, "detokenize": true, "edits": true,
	"embeddings": true, "engines": true, "evals": true, "files": true, "fine-tunes": true, "fine_tuning": true, "images": true,
	"models": true, "moderations": true, "organization": true, "pooling": true, "realtime": true, "rerank": true, "responses": true,
	"score": true, "search": true, "skills": true, "threads": true, "tokenize": true, "uploads": true, "vector_stores": true, "videos": true,
	"complete": true, "messages": true, // Anthropic
	"cachedcontents": true, "corpora": true, "tunedmodels": true, // Google
}

// EndpointOf reads which endpoint a request's method and path name. It is the
// one reading of a path: policies judge, and the router calls, what it returns.
// It depends on nothing else, and each path has one.
//
// The endpoints of Google's API end in a model's name and what is to be done with it.
// Chat completions are the empty path, / and paths that end in
// /chat/completions. The other endpoints' names count at the start, below a
// version (/v1, /compatible-mode/v1), below /openai, and below
// /openai/deployments/NAME, where NAME is the model. Stored responses are below
// /responses, by the request's method. No name counts below that of
// another API. A path is read as it was sent: with its case, without resolving
// escapes, dot segments and double slashes, and without one slash at its end.
//
// A path that is none of these may still be a provider's own. Its endpoint has
// Own set: an endpoint that its end names, or else chat completions, if the
// provider has that path (see Provider.Has), and otherwise nothing.
func EndpointOf(method string, u *url.URL) Endpoint {
	path := u.EscapedPath()
	if path == "" || path == "/" {
		return endpoints[0]
	}
	path = strings.TrimSuffix(path, "/")
	if method == http.MethodGet || method == http.MethodHead {
		if e, ok := modelsEndpoint(path); ok {
			return e
		}
	}
	if e, ok := modelEndpoint(path); ok {
		return e
	}
	if e, ok := storedEndpoint(method, u, path); ok {
		return e
	}
	if prefix, ok := strings.CutSuffix(path, ChatSuffix); ok {
		e := endpoints[0]
		if e.Model, ok = rootOf(prefix, true); !ok {
			e.Own = path
		}
		return e
	}
	for _, e := range endpoints[1:] {
		if prefix, ok := strings.CutSuffix(path, e.Suffix); ok {
			if e.Model, ok = rootOf(prefix, false); !ok {
				e.Own = path
			}
			return e
		}
	}
	return Endpoint{Operation: Chat, Own: path}
}

// modelEndpoint reads a path that names a model and, after a colon, what Google's API
// is to do with it: below a version, and on Vertex AI below the model's publisher,
// /v1/projects/PROJECT/locations/LOCATION/publishers/google.
func modelEndpoint(path string) (Endpoint, bool) {
	for _, e := range modelEndpoints {
		rest, ok := strings.CutSuffix(path, e.Suffix)
		if !ok {
			continue
		}
		i := strings.LastIndex(rest, ModelsSuffix+"/")
		if i < 0 {
			return e, false
		}
		var name string
		if name, ok = nameIn(rest[i+len(ModelsSuffix)+1:]); !ok {
			return e, false
		}
		prefix := rest[:i]
		e.Model = name
		if i := strings.LastIndex(prefix, "/publishers/"); i > 0 && !strings.Contains(prefix[i+len("/publishers/"):], "/") {
			_, ok = plainPath(prefix)
			return e, ok
		}
		if deployment, ok := rootOf(prefix, false); !ok || deployment != "" {
			return e, false
		}
		return e, true
	}
	return Endpoint{}, false
}

// modelsEndpoint reads a path that asks for the list of models or for one of
// them, whose name may have slashes.
func modelsEndpoint(path string) (e Endpoint, ok bool) {
	own := Endpoint{}
	first := -1 // where the first segment of that name ends
	for start := 0; ; {
		i := strings.Index(path[start:], ModelsSuffix)
		if i < 0 {
			return own, own.Own != ""
		}
		i += start
		end := i + len(ModelsSuffix)
		start = end
		if end < len(path) && path[end] != '/' {
			continue // such as /modelsets
		}
		// That is the name of an API, below which nothing counts unless it is a deployment's.
		// So a path of thousands of them is not read thousands of times.
		counts := first < 0 || first == i
		if first < 0 {
			first = end
		}
		e := Endpoint{Operation: ListModels, Suffix: ModelsSuffix}
		if end < len(path) {
			name, ok := nameIn(path[end+1:])
			if !ok {
				continue
			}
			e.Suffix += "/" + name
		}
		root := false
		if counts {
			_, root = rootOf(path[:i], false)
		}
		if root {
			if strings.HasSuffix(path[:i], "/v1beta") || strings.HasSuffix(path[:i], "/v1alpha") { // versions that Google's API alone has
				e.API = GeminiAPI
			}
			return e, true
		}
		if own.Own == "" {
			own, own.Own = e, path[:end]
		}
	}
}

// rootOf reports whether an endpoint's name counts below the prefix, and returns
// the deployment that the prefix names, if it does. A provider's path may be
// anything before /chat/completions.
func rootOf(prefix string, chat bool) (model string, ok bool) {
	const deployments = "/openai/deployments/"
	if prefix == "" {
		return "", true
	}
	if i := strings.LastIndex(prefix, deployments); i >= 0 && !strings.Contains(prefix[i+len(deployments):], "/") {
		if _, ok = plainPath(prefix[:i]); !ok {
			return "", false
		}
		return nameIn(prefix[i+len(deployments):])
	}
	last, ok := plainPath(prefix)
	return "", ok && (chat || last == "openai" || isVersion(last))
}

// plainPath returns a path's last segment. It reports whether the segments can be
// read in one way only and name no API.
func plainPath(path string) (last string, ok bool) {
	for path != "" {
		if path[0] != '/' {
			return "", false
		}
		last, path = path[1:], ""
		if i := strings.IndexByte(last, '/'); i >= 0 {
			last, path = last[:i], last[i:]
		}
		if last == "" || last == "." || last == ".." || strings.ContainsAny(last, `%;\`) || apiNames[strings.ToLower(last)] {
			return "", false
		}
	}
	return last, true
}

// isVersion reports whether a path segment is an API's version, such as v1,
// v1beta or v1alpha2.
func isVersion(segment string) bool {
	if len(segment) < 2 || segment[0] != 'v' || segment[1] < '0' || segment[1] > '9' {
		return false
	}
	for _, c := range []byte(segment[2:]) {
		if (c < '0' || c > '9') && (c < 'a' || c > 'z') {
			return false
		}
	}
	return true
}

// nameIn reads the name of a model in a path, escapes resolved. It reports
// whether it can be read in one way only.
func nameIn(escaped string) (name string, ok bool) {
	if len(escaped) > 3*maxModelName { // whatever is escaped
		return "", false
	}
	name, err := url.PathUnescape(escaped)
	if err != nil || len(name) > maxModelName || !utf8.ValidString(name) || strings.ContainsFunc(name, unicode.IsControl) {
		return "", false
	}
	for segment := range strings.SplitSeq(name, "/") {
		if segment == "" || segment == "." || segment == ".." {
			return "", false
		}
	}
	return name, true
}
