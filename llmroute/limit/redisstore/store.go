package redisstore

import (
	"context"
	_ "embed" // of the script
	"errors"
	"fmt"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/valkey-io/valkey-go"

	"github.com/caddy-llm/gateway/internal/redisclient"
	"github.com/caddy-llm/gateway/llmroute/limit"
	"github.com/caddy-llm/gateway/llmroute/limit/grant"
)

func init() {
	caddy.RegisterModule(new(Store))
}

// quiet is after which time a gateway that was not heard of is not counted.
const quiet = 30 * time.Second

//go:embed counter.lua
var script string

// Store keeps what was used in a Redis or Valkey server that several gateways share. What
// a gateway may use is leased to it for many requests, so that requests do not wait for
// the server as long as the lease lasts; all gateways together never have more than the
// limit. Servers from Redis 6.2 and Valkey 7.2 on are supported, clusters and those
// with Sentinels included.
//
// The server should keep its data: with `appendonly yes`. If it loses its data,
// gateways tell it what they know.
type Store struct {
	redisclient.Server

	mu  sync.Mutex // guards sha
	sha string
}

// CaddyModule returns the Caddy module information.
func (*Store) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{ID: limit.StoreNamespace + ".redis", New: func() caddy.Module { return new(Store) }}
}

// Provision sets up the store. It connects to nothing: the server may come later.
func (s *Store) Provision(caddy.Context) error {
	return s.Server.Provision()
}

// Storage implements limit.Store: there is none; all is in the server.
func (*Store) Storage(caddy.Context) limit.Storage { return nil }

// Shared implements limit.Store.
func (s *Store) Shared() grant.Store { return s }

// ID implements grant.Store.
func (s *Store) ID() string {
	return strings.Join(append([]string{"redis", s.URL, s.KeyPrefix}, s.Sentinels...), " ")
}

// Traits implements grant.Store: the store was made for it.
func (*Store) Traits() grant.Traits { return grant.Traits{} }

// Do implements grant.Store.
func (s *Store) Do(ctx context.Context, calls []grant.Call) []grant.Reply {
	replies := make([]grant.Reply, len(calls))
	fail := func(err error) []grant.Reply {
		for i := range replies {
			replies[i] = grant.Reply{Err: err}
		}
		return replies
	}
	client, err := s.Client()
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
				replies[i] = grant.Reply{Err: err}
			}
			break
		}
		todo = missing
	}
	for i := range replies {
		s.Renew(client, replies[i].Err)
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
func arguments(c *grant.Call) []string {
	args := []string{string(c.Op), string(c.Sort), c.Holder, strconv.FormatUint(c.Seq, 10)}
	for _, n := range [...]int64{
		c.Gen, c.Base, c.Claim, c.Target, c.Least, c.Known, c.Amount, c.Burst, c.Every.Microseconds(), c.Keep.Milliseconds(), grant.DeadAfter.Microseconds(),
	} {
		args = append(args, strconv.FormatInt(n, 10))
	}
	return args
}

var errReply = errors.New("the server's reply is not one of the script")

func reply(result valkey.ValkeyResult, key string) grant.Reply {
	numbers, err := result.AsIntSlice()
	switch {
	case err != nil:
		return grant.Reply{Err: explained(err, key)}
	case len(numbers) != 3:
		return grant.Reply{Err: errReply}
	}
	return grant.Reply{Granted: numbers[0], Total: numbers[1], Gen: numbers[2]}
}

// explained is the error of a command that used the key.
func explained(err error, key string) error {
	if e, ok := valkey.IsValkeyErr(err); ok && strings.HasPrefix(e.Error(), "WRONGTYPE") {
		return fmt.Errorf("%s: %w: the key holds something else; delete it, or use another key_prefix", key, grant.ErrCounter)
	}
	return err
}

// Gateways implements grant.Store. The time is the server's.
func (s *Store) Gateways(ctx context.Context, id string, gone bool) (int, error) {
	client, err := s.Client()
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
			s.Renew(client, err)
			return 0, explained(err, key)
		}
	}
	n, err := results[len(results)-1].AsInt64()
	return int(n), err
}

// Keys implements grant.Store.
func (s *Store) Keys(ctx context.Context, prefix string) ([]string, error) {
	client, err := s.Client()
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
	_ grant.Store       = (*Store)(nil)
	_ caddy.Provisioner = (*Store)(nil)
)
