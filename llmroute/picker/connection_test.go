package picker

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/caddyserver/caddy/v2"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"
)

// selfSigned is a certificate for the name epp, and the PEM of it as an authority.
func selfSigned(t *testing.T) (tls.Certificate, []byte) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), DNSNames: []string{"epp"}, NotAfter: time.Now().Add(time.Hour), IsCA: true, BasicConstraintsValid: true,
		KeyUsage: x509.KeyUsageCertSign | x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}
	raw, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	return tls.Certificate{Certificate: [][]byte{raw}, PrivateKey: key}, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: raw})
}

// TestAuthoritiesAreReplaced holds that a new configuration verifies a picker's certificate by
// what the file of its authorities says now, though it shares the connection with the old one,
// and that another certificate, or another name, is refused.
func TestAuthoritiesAreReplaced(t *testing.T) {
	certificate, authority := selfSigned(t)
	_, other := selfSigned(t)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	server := grpc.NewServer(grpc.Creds(credentials.NewServerTLSFromCert(&certificate)))
	go func() { _ = server.Serve(l) }()
	t.Cleanup(server.Stop)
	file := filepath.Join(t.TempDir(), "ca.pem")
	provision := func(name string, ca []byte) *Picker {
		t.Helper()
		if err := os.WriteFile(file, ca, 0o600); err != nil {
			t.Fatal(err)
		}
		p := new(Picker)
		if err := json.Unmarshal(fmt.Appendf(nil, `{"address":%q,"server_name":%q,"ca":{"provider":"file","pem_files":[%q]}}`, l.Addr(), name, file), p); err != nil {
			t.Fatal(err)
		}
		ctx, cancel := caddy.NewContext(caddy.Context{Context: context.Background()})
		t.Cleanup(cancel)
		if err := p.Provision(ctx); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = p.Close() })
		return p
	}
	connects := func(p *Picker, within time.Duration) bool {
		t.Helper()
		for end := time.Now().Add(within); ; time.Sleep(50 * time.Millisecond) { // the next try to connect
			if _, err := p.conn.get(t.Context()); err == nil || time.Now().After(end) {
				return err == nil
			}
		}
	}
	old := provision("epp", other)
	if connects(old, time.Second/2) {
		t.Error("a certificate that nobody in the file has signed is taken")
	}
	if !connects(provision("epp", authority), 2*maxBackoff) {
		t.Error("after the file was replaced, the certificate is refused")
	}
	if connects(provision("another", authority), time.Second/2) {
		t.Error("a certificate with another name is taken")
	}
}
