// Package redisstore is the cache store redis: gateways share responses in a Redis or Valkey
// server. It speaks the protocol with valkey-go, which the smallest builds do without.
//
// It imports its neighbours cache, whose interface Store it implements, and sealed, which makes
// what the server is given. Begin with Store.
package redisstore

import (
	"context"
	"encoding/hex"
	"errors"
	"math/rand/v2"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
	"github.com/valkey-io/valkey-go"

	"github.com/caddy-llm/gateway/internal/options"
	"github.com/caddy-llm/gateway/internal/redisclient"
	"github.com/caddy-llm/gateway/llmroute/cache"
	"github.com/caddy-llm/gateway/llmroute/cache/sealed"
)

func init() {
	caddy.RegisterModule(new(Store))
}

// Store keeps responses in a Redis or Valkey server that several gateways share, for as long as they may be used.
// While the server fails or is slow, providers are asked.
//
// Whoever can read the server can read the responses, unless there is a secret. Gateways
// that share it must know clients by the same files of keys, or use separate prefixes:
// clients of the same name in files at the same path count as one client.
type Store struct {
	redisclient.Server

	// What responses are encrypted with, such as `{env.CACHE_SECRET}` or
	// `{file./run/secrets/cache}`: at least 16 bytes, the same for all gateways that share the
	// store. Then the server knows neither requests nor responses, and cannot give a client
	// another's response. It is read when the configuration is loaded. Default: none, and
	// responses are stored as they are.
	Secret string `json:"secret,omitempty"`

	codec *sealed.Codec

	mu         sync.Mutex
	client     valkey.Client // nil as long as none was reached
	connecting chan struct{} // closed when the try that is under way ends
	failed     error         // of the last one
}

// CaddyModule returns the Caddy module information.
func (*Store) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{ID: cache.StoreNamespace + ".redis", New: func() caddy.Module { return new(Store) }}
}

// Provision sets up the store. It connects to nothing: the server may come later.
func (s *Store) Provision(caddy.Context) error {
	if err := s.Server.Provision(); err != nil {
		return err
	}
	var err error
	s.codec, err = sealed.New(s.Secret)
	return err
}

// Cleanup ends the connections.
func (s *Store) Cleanup() error {
	s.Close()
	return nil
}

// connected returns the client. The server may take longer to be reached than ctx lasts:
// then the try goes on, for a later call.
func (s *Store) connected(ctx context.Context) (valkey.Client, error) {
	s.mu.Lock()
	if client := s.client; client != nil {
		s.mu.Unlock()
		return client, nil
	}
	done := s.connecting
	if done == nil {
		done = make(chan struct{})
		s.connecting = done
		go s.connect(done)
	}
	s.mu.Unlock()
	select {
	case <-done:
	case <-ctx.Done():
		return nil, errors.New("the server is not reached yet")
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.client == nil {
		return nil, s.failed
	}
	return s.client, nil
}

func (s *Store) connect(done chan struct{}) {
	client, err := s.Client()
	if errors.Is(err, redisclient.ErrClosed) {
		err = cache.ErrClosed
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.client, s.failed, s.connecting = client, err, nil
	close(done)
}

// result makes an error of the client's one of the store's.
func (s *Store) result(client valkey.Client, err error) error {
	switch {
	case errors.Is(err, valkey.ErrClosing):
		return cache.ErrClosed
	case err != nil:
		s.mu.Lock()
		defer s.mu.Unlock()
		if s.Renew(client, err) && s.client == client {
			s.client = nil
		}
	}
	return err
}

func (s *Store) name(key cache.Key) string {
	return s.KeyPrefix + ":cache:" + hex.EncodeToString(key[:])
}

// KeySecret implements cache.Store.
func (s *Store) KeySecret() []byte { return s.codec.KeySecret() }

// Local implements cache.Store.
func (*Store) Local() bool { return false }

// Use implements cache.Store: how full the server is, is its own matter.
func (*Store) Use() cache.Use { return cache.Use{} }

// epochName is where the epoch stands, among the entries, so that a user of the server needs
// no more rights.
func (s *Store) epochName() string { return s.KeyPrefix + ":cache:epoch" }

// epochTTL is how long an epoch stands: longer than any request lasts. After it there is none,
// which is another one.
const epochTTL = 24 * time.Hour

// unlinkTimeout is how long an entry that must not stay may take to be removed.
const unlinkTimeout = time.Second

// epoch reads the epoch, 0 if none has begun.
func epoch(result valkey.ValkeyResult) (cache.Epoch, error) {
	n, err := result.AsUint64()
	if valkey.IsValkeyNil(err) {
		return 0, nil
	}
	return cache.Epoch(n), err
}

// Get implements cache.Store. What was not written with the same secret is not there.
func (s *Store) Get(ctx context.Context, key cache.Key) (*cache.Entry, cache.Epoch, error) {
	client, err := s.connected(ctx)
	if err != nil {
		return nil, 0, err
	}
	name := s.name(key)
	results := client.DoMulti(ctx, client.B().Get().Key(name).Build(), client.B().Get().Key(s.epochName()).Build())
	of, err := epoch(results[1])
	if err != nil {
		return nil, 0, s.result(client, err)
	}
	value, err := results[0].AsBytes()
	switch {
	case valkey.IsValkeyNil(err):
		return nil, of, nil
	case err != nil:
		return nil, 0, s.result(client, err)
	}
	return s.codec.Decode(name, value), of, nil
}

// Put implements cache.Store. A purge begins an epoch and then removes what there is: an entry
// that it does not see was stored after it began, and finds another epoch.
func (s *Store) Put(ctx context.Context, key cache.Key, e *cache.Entry, of cache.Epoch) error {
	left := time.Until(e.Expires)
	if left < time.Millisecond {
		return nil
	}
	name := s.name(key)
	value, err := s.codec.Encode(name, e)
	if err != nil {
		return err
	}
	client, err := s.connected(ctx)
	if err != nil {
		return err
	}
	if now, err := epoch(client.Do(ctx, client.B().Get().Key(s.epochName()).Build())); err != nil || now != of {
		return s.result(client, err)
	}
	if err := client.Do(ctx, client.B().Set().Key(name).Value(valkey.BinaryString(value)).Px(left).Build()).Error(); err != nil {
		return s.result(client, err)
	}
	now, err := epoch(client.Do(ctx, client.B().Get().Key(s.epochName()).Build()))
	if err == nil && now == of {
		return nil
	}
	// The deadline may be what failed, and the entry may be from before a purge.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), unlinkTimeout)
	defer cancel()
	return s.result(client, errors.Join(err, client.Do(ctx, client.B().Unlink().Key(name).Build()).Error()))
}

// Purge implements cache.Store.
func (s *Store) Purge(ctx context.Context, tags cache.Tags) (removed int, err error) {
	client, err := s.connected(ctx)
	if err != nil {
		return 0, err
	}
	next := strconv.FormatUint(rand.Uint64()|1, 10) // never one that was, nor 0
	if err := client.Do(ctx, client.B().Set().Key(s.epochName()).Value(next).Px(epochTTL).Build()).Error(); err != nil {
		return 0, s.result(client, err)
	}
	for _, node := range client.Nodes() {
		for cursor := uint64(0); ; {
			page, err := node.Do(ctx, node.B().Scan().Cursor(cursor).Match(s.KeyPrefix+":cache:*").Count(1000).Build()).AsScanEntry()
			if err != nil {
				return removed, s.result(client, err)
			}
			n, err := s.purge(ctx, client, page.Elements, tags)
			if removed += n; err != nil {
				return removed, s.result(client, err)
			}
			if cursor = page.Cursor; cursor == 0 {
				break
			}
		}
	}
	return removed, nil
}

// purge removes those of the entries that the tags select.
func (s *Store) purge(ctx context.Context, client valkey.Client, names []string, tags cache.Tags) (removed int, err error) {
	if len(names) == 0 {
		return 0, nil
	}
	heads := make(valkey.Commands, len(names))
	for i, name := range names {
		heads[i] = client.B().Getrange().Key(name).Start(0).End(sealed.HeadSize - 1).Build()
	}
	var gone valkey.Commands
	for i, result := range client.DoMulti(ctx, heads...) {
		head, err := result.AsBytes()
		if e, ok := valkey.IsValkeyErr(err); ok && strings.HasPrefix(e.Error(), "WRONGTYPE") {
			continue // somebody else's, such as the counter of a limit called cache
		}
		if err != nil {
			return 0, err
		}
		if s.codec.Selects(tags, head) {
			gone = append(gone, client.B().Unlink().Key(names[i]).Build())
		}
	}
	if len(gone) == 0 {
		return 0, nil
	}
	for _, result := range client.DoMulti(ctx, gone...) {
		n, err := result.AsInt64()
		if removed += int(n); err != nil {
			return removed, err
		}
	}
	return removed, nil
}

// UnmarshalCaddyfile reads what redisclient.Server.Parse says, and in the block:
//
//	secret <secret>
func (s *Store) UnmarshalCaddyfile(d *caddyfile.Dispenser) error {
	return s.Parse(d, options.Option{Name: "secret", Parse: options.Value(&s.Secret, "a secret, such as {env.CACHE_SECRET}", options.Text)})
}

// Interface guards
var (
	_ cache.Store           = (*Store)(nil)
	_ caddy.Provisioner     = (*Store)(nil)
	_ caddy.CleanerUpper    = (*Store)(nil)
	_ caddyfile.Unmarshaler = (*Store)(nil)
)
