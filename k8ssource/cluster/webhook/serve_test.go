package webhook

import (
	"crypto/tls"
	"crypto/x509"
	"net"
	"testing"
	"time"
)

// TestHandshakeBeforeTheCertificate holds that a connection which comes before there
// is a certificate waits for it.
func TestHandshakeBeforeTheCertificate(t *testing.T) {
	a := renewed(t, nil, time.Now())
	w := newTestWebhook(t)
	w.ready = make(chan struct{})
	w.certificate = &certificate{times: year, now: time.Now}
	asked := make(chan struct{})
	here, there := net.Pipe()
	defer here.Close()
	server := tls.Server(there, &tls.Config{MinVersion: tls.VersionTLS12, GetCertificate: func(hello *tls.ClientHelloInfo) (*tls.Certificate, error) {
		close(asked)
		return w.getCertificate(hello)
	}})
	go func() { _ = server.HandshakeContext(t.Context()) }()
	go func() {
		<-asked
		time.Sleep(50 * time.Millisecond) // long enough for one that does not wait
		w.certificate.update(a, hosts, nil)
		close(w.ready)
	}()
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(a.bundle())
	if err := tls.Client(here, &tls.Config{MinVersion: tls.VersionTLS12, RootCAs: roots, ServerName: hosts[1]}).HandshakeContext(t.Context()); err != nil {
		t.Error(err)
	}
}
