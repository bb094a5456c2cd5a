package asmstore

import (
	"context"
	"fmt"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"

	"github.com/caddy-llm/gateway/internal/options"
	"github.com/caddy-llm/gateway/internal/service"
	"github.com/caddy-llm/gateway/llmroute/cache"
	"github.com/caddy-llm/gateway/llmroute/cache/sealed"
)

func init() {
	caddy.RegisterModule(new(Store))
}

// idleConnections are those that are kept for later, for requests and for responses that are
// stored.
const idleConnections = 128

// Store keeps responses in a cache service: an HTTP service of your own that is asked for the response to a
// request at `/lookup`, and told responses at `/update`. While the service fails or is slow,
// providers are asked.
//
// The service gets a request that stands for the client's: its host, its model and its one
// message are a text that is made of all that makes two requests equal, and tells nothing of
// them. So what the service tells requests apart by does not matter, and a response that is
// not the one to that very text is not used. How long it keeps responses is its own matter; none is used for longer
// than `ttl` says. It cannot be told to remove some.
type Store struct {
	// The service's address, such as `http://cache.example.com:8080`. Requests go to
	// `/lookup` and `/update` below it.
	URL string `json:"url"`

	// What responses are encrypted with, such as `{env.CACHE_SECRET}` or
	// `{file./run/secrets/cache}`: at least 16 bytes, the same for all gateways that share the
	// store. Then the service does not know responses, and cannot give a client another's.
	// It is read when the configuration is loaded. Default: none, and responses are stored as
	// they are.
	Secret string `json:"secret,omitempty"`

	codec  *sealed.Codec
	client *service.Client
}

// CaddyModule returns the Caddy module information.
func (*Store) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{ID: cache.StoreNamespace + ".asm", New: func() caddy.Module { return new(Store) }}
}

// Provision sets up the store. It connects to nothing: the service may come later.
func (s *Store) Provision(caddy.Context) error {
	if err := s.Check(); err != nil {
		return err
	}
	s.client = service.New("cache service", s.URL, maxResponse, idleConnections)
	var err error
	s.codec, err = sealed.New(s.Secret)
	return err
}

// Check reports what is wrong with the URL, if anything.
func (s *Store) Check() error { return service.CheckURL(s.URL, "http://cache.example.com:8080") }

// Cleanup ends the connections that are not in use.
func (s *Store) Cleanup() error {
	if s.client != nil {
		s.client.Close()
	}
	return nil
}

// KeySecret implements cache.Store.
func (s *Store) KeySecret() []byte { return s.codec.KeySecret() }

// Local implements cache.Store.
func (*Store) Local() bool { return false }

// Use implements cache.Store: how full the service is, is its own matter.
func (*Store) Use() cache.Use { return cache.Use{} }

// Get implements cache.Store. There are no purges, and so no epochs.
func (s *Store) Get(ctx context.Context, key cache.Key) (*cache.Entry, cache.Epoch, error) {
	m := &message{Request: requestOf(key)}
	found, err := s.ask(ctx, "/lookup", m)
	if found == nil || err != nil {
		return nil, 0, err
	}
	e := s.entry(key, found.Response)
	if e == nil || !time.Now().Before(e.Expires) {
		return nil, 0, nil
	}
	return e, 0, nil
}

// Put implements cache.Store.
func (s *Store) Put(ctx context.Context, key cache.Key, e *cache.Entry, _ cache.Epoch) error {
	response, err := s.response(key, e)
	if response == nil || err != nil {
		return err
	}
	found, err := s.ask(ctx, "/update", &message{Request: requestOf(key), Response: response})
	if err == nil && found == nil {
		return fmt.Errorf("the cache service at %s has no /update; correct the URL", s.URL)
	}
	return err
}

// Purge implements cache.Store.
func (*Store) Purge(context.Context, cache.Tags) (int, error) { return 0, cache.ErrCannotPurge }

// UnmarshalCaddyfile reads:
//
//	store asm <url> {
//		secret <secret>
//	}
func (s *Store) UnmarshalCaddyfile(d *caddyfile.Dispenser) error {
	return (&options.Server{
		Of: "store asm", Kind: "service", Example: "http://127.0.0.1:8080", URL: &s.URL, Check: s.Check,
		Options: []options.Option{{Name: "secret", Parse: options.Value(&s.Secret, "a secret, such as {env.CACHE_SECRET}", options.Text)}},
	}).Parse(d)
}

// Interface guards
var (
	_ cache.Store           = (*Store)(nil)
	_ caddy.Provisioner     = (*Store)(nil)
	_ caddy.CleanerUpper    = (*Store)(nil)
	_ caddyfile.Unmarshaler = (*Store)(nil)
)
