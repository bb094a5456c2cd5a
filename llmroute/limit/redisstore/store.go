package redisstore

import (
	"context"
	"crypto/tls"
	_ "embed" // of the script
	"errors"
	"fmt"
	"net"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/valkey-io/valkey-go"

	"github.com/caddy-llm/gateway/llmroute/limit"
)

func init() {
	caddy.RegisterModule(new(Store))
}

const (
	// defaultPrefix begins the keys in the store.
	defaultPrefix = "llm"
	// dialTimeout bounds how long it takes to connect; requests do not wait for it.
	dialTimeout = time.Second
	// quiet is after which time a gateway that was not heard of is not counted.
	quiet = 30 * time.Second
)

//go:embed counter.lua
var script string

// Store keeps what was used in a Redis or Valkey server that several gateways share. What
// a gateway may use is leased to it for many requests, so that requests do not wait for
// the server as long as the lease lasts; all gateways together never have more than the
// limit. Servers from Redis 6.2 and Valkey 7.2 on are supported, clusters included.
//
// The server should keep its data: with `appendonly yes`. If it loses its data,
// gateways tell it what they know.
type Store struct {
	// The server's address, such as `redis://127.0.0.1:6379/0`; with `rediss` in place of
	// `redis`, TLS is used. It holds no password.
	URL string `json:"url"`

	// The name of the user, for servers that know several. Default: `default`.
	Username string `json:"username,omitempty"`

	// The password, such as `{env.REDIS_PASSWORD}` or `{file./run/secrets/redis}`. It
	// is read again for every connection. Default: none.
	Password string `json:"password,omitempty"`

	// Whether TLS is used, as with `rediss` in the URL. Default: false.
	TLS bool `json:"tls,omitempty"`

	// What the keys in the store begin with. Gateways with the same prefix share limits of
	// the same name. Default: `llm`.
	KeyPrefix string `json:"key_prefix,omitempty"`

	options valkey.ClientOption
	mu      sync.Mutex
	client  valkey.Client // nil as long as none was reached
	closed  bool
	sha     string
}

// CaddyModule returns the Caddy module information.
func (*Store) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{ID: limit.StoreNamespace + ".redis", New: func() caddy.Module { return new(Store) }}
}

// Provision sets up the store. It connects to nothing: the server may come later.
func (s *Store) Provision(caddy.Context) error {
	if s.KeyPrefix == "" {
		s.KeyPrefix = defaultPrefix
	}
	options, err := s.clientOptions()
	if err != nil {
		return err
	}
	s.options = options
	return nil
}

// Check reports what is wrong with the configuration, if anything.
func (s *Store) Check() error {
	_, err := s.clientOptions()
	return err
}

var errURL = errors.New("the URL is not usable; write one such as redis://127.0.0.1:6379/0, or rediss://… for TLS")

// clientOptions are valkey-go's.
func (s *Store) clientOptions() (valkey.ClientOption, error) {
	u, err := url.Parse(s.URL)
	switch {
	case err != nil || u.Host == "" || u.Port() == "0" || !slices.Contains([]string{"redis", "rediss", "valkey", "valkeys"}, u.Scheme):
		return valkey.ClientOption{}, errURL // without the text of it, which may have a password
	case u.User != nil:
		return valkey.ClientOption{}, errors.New("the URL has a user or a password; write them as username and password, such as password {env.REDIS_PASSWORD}")
	case u.RawQuery != "" || u.Fragment != "":
		return valkey.ClientOption{}, errors.New("the URL has parameters; write the address and the number of the database alone")
	case strings.ContainsAny(s.KeyPrefix, "*?[]\\{} \t\r\n"):
		return valkey.ClientOption{}, errors.New("key_prefix has a character that is not usable; write letters, digits, and - _ . : between them")
	}
	o, err := valkey.ParseURL(u.Scheme + "://" + u.Host + u.Path)
	if err != nil {
		return o, errURL
	}
	if s.TLS && o.TLSConfig == nil {
		o.TLSConfig = &tls.Config{MinVersion: tls.VersionTLS12, ServerName: u.Hostname()}
	}
	o.ClientName = "llm-gateway"
	o.DisableCache, o.DisableRetry = true, true // the caller tries again, with what it knows then
	o.Dialer = net.Dialer{Timeout: dialTimeout}
	o.ConnWriteTimeout = dialTimeout
	o.AuthCredentialsFn = func(valkey.AuthCredentialsContext) (valkey.AuthCredentials, error) {
		password, err := caddy.NewReplacer().ReplaceOrErr(s.Password, true, true)
		if err != nil && s.Password != "" {
			return valkey.AuthCredentials{}, fmt.Errorf("the password cannot be had: %w", err)
		}
		return valkey.AuthCredentials{Username: s.Username, Password: strings.TrimRight(password, "\r\n")}, nil
	}
	return o, nil
}

// Close implements limit.Shared.
func (s *Store) Close() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.closed = true
	if s.client != nil {
		s.client.Close()
		s.client = nil
	}
}

// Storage implements limit.Store: there is none; all is in the server.
func (*Store) Storage(caddy.Context) limit.Storage { return nil }

// Shared implements limit.Store.
func (s *Store) Shared() limit.Shared { return s }

// ID implements limit.Shared.
func (s *Store) ID() string { return "redis " + s.URL + " " + s.KeyPrefix }

var errClosed = errors.New("the configuration with this store has ended")

// connected returns the client, once the server was reached.
func (s *Store) connected() (valkey.Client, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case s.closed:
		return nil, errClosed
	case s.client != nil:
		return s.client, nil
	}
	client, err := valkey.NewClient(s.options)
	if err != nil {
		return nil, fmt.Errorf("connecting to %s: %w", s.options.InitAddress[0], err)
	}
	s.client = client
	return client, nil
}

// Do implements limit.Shared.
func (s *Store) Do(ctx context.Context, calls []limit.Call) []limit.Reply {
	replies := make([]limit.Reply, len(calls))
	fail := func(err error) []limit.Reply {
		for i := range replies {
			replies[i] = limit.Reply{Err: err}
		}
		return replies
	}
	client, err := s.connected()
	if err != nil {
		return fail(err)
	}
	sha := s.scriptSHA()
	if sha == "" { // the server computes it: a FIPS build has no SHA-1
		if sha, err = s.load(ctx, client); err != nil {
			return fail(err)
		}
	}
	todo := make([]int, len(calls))
	for i := range todo {
		todo[i] = i
	}
	for try := range 2 {
		commands := make(valkey.Commands, len(todo))
		for n, i := range todo {
			c := &calls[i]
			commands[n] = client.B().Evalsha().Sha1(sha).Numkeys(1).Key(s.KeyPrefix + ":" + c.Key).Arg(arguments(c)...).Build()
		}
		missing := todo[:0:0]
		for n, result := range client.DoMulti(ctx, commands...) {
			i := todo[n]
			if e, ok := valkey.IsValkeyErr(result.Error()); ok && e.IsNoScript() && try == 0 { // the server began again
				missing = append(missing, i)
				continue
			}
			replies[i] = reply(result, s.KeyPrefix+":"+calls[i].Key)
		}
		if len(missing) == 0 {
			break
		}
		if sha, err = s.load(ctx, client); err != nil {
			for _, i := range missing {
				replies[i] = limit.Reply{Err: err}
			}
			break
		}
		todo = missing
	}
	return replies
}

func (s *Store) scriptSHA() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.sha
}

// load has every server of the store know the script.
func (s *Store) load(ctx context.Context, client valkey.Client) (sha string, err error) {
	for address, node := range client.Nodes() {
		if sha, err = node.Do(ctx, node.B().ScriptLoad().Script(script).Build()).ToString(); err != nil {
			return "", fmt.Errorf("loading the script at %s: %w", address, err)
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.sha = sha
	return sha, nil
}

// arguments are those of the script.
func arguments(c *limit.Call) []string {
	args := []string{string(c.Op), string(c.Sort), c.Holder, strconv.FormatUint(c.Seq, 10)}
	for _, n := range [...]int64{
		c.Gen, c.Base, c.Claim, c.Target, c.Least, c.Known, c.Amount, c.Burst, c.Every.Microseconds(), c.Keep.Milliseconds(), limit.DeadAfter.Microseconds(),
	} {
		args = append(args, strconv.FormatInt(n, 10))
	}
	return args
}

var errReply = errors.New("the server's reply is not one of the script")

func reply(result valkey.ValkeyResult, key string) limit.Reply {
	numbers, err := result.AsIntSlice()
	switch {
	case err != nil:
		return limit.Reply{Err: explained(err, key)}
	case len(numbers) != 3:
		return limit.Reply{Err: errReply}
	}
	return limit.Reply{Granted: numbers[0], Total: numbers[1], Gen: numbers[2]}
}

// explained is the error of a command that used the key.
func explained(err error, key string) error {
	if e, ok := valkey.IsValkeyErr(err); ok && strings.HasPrefix(e.Error(), "WRONGTYPE") {
		return fmt.Errorf("%s: %w", key, limit.ErrForeign)
	}
	return err
}

// Gateways implements limit.Shared. The time is the server's.
func (s *Store) Gateways(ctx context.Context, id string, gone bool) (int, error) {
	client, err := s.connected()
	if err != nil {
		return 0, err
	}
	now, err := client.Do(ctx, client.B().Time().Build()).AsIntSlice()
	if err != nil || len(now) != 2 {
		return 0, errors.Join(err, errReply)
	}
	key := s.KeyPrefix + ":gateways"
	join := client.B().Zadd().Key(key).ScoreMember().ScoreMember(float64(now[0]), id).Build()
	if gone {
		join = client.B().Zrem().Key(key).Member(id).Build()
	}
	results := client.DoMulti(ctx, join,
		client.B().Zremrangebyscore().Key(key).Min("-inf").Max(strconv.FormatInt(now[0]-int64(quiet/time.Second), 10)).Build(),
		client.B().Expire().Key(key).Seconds(10*int64(quiet/time.Second)).Build(),
		client.B().Zcard().Key(key).Build())
	for _, r := range results {
		if err := r.Error(); err != nil {
			return 0, explained(err, key)
		}
	}
	n, err := results[len(results)-1].AsInt64()
	return int(n), err
}

// Keys implements limit.Shared.
func (s *Store) Keys(ctx context.Context, prefix string) ([]string, error) {
	client, err := s.connected()
	if err != nil {
		return nil, err
	}
	seen := make(map[string]bool)
	for _, node := range client.Nodes() {
		for cursor := uint64(0); ; {
			page, err := node.Do(ctx, node.B().Scan().Cursor(cursor).Match(s.KeyPrefix+":"+prefix+"*").Count(1000).Build()).AsScanEntry()
			if err != nil {
				return nil, err
			}
			for _, key := range page.Elements {
				seen[strings.TrimPrefix(key, s.KeyPrefix+":")] = true
			}
			if cursor = page.Cursor; cursor == 0 {
				break
			}
		}
	}
	keys := make([]string, 0, len(seen))
	for key := range seen {
		keys = append(keys, key)
	}
	return keys, nil
}

// Interface guards
var (
	_ limit.Store       = (*Store)(nil)
	_ limit.Shared      = (*Store)(nil)
	_ caddy.Provisioner = (*Store)(nil)
)
