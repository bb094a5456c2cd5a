package listen

import (
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"sync"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddytls"

	"github.com/caddy-llm/gateway/llmprovider"
)

func init() {
	caddy.RegisterModule(new(matchClientAuth))
}

// Certificate is what a server shows clients, and what it asks of them. It is
// handed over as it is and never written out: its JSON names where it comes from.
type Certificate struct {
	origin    string
	chain     tls.Certificate
	authority *x509.CertPool

	// chains is verify for the requests of a connection: what was found out is
	// kept, nil for a client that is not known. Being a func, it makes no two
	// certificates equal, whose states would have to be compared.
	chains func(presented []*x509.Certificate) [][]*x509.Certificate
}

// NewCertificate reads a certificate chain with its key, and the authorities of
// clients' certificates if there are any, all of them as PEM. origin tells where
// they come from, such as a Secret's namespace and name.
func NewCertificate(origin string, chain, key, authorities []byte) (*Certificate, error) {
	pair, err := tls.X509KeyPair(chain, key)
	switch {
	case err != nil && strings.Contains(err.Error(), "PEM"): // it repeats the types of blocks, which may be anything
		return nil, errors.New("there is no certificate in the chain, or no private key in the key; write PEM text that begins with -----BEGIN CERTIFICATE-----, and with -----BEGIN PRIVATE KEY-----")
	case err != nil:
		return nil, err
	}
	c := &Certificate{origin: origin, chain: pair}
	c.chains = c.remembering()
	if len(authorities) > 0 {
		c.authority = x509.NewCertPool()
		if !c.authority.AppendCertsFromPEM(authorities) {
			return nil, errors.New("there is no certificate of an authority in it; write PEM text that begins with -----BEGIN CERTIFICATE-----")
		}
	}
	return c, nil
}

// MarshalJSON implements json.Marshaler.
func (c *Certificate) MarshalJSON() ([]byte, error) { return json.Marshal(c.origin) }

// UnmarshalJSON implements json.Unmarshaler.
func (c *Certificate) UnmarshalJSON([]byte) error {
	return errors.New("certificates of listeners come from a source, and cannot be written in the configuration")
}

// verify checks the certificate of a client, and returns the chains from it to an
// authority.
func (c *Certificate) verify(presented []*x509.Certificate) ([][]*x509.Certificate, error) {
	if c == nil || c.authority == nil {
		return nil, errors.New("the server has no authority to check client certificates by")
	}
	if len(presented) == 0 {
		return nil, errors.New("the client has no certificate")
	}
	options := x509.VerifyOptions{Roots: c.authority, Intermediates: x509.NewCertPool(), KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}}
	for _, cert := range presented[1:] {
		options.Intermediates.AddCert(cert)
	}
	return presented[0].Verify(options)
}

// Admits reports whether a connection, identified by the server, fulfils what it asks
// for now.
func (s *Server) Admits(state *tls.ConnectionState) bool {
	return state.Version >= s.MinVersion && (!s.ClientAuth || len(state.VerifiedChains) > 0)
}

// Identified is the state of a connection with the chains by which the server
// knows its client, as policies ask for them: the handshake itself only asks for
// a certificate, and VerifyConnection cannot note what it found.
func (s *Server) Identified(state *tls.ConnectionState) *tls.ConnectionState {
	if !s.ClientAuth {
		return state
	}
	known := *state
	known.VerifiedChains = nil
	if s.Certificate != nil {
		known.VerifiedChains = s.Certificate.chains(state.PeerCertificates)
	}
	return &known
}

// maxKnown is the most client certificates that a Certificate remembers.
const maxKnown = 4096

// remembering is verify with a memory.
func (c *Certificate) remembering() func([]*x509.Certificate) [][]*x509.Certificate {
	var mu sync.Mutex
	known := make(map[*x509.Certificate][][]*x509.Certificate)
	return func(presented []*x509.Certificate) [][]*x509.Certificate {
		if len(presented) == 0 {
			return nil
		}
		mu.Lock()
		defer mu.Unlock()
		chains, ok := known[presented[0]]
		if !ok {
			chains, _ = c.verify(presented) // nil with an error
			if len(known) >= maxKnown {
				clear(known)
			}
			known[presented[0]] = chains
		}
		return chains
	}
}

// matchClientAuth matches handshakes for servers that ask for a certificate of
// the client. Which ones these are can change while the listener serves.
type matchClientAuth struct {
	// The address of the listener.
	Address string `json:"address,omitempty"`

	app App
}

// CaddyModule returns the Caddy module information.
func (*matchClientAuth) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{
		ID:  "tls.handshake_match.llm_client_auth",
		New: func() caddy.Module { return new(matchClientAuth) },
	}
}

// Provision sets up the matcher.
func (m *matchClientAuth) Provision(ctx caddy.Context) error {
	app, err := ctx.App("llm")
	if err != nil {
		return fmt.Errorf("getting the llm app: %w", err)
	}
	m.app = app.(App)
	return nil
}

// Match implements caddytls.ConnectionMatcher.
func (m *matchClientAuth) Match(hello *tls.ClientHelloInfo) bool {
	server := m.app.ServerFor(m.Address, hello.ServerName)
	return server != nil && server.ClientAuth
}

// connectionPolicies are those of a listener with TLS: one for servers that ask
// for a client's certificate, and one for the others.
func connectionPolicies(address string) (caddytls.ConnectionPolicies, error) {
	match, err := json.Marshal(matchClientAuth{Address: address})
	if err != nil {
		return nil, fmt.Errorf("handshake matcher: %w", err)
	}
	return caddytls.ConnectionPolicies{
		{
			MatchersRaw:          caddy.ModuleMap{"llm_client_auth": match},
			ClientAuthentication: &caddytls.ClientAuthentication{Mode: "require"},
		},
		{},
	}, nil
}

// useLiveCertificates makes the policies of a provisioned server take their
// certificates from the app, so that a new one takes no restart.
func useLiveCertificates(a App, address string, policies caddytls.ConnectionPolicies) {
	for i, policy := range policies {
		config, clientAuth := policy.TLSConfig, i == 0
		config.GetCertificate = func(hello *tls.ClientHelloInfo) (*tls.Certificate, error) {
			switch server := a.ServerFor(address, hello.ServerName); {
			case server == nil:
				return nil, fmt.Errorf("no server at %s has the host %q", address, llmprovider.Bounded(hello.ServerName))
			case server.Certificate == nil:
				return nil, fmt.Errorf("%s has no usable certificate", server.Origin)
			default:
				return &server.Certificate.chain, nil
			}
		}
		config.VerifyConnection = func(state tls.ConnectionState) error {
			server := a.ServerFor(address, state.ServerName)
			switch {
			case server == nil || server.ClientAuth != clientAuth:
				return errors.New("the server changed during the handshake")
			case state.Version < server.MinVersion:
				return fmt.Errorf("%s asks for %s", server.Origin, tls.VersionName(server.MinVersion))
			case clientAuth:
				_, err := server.Certificate.verify(state.PeerCertificates)
				return err
			}
			return nil
		}
	}
}

// Interface guards
var (
	_ caddy.Provisioner          = (*matchClientAuth)(nil)
	_ caddytls.ConnectionMatcher = (*matchClientAuth)(nil)
	_ json.Marshaler             = (*Certificate)(nil)
	_ json.Unmarshaler           = (*Certificate)(nil)
)
