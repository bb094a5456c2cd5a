// Package redisclient is how stores find their Redis or Valkey server: what its address and
// credentials may be, and one client for as long as a configuration lasts. It speaks the
// protocol with valkey-go, which the smallest builds do without, and imports internal/options.
// Begin with Server.
package redisclient

import (
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/url"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/valkey-io/valkey-go"
)

const (
	// defaultPrefix begins the keys in the server unless configured.
	defaultPrefix = "llm"
	// dialTimeout bounds how long it takes to connect.
	dialTimeout = time.Second
)

// Server is a Redis or Valkey server, or a cluster of them, as a store has it in its
// configuration. Its exported fields are not changed after Provision.
type Server struct {
	// The server's address, such as `redis://127.0.0.1:6379/0`; with `rediss` in place of
	// `redis`, TLS is used. It holds no password.
	URL string `json:"url"`

	// The addresses of Redis Sentinels, such as `redis-0.redis:26379`; a port that is left out
	// is 26379. With them, the host of the URL is the name that they have for the primary, as in
	// `redis://mymaster/0`, and they are asked which server that is. Default: none, and the URL
	// leads to the server.
	Sentinels []string `json:"sentinels,omitempty"`

	// The name of the user and the password for Sentinels, read as those of the server, which
	// Sentinels are not told. Default: none.
	SentinelUsername string `json:"sentinel_username,omitempty"`
	SentinelPassword string `json:"sentinel_password,omitempty"`

	// The name of the user, for servers that know several. Default: `default`.
	Username string `json:"username,omitempty"`

	// The password, such as `{env.REDIS_PASSWORD}` or `{file./run/secrets/redis}`. It
	// is read again for every connection. Default: none.
	Password string `json:"password,omitempty"`

	// Whether TLS is used, as with `rediss` in the URL. Default: false.
	TLS bool `json:"tls,omitempty"`

	// What the keys in the store begin with. Gateways with the same prefix share what is
	// stored. Default: `llm`.
	KeyPrefix string `json:"key_prefix,omitempty"`

	options valkey.ClientOption
	mu      sync.Mutex
	client  valkey.Client // nil as long as none was reached
	closed  bool
}

// ErrClosed is the error of Client after Close.
var ErrClosed = errors.New("this store's configuration was replaced")

// Provision readies the server. It connects to nothing: the server may come later.
func (s *Server) Provision() (err error) {
	if s.KeyPrefix == "" {
		s.KeyPrefix = defaultPrefix
	}
	s.options, err = s.clientOptions()
	return err
}

// Check reports what is wrong with the configuration, if anything.
func (s *Server) Check() error {
	_, err := s.clientOptions()
	return err
}

var errURL = errors.New("the URL is not usable; write one such as redis://127.0.0.1:6379/0, or rediss://… for TLS")

// clientOptions are valkey-go's.
func (s *Server) clientOptions() (valkey.ClientOption, error) {
	u, err := url.Parse(s.URL)
	switch {
	case err != nil || u.Host == "" || u.Port() == "0" || !slices.Contains([]string{"redis", "rediss", "valkey", "valkeys"}, u.Scheme):
		return valkey.ClientOption{}, errURL // without the text of it, which may have a password
	case u.User != nil:
		return valkey.ClientOption{}, errors.New("the URL has a user or a password; write them as username and password, such as password {env.REDIS_PASSWORD}")
	case u.RawQuery != "" || u.Fragment != "":
		return valkey.ClientOption{}, errors.New("the URL has parameters; write only the address and the database number")
	case strings.ContainsAny(s.KeyPrefix, "*?[]\\{} \t\r\n"):
		return valkey.ClientOption{}, errors.New("key_prefix has a character that is not allowed; write letters and digits, with - _ . : between them")
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
		return credentials(s.Username, s.Password)
	}
	switch {
	case len(s.Sentinels) > 0:
		err = s.useSentinels(&o, u)
	case s.SentinelUsername != "" || s.SentinelPassword != "":
		err = errNoAsking
	}
	return o, err
}

// credentials reads the placeholders of a password.
func credentials(username, password string) (valkey.AuthCredentials, error) {
	read, err := caddy.NewReplacer().ReplaceOrErr(password, true, true)
	if err != nil && password != "" {
		return valkey.AuthCredentials{}, fmt.Errorf("reading the password: %w", err)
	}
	return valkey.AuthCredentials{Username: username, Password: strings.TrimRight(read, "\r\n")}, nil
}

// Client returns the client, once the server was reached. The first call connects, and may
// take some seconds.
func (s *Server) Client() (valkey.Client, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case s.closed:
		return nil, ErrClosed
	case s.client != nil:
		return s.client, nil
	}
	client, err := valkey.NewClient(s.options)
	if err != nil {
		if name := s.options.Sentinel.MasterSet; name != "" {
			return nil, fmt.Errorf("asking sentinels for the primary %s, and connecting to it: %w", name, err)
		}
		return nil, fmt.Errorf("connecting to %s: %w", s.options.InitAddress[0], err)
	}
	s.client = client
	return client, nil
}

// Close ends the client.
func (s *Server) Close() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.closed = true
	if s.client != nil {
		s.client.Close()
		s.client = nil
	}
}

// Renew drops a client whose server refuses to write, since it is a replica now: the address
// may lead to another one, but not on connections that are open. Other errors change nothing,
// and then Renew returns false.
func (s *Server) Renew(client valkey.Client, err error) bool {
	if e, ok := valkey.IsValkeyErr(err); !ok || !strings.HasPrefix(e.Error(), "READONLY") {
		return false
	}
	s.mu.Lock()
	current := s.client == client
	if current {
		s.client = nil
	}
	s.mu.Unlock()
	if current {
		client.Close()
	}
	return true
}
