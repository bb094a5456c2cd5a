package llmprovider

import (
	"math/rand/v2"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"testing"
)

// readable is the rule of EndpointOf as expressions, for POST. A segment is one
// that names no API, which they cannot say.
var (
	segmentPattern = `/[A-Za-z0-9._~!$&'()*+,=:@-]+`
	readableChat   = regexp.MustCompile(`^((` + segmentPattern + `)*|(` + segmentPattern + `)*/openai/deployments/[^/]+)/chat/completions/?$`)
	readableOther  = regexp.MustCompile(`^(|(` + segmentPattern + `)*/(v[0-9][a-z0-9]*|openai)|(` + segmentPattern + `)*/openai/deployments/[^/]+)` +
		`/(completions|responses|responses/compact|responses/input_tokens|embeddings|rerank|moderations|images/(generations|edits|variations)|` +
		`audio/(speech|transcriptions|translations)|tokenize|detokenize|score|classify|pooling|messages|messages/count_tokens)/?$`)
	readableModel = regexp.MustCompile(`^((` + segmentPattern + `)*/(v[0-9][a-z0-9]*|openai)|(` + segmentPattern + `)+/publishers` + segmentPattern + `|)` +
		`/models/.+:(generateContent|streamGenerateContent|countTokens|embedContent|batchEmbedContents)/?$`)
	readableStored    = regexp.MustCompile(`^((` + segmentPattern + `)*/(v[0-9][a-z0-9]*|openai)|)/responses/[A-Za-z0-9_-]{1,256}/cancel/?$`)
	deploymentPattern = regexp.MustCompile(`/openai/deployments/[^/]+$`)
)

// namesAPI reports whether a segment of the prefix could be another API's, or
// another path's, name. That of a deployment is not one.
func namesAPI(prefix string) bool {
	prefix = deploymentPattern.ReplaceAllString(prefix, "")
	for segment := range strings.SplitSeq(strings.TrimPrefix(prefix, "/"), "/") {
		if segment == "." || segment == ".." || apiNames[strings.ToLower(segment)] {
			return true
		}
	}
	return false
}

// checkReading holds one reading to what all of them keep.
func checkReading(t *testing.T, u *url.URL) {
	t.Helper()
	path := u.EscapedPath()
	e := EndpointOf(http.MethodPost, u)
	want := path == "" || path == "/"
	if m := readableStored.FindStringSubmatch(path); m != nil && !namesAPI(m[1]) {
		want = true
	}
	for _, rule := range []*regexp.Regexp{readableChat, readableOther, readableModel} {
		if rule == readableOther && strings.HasSuffix(strings.TrimSuffix(path, "/"), ChatSuffix) {
			continue // the longer name is read
		}
		if m := rule.FindStringSubmatch(path); m != nil && !namesAPI(m[1]) {
			want = true
			if rule == readableModel {
				// The last /models counts, and names have rules of their own.
				name := path[strings.LastIndex(path, ModelsSuffix+"/")+len(ModelsSuffix)+1:]
				plain := strings.Count(path, ModelsSuffix) == 1 && !strings.ContainsAny(name, "/%") && !namesAPI(m[1])
				if want = e.API == GeminiAPI; plain && !want {
					t.Errorf("%q is %+v", path, e)
				}
				continue
			}
			if e.API == MessagesAPI {
				if e.Suffix != MessagesSuffix && e.Operation != CountTokens {
					t.Errorf("%q is %+v", path, e)
				}
				continue
			}
			if (rule == readableChat) != (e.Operation == Chat) {
				t.Errorf("%q is %s", path, e.Operation)
			}
		}
	}
	if got := e.Own == ""; got && !want || !got && want && !strings.Contains(path, "/deployments/") && !readableModel.MatchString(path) { // whose names have rules of their own
		t.Errorf("%q is %+v, which the rule does not say", path, e)
	}
	if e.Own != "" && e.Own != strings.TrimSuffix(path, "/") {
		t.Errorf("%q is %+v", path, e)
	}
	if e.Own == "" && e.Operation == Chat && e.API == OpenAIAPI && path != "" && path != "/" && !strings.HasSuffix(strings.TrimSuffix(path, "/"), ChatSuffix) {
		t.Errorf("%q is a chat completion", path)
	}
	// Read again as it is spelled for policies, it is the same endpoint.
	again := EndpointOf(http.MethodPost, &url.URL{Path: e.Path()})
	if again.Own != "" || again.Operation != e.Operation || again.Suffix != e.Suffix {
		t.Errorf("%q, spelled %q, is %+v", path, e.Path(), again)
	}
	if e != EndpointOf(http.MethodPost, u) {
		t.Errorf("%q is read in two ways", path)
	}
}

func TestEveryPathHasOneReading(t *testing.T) {
	segments := []string{
		"", ".", "..", "v1", "x:generateContent", "publishers", "google", "models/x:countTokens", "V1", "v1beta", "v", "openai", "deployments", "gpt-4o", "healthz", "team", "chat", "completions", "embeddings", "%65mbeddings", "files", "Files",
		"models", "messages", "count_tokens", "responses", "input_tokens", "compact", "r_1", "cancel", "audio", "speech", "images", "edits", "tokenize", "%2F", "%2e", "v1;x", "x%2Fembeddings",
		"chat/completions", "v1/chat/completions", "v1/embeddings", "openai/deployments/m", "Embeddings", "embeddings;x", "compatible-mode",
	}
	random := rand.New(rand.NewPCG(1, 2))
	for range 200_000 {
		var path strings.Builder
		for range 1 + random.IntN(5) {
			path.WriteString("/" + segments[random.IntN(len(segments))])
		}
		u, err := url.ParseRequestURI(path.String())
		if err != nil {
			continue
		}
		checkReading(t, u)
		if t.Failed() {
			return
		}
	}
}

func FuzzEndpointOf(f *testing.F) {
	for _, path := range []string{"/", "/v1/chat/completions", "/v1//embeddings/", "/openai/deployments/a%2Fb/completions", "/v1/models/x:countTokens", "/v1/responses/r/cancel", "/%76%31/embeddings%2F", "*"} {
		f.Add(path)
	}
	f.Fuzz(func(t *testing.T, path string) {
		u, err := url.ParseRequestURI(path)
		if err != nil || u.Opaque != "" {
			return
		}
		checkReading(t, u)
		for _, method := range []string{http.MethodGet, http.MethodDelete} {
			e := EndpointOf(method, u)
			if e.Operation == ListModels && (method != http.MethodGet || !strings.Contains(u.EscapedPath(), ModelsSuffix)) {
				t.Errorf("%s %q is %+v", method, path, e)
			}
		}
		if message := Unsupported(&http.Request{Method: http.MethodPost, URL: u}).Message; len(message) > 400 || strings.ContainsAny(message, "\"\n\r\x00<>") {
			t.Errorf("%q: the error is %q", path, message)
		}
	})
}
