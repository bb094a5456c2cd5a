package source_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"encoding/pem"
	"fmt"
	"math/big"
	"net"
	"testing"
	"time"

	"github.com/caddy-llm/gateway/integration/gateway"
	"github.com/caddy-llm/gateway/integration/kubernetes/cluster"
)

// tlsSecret is a Secret with a new certificate for a host, whose subject has the name.
func tlsSecret(t *testing.T, secret, host, name string) string {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(time.Now().UnixNano()), Subject: pkix.Name{CommonName: name}, DNSNames: []string{host},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
	}
	chain, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	private, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	encode := func(kind string, der []byte) string {
		return base64.StdEncoding.EncodeToString(pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}))
	}
	return fmt.Sprintf("apiVersion: v1\nkind: Secret\ntype: kubernetes.io/tls\nmetadata: {name: %s}\ndata: {tls.crt: %s, tls.key: %s}\n---\n", secret, encode("CERTIFICATE", chain), encode("PRIVATE KEY", private))
}

// TestCredentialInTheWorkloadsNamespace holds that credentialName is looked for in the
// workload's namespace first, as Istio has it, and then in the Gateway's, and that the
// last good certificate stays in use when its Secret is gone.
func TestCredentialInTheWorkloadsNamespace(t *testing.T) {
	c := cluster.Shared(t)
	c.InstallCRDs(crds)
	c.InstallIstioCRDs("Gateway")
	w := newWorld(t, c)
	team, port := c.Namespace(), gateway.FreePort(t)
	c.Apply(fmt.Sprintf("apiVersion: networking.istio.io/v1\nkind: Gateway\nmetadata: {name: gw}\nspec: {selector: {app: %s}, servers: [{bind: 127.0.0.1, port: {number: %d, name: https, protocol: HTTPS}, hosts: [%s], tls: {mode: SIMPLE, credentialName: cert}}]}\n",
		w.ns, port, w.host), "-n", team)
	c.Apply(tlsSecret(t, "cert", w.host, "of the Gateway"), "-n", team)
	w.start(settings{workload: w.ns})
	shows := func(want string) {
		t.Helper()
		until(t, "certificate "+want, func() (bool, string) {
			conn, err := tls.Dial("tcp", net.JoinHostPort("127.0.0.1", fmt.Sprint(port)), &tls.Config{ServerName: w.host, InsecureSkipVerify: true})
			if err != nil {
				return false, err.Error()
			}
			defer conn.Close()
			got := conn.ConnectionState().PeerCertificates[0].Subject.CommonName
			return got == want, got
		})
	}
	shows("of the Gateway")
	w.apply(tlsSecret(t, "cert", w.host, "of the workload"))
	shows("of the workload")
	w.apply(tlsSecret(t, "cert", w.host, "renewed"))
	shows("renewed")
	w.Kubectl("delete", "secret", "cert", "-n", w.ns)
	w.Kubectl("delete", "secret", "cert", "-n", team)
	time.Sleep(time.Second) // no sooner
	conn, err := tls.Dial("tcp", net.JoinHostPort("127.0.0.1", fmt.Sprint(port)), &tls.Config{ServerName: w.host, InsecureSkipVerify: true})
	if err != nil {
		t.Fatalf("without the Secrets: %v", err)
	}
	_ = conn.Close()
}
