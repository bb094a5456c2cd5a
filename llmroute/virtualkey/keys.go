// Package virtualkey knows the clients of the gateway: by virtual keys, which the gateway's
// operator hands out and no provider knows. It has the handler llm_keys, the files and tables of
// keys, and the command that makes a key and its hash.
//
// Of the gateway it imports command, authz, whose tokens may stand in place of keys, meter, which counts
// refusals, and matcher for names of models. Begin with Keys, then Client and Table.
package virtualkey

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"strings"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"

	"github.com/caddy-llm/gateway/llmprovider"
	"github.com/caddy-llm/gateway/llmroute/authz"
	"github.com/caddy-llm/gateway/llmroute/authz/jwt"
	"github.com/caddy-llm/gateway/llmroute/meter"
)

func init() {
	caddy.RegisterModule(Keys{})
}

// maxKeySize is the longest virtual key, in bytes.
const maxKeySize = 512

// keyHeaders are the headers that may carry a virtual key, in canonical form and
// in the order in which they are tried.
var keyHeaders = [...]string{"Authorization", "Api-Key", "X-Api-Key", "X-Goog-Api-Key"}

// Keys lets only clients with a virtual key pass: a key that the gateway's
// operator hands out, and that no provider knows. Put it before `llm_route`,
// once in a route.
//
// The key is taken from `Authorization: Bearer <key>`, which is what every SDK
// sends, or from `api-key`, `x-api-key` or `x-goog-api-key`, or, as Google's
// clients can, from the query as `?key=`. If a request has several of these, the
// first that holds a known key, in this order, determines who is calling. Each that held a
// known key is then removed from the request, so that no later handler and no provider gets
// it; the others stay as they are. A request without a known key is answered with a 401 in the
// shape of OpenAI's API. A CORS preflight, which cannot carry a key, passes: how it is
// answered is up to the handlers that follow.
//
// The client's name is in Caddy's access log as `user_id`, in the logs of `llm_route` as
// `client`, and in this placeholder:
//
// Placeholder | Description
// ------------|------------
// `{http.auth.user.id}` | The client's name
//
// Caddy's access log hides `Authorization`, but none of the others; a log of
// requests that carry those needs the format `llm`.
type Keys struct {
	// The file that holds the clients, one a line: a name, the hash of its key,
	// and the models it may use, separated by spaces. In model names a `*`
	// stands for any text; a line without models allows all of them. The word `limit`
	// and the name of a limit may end the line: that limit then holds for the client in
	// place of those that are keyed by client. So may `guards` and `prompt`, each with names
	// that have commas between them: these guards look at the client's requests, and these
	// prompts are added to them, after those of the rule. A name without a definition in the
	// llm app refuses the client's requests. Several
	// lines may have the same name, so that a new key can be handed out before
	// the old one is removed. Text from a `#` to the end of the line is a
	// comment.
	//
	//	# NAME HASH [MODEL...] [limit LIMIT] [guards GUARD,...] [prompt PROMPT,...]
	//	alice sha256:8d7c…  gpt-4o* qwen-turbo
	//	bob   sha256:1f02…  limit gold guards pii,policy
	//
	// The command `caddy llm hash-key` makes keys and their hashes. With a file without
	// clients, no request passes.
	//
	// The file is read when the configuration is loaded, and a mistake in it
	// stops that. It is read again at most once a second while requests arrive,
	// so that a change takes effect within a second and without a reload. A mistake in the
	// new version is then logged, and the last valid one stays in use. Replace the file by
	// renaming a new one over it: a file that is written in place may be read half-way.
	//
	// At most 8 MiB. A relative path starts at Caddy's working
	// directory. Placeholders such as `{env.KEYS_FILE}` are resolved when the
	// configuration is loaded.
	// Required, unless there is a secret.
	File string `json:"file,omitempty"`

	// The Secret that holds the clients in place of a file, as `namespace/name`: the value
	// `keys` in it has the lines of a file. It is for the `keys` of the llm app with a
	// source that reads Secrets. The Secret is followed: a change takes effect as soon as
	// the source has it. While the Secret is missing or has a mistake, which is a finding,
	// its last valid version stays in use; without one, no request passes.
	Secret string `json:"secret,omitempty"`

	// Whether a request passes without a key if `llm_authz`, which then runs
	// before, has verified a token of it. Such a client may use all models.
	// Default: no.
	OrToken bool `json:"or_token,omitempty"`

	keys    *keysFile
	logger  *zap.Logger
	metrics *meter.Metrics
}

// CaddyModule returns the Caddy module information.
func (Keys) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{
		ID:  "http.handlers.llm_keys",
		New: func() caddy.Module { return new(Keys) },
	}
}

// Provision reads the file.
func (k *Keys) Provision(ctx caddy.Context) error {
	k.logger = ctx.Logger()
	if k.Secret != "" {
		return errors.New("a secret is for the keys of the llm app; name a file here")
	}
	path, err := caddy.NewReplacer().ReplaceOrErr(k.File, true, true)
	if err != nil {
		return fmt.Errorf("file: %w", err)
	}
	if path == "" {
		return errors.New("llm_keys needs a file; name the file with the clients and the hashes of their keys")
	}
	if k.metrics, err = meter.Acquire(ctx.GetMetricsRegistry()); err != nil {
		return err
	}
	if k.keys, err = openKeysFile(path, k.logger); err != nil {
		return err
	}
	if app, err := ctx.AppIfConfigured("llm"); err == nil {
		if user, ok := app.(User); ok {
			user.UsesKeys(k.Known)
		}
	} else if !errors.Is(err, caddy.ErrNotConfigured) {
		return fmt.Errorf("getting the llm app: %w", err)
	}
	return nil
}

// User is the llm app, which is told that keys may say who clients are, and which are known.
type User interface{ UsesKeys(known func() Table) }

// ServeHTTP implements caddyhttp.MiddlewareHandler.
func (k *Keys) ServeHTTP(w http.ResponseWriter, r *http.Request, next caddyhttp.Handler) error {
	client, refused := k.Admit(r, k.Known(), authz.TokenOf(r) != nil)
	switch {
	case refused != nil:
		return k.refuse(w, r, refused)
	case client != nil:
		caddyhttp.SetVar(r.Context(), ClientVar, client)
	}
	return next.ServeHTTP(w, r)
}

// Admit finds who of the known clients is calling, nil for a request that may pass without
// a key; hasToken reports whether a token of it was verified. The error is what others are told.
func (k *Keys) Admit(r *http.Request, known Table, hasToken bool) (*Client, *llmprovider.Error) {
	if jwt.IsPreflight(r) {
		return nil, nil
	}
	client, presented := identify(r, known.clients)
	switch {
	case client == nil && k.OrToken && hasToken:
		return nil, nil
	case client == nil:
		return nil, ErrNoKey(r.URL.Path, presented)
	}
	if repl, ok := r.Context().Value(caddy.ReplacerCtxKey).(*caddy.Replacer); ok {
		repl.Set("http.auth.user.id", client.Name)
	}
	return client, nil
}

// CheckSecret tells what is wrong with a secret in place of a file, if anything.
func (k *Keys) CheckSecret() error {
	if k.File != "" {
		return errors.New("both a file and a secret are named; keep one of them")
	}
	namespace, name, ok := strings.Cut(k.Secret, "/")
	if !ok || namespace == "" || name == "" || strings.Contains(name, "/") {
		return errors.New("the secret is not named by its namespace and name; write one such as llm-system/virtual-keys")
	}
	return nil
}

// Known returns the clients of the file.
func (k *Keys) Known() Table { return Table{k.keys.Get()} }

// identify finds whose key the request carries, and removes what carries a known
// one. presented reports whether it carries any key at all.
func identify(r *http.Request, known clientTable) (client *Client, presented bool) {
	h := r.Header
	for _, name := range keyHeaders {
		found := false
		for _, value := range h[name] {
			key := keyIn(name, value)
			presented = presented || key != ""
			c := known.find(key)
			if c == nil {
				continue
			}
			found = true
			if client == nil {
				client = c
			}
		}
		if found {
			delete(h, name)
		}
	}
	if !strings.Contains(r.URL.RawQuery, "key=") {
		return client, presented
	}
	query := r.URL.Query()
	for _, key := range query["key"] {
		presented = true
		if c := known.find(key); c != nil {
			query.Del("key")
			r.URL.RawQuery = query.Encode()
			if client == nil {
				client = c
			}
			break
		}
	}
	return client, presented
}

// Knows reports whether the request carries a key of a client in the file. It leaves it as
// it is.
func (k *Keys) Knows(r *http.Request) bool {
	u := *r.URL
	client, _ := identify(&http.Request{Header: maps.Clone(r.Header), URL: &u}, k.keys.Get())
	return client != nil
}

// CarriesKey reports whether the request carries a virtual key, known or not, or llm_keys has
// taken one away.
func CarriesKey(r *http.Request) bool {
	for _, name := range keyHeaders {
		for _, value := range r.Header[name] {
			if keyIn(name, value) != "" {
				return true
			}
		}
	}
	return ClientOf(r) != nil
}

// keyIn returns the key in a header's value, or "".
func keyIn(name, value string) string {
	if name != "Authorization" {
		return strings.Trim(value, " \t")
	}
	scheme, key, _ := strings.Cut(strings.Trim(value, " \t"), " ")
	if !strings.EqualFold(scheme, "Bearer") {
		return ""
	}
	return strings.TrimLeft(key, " ")
}

// refuse answers a request that has no known key. The type and code are what
// OpenAI's API answers to an unknown key. They are the same without any key,
// where OpenAI sends no code, so that a program can test for one thing.
func (k *Keys) refuse(w http.ResponseWriter, r *http.Request, refused *llmprovider.Error) error {
	if c := k.logger.Check(zapcore.DebugLevel, "request refused"); c != nil {
		c.Write(zap.Int("status", refused.Status), zap.String("code", refused.Code))
	}
	k.metrics.CountRefusal(refused.Code)
	if extra, ok := r.Context().Value(caddyhttp.ExtraLogFieldsCtxKey).(*caddyhttp.ExtraLogFields); ok {
		extra.Set(zap.String("llm_error", refused.Code))
	}
	llmprovider.CloseIfExpectContinue(w, r)
	return refused.Write(w)
}

// ErrNoKey is what a client without a known key is told; presented reports whether
// it sent one at all.
func ErrNoKey(path string, presented bool) *llmprovider.Error {
	refused := &llmprovider.Error{
		Status: http.StatusUnauthorized, Type: llmprovider.TypeInvalidRequest, Code: "invalid_api_key", API: llmprovider.APIOf(path), Header: http.Header{"Www-Authenticate": {"Bearer"}},
		Message: "this gateway needs an API key; send the one its operator gave you in the header Authorization: Bearer KEY, " +
			"which an SDK does when KEY is its api_key",
	}
	if presented {
		refused.Message = "this gateway does not know the API key of this request; check that it is whole and the one that the gateway's operator " +
			"gave you, or ask for a new one"
	}
	return refused
}

// keyHash is the SHA-256 of a virtual key.
type keyHash [sha256.Size]byte

// clientTable holds the clients by the hashes of their keys. It is not changed
// once it is built.
type clientTable map[keyHash]*Client

// find returns whose key it is, or nil.
//
// The map is no constant-time comparison, and needs none: what it compares are
// hashes. How long that takes can tell how a stored hash begins, but nobody can
// choose a key by the hash it has. For the same reason a plain SHA-256 is enough:
// keys are random, and cannot be guessed as passwords can.
func (t clientTable) find(key string) *Client {
	if key == "" || len(key) > maxKeySize {
		return nil
	}
	return t[hashKey(key)]
}

// hashKey returns the hash of a key.
func hashKey(key string) keyHash {
	var room [maxKeySize]byte // converting the string would allocate
	return sha256.Sum256(append(room[:0], key...))
}

// Interface guards
var (
	_ caddy.Provisioner           = (*Keys)(nil)
	_ caddyhttp.MiddlewareHandler = (*Keys)(nil)
)
