package limit_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"io"
	"math/big"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/caddyserver/caddy/v2"

	"github.com/caddy-llm/gateway/integration/redisserver"
	"github.com/caddy-llm/gateway/internal/redisclient"
	"github.com/caddy-llm/gateway/llmroute/limit/grant"
	"github.com/caddy-llm/gateway/llmroute/limit/redisstore"
)

// take raises a counter of the store by one, and returns how much is granted then.
func take(s *redisstore.Store, seq uint64, granted int64) (int64, error) {
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	r := s.Do(ctx, []grant.Call{{Op: grant.OpRaise, Sort: grant.SortWindow, Key: "k", Holder: "h", Seq: seq, Base: granted, Claim: granted, Target: granted + 1, Amount: 99, Burst: 99, Keep: time.Minute}})[0]
	return r.Granted, r.Err
}

// pemFile writes a block into a file.
func pemFile(t *testing.T, name, kind string, der []byte) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(file, pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}), 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}

// certificate returns the files of a certificate for the name, which is its own authority, and of its key.
func certificate(t *testing.T, name string, ips ...net.IP) (certificate, key string) {
	t.Helper()
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: name}, DNSNames: []string{name}, IPAddresses: ips, IsCA: true, BasicConstraintsValid: true,
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour), KeyUsage: x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &private.PublicKey, private)
	if err != nil {
		t.Fatal(err)
	}
	pkcs8, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		t.Fatal(err)
	}
	return pemFile(t, "certificate.pem", "CERTIFICATE", der), pemFile(t, "key.pem", "PRIVATE KEY", pkcs8)
}

// TestRedisTLS has a server that speaks TLS alone. Whom the system trusts is known once in a process, so the
// one that trusts the server is another one.
func TestRedisTLS(t *testing.T) {
	if url := os.Getenv("TEST_REDIS_TLS"); url != "" {
		s := open(t, &redisstore.Store{Server: redisclient.Server{URL: url, TLS: os.Getenv("TEST_REDIS_TLS_OPTION") != "", Password: "{env.REDIS_PASSWORD}"}})
		granted, err := take(s, 1, 0)
		fmt.Printf("granted %d, %v\n", granted, err)
		return
	}
	certFile, keyFile := certificate(t, "redis.example.com", net.IPv4(127, 0, 0, 1))
	otherCert, otherKey := certificate(t, "other.example.com")
	for name, test := range map[string]struct {
		cert, key, trusted, scheme, option, want string
	}{
		"rediss":           {certFile, keyFile, certFile, "rediss", "", "granted 1, <nil>"},
		"option":           {certFile, keyFile, certFile, "redis", "tls", "granted 1, <nil>"},
		"unknown issuer":   {certFile, keyFile, otherCert, "rediss", "", "unknown authority"},
		"another name":     {otherCert, otherKey, otherCert, "rediss", "", "127.0.0.1"},
		"no TLS by client": {certFile, keyFile, certFile, "redis", "", "granted 0, connecting to 127.0.0.1"},
	} {
		t.Run(name, func(t *testing.T) {
			l, err := net.Listen("tcp", "127.0.0.1:0")
			if err != nil {
				t.Fatal(err)
			}
			port := fmt.Sprint(l.Addr().(*net.TCPAddr).Port)
			l.Close()
			redisserver.New(t, "--tls-port", port, "--tls-cert-file", test.cert, "--tls-key-file", test.key, "--tls-ca-cert-file", test.cert, "--tls-auth-clients", "no", "--requirepass", "hunter2")
			child := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^TestRedisTLS$")
			child.Env = append(os.Environ(), "TEST_REDIS_TLS="+test.scheme+"://127.0.0.1:"+port+"/0", "TEST_REDIS_TLS_OPTION="+test.option, "SSL_CERT_FILE="+test.trusted, "SSL_CERT_DIR="+t.TempDir(), "REDIS_PASSWORD=hunter2")
			out, err := child.CombinedOutput()
			if err != nil || !strings.Contains(string(out), test.want) || strings.Contains(string(out), "hunter2") {
				t.Errorf("%v: %s", err, out)
			}
		})
	}
}

// rights returns what a user of the server needs, as the manual has it.
func rights(t *testing.T) string {
	t.Helper()
	page, err := os.ReadFile("../../caddyfile/docs/limit_stores.md")
	if err != nil {
		t.Fatal(err)
	}
	m := regexp.MustCompile(`(?m)^ACL SETUSER gateway on >SECRET ~llm:\* (.+)$`).FindSubmatch(page)
	if m == nil {
		t.Fatal("limit_stores.md does not say what a user needs")
	}
	return string(m[1])
}

// TestRedisUsers has a user that may do no more than the manual says, and ones that may do less.
func TestRedisUsers(t *testing.T) {
	users := filepath.Join(t.TempDir(), "users.acl")
	if err := os.WriteFile(users, []byte("user default off\nuser gateway on >hunter2 ~llm:* "+rights(t)+"\nuser reader on >hunter2 ~llm:* +@read +@connection\nuser elsewhere on >hunter2 ~other:* "+rights(t)+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	url := redisserver.New(t, "--aclfile", users).URL()
	for user, want := range map[string]string{"gateway": "", "reader": "NOPERM", "elsewhere": "NOPERM", "nobody": "WRONGPASS", "": "WRONGPASS"} {
		s := open(t, &redisstore.Store{Server: redisclient.Server{URL: url, Username: user, Password: "hunter2"}})
		granted, err := take(s, 1, 0)
		if (err != nil) != (want != "") || err != nil && (!strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "hunter2")) || err == nil && granted != 1 {
			t.Errorf("%q: %d, %v", user, granted, err)
		}
		n, err := s.Gateways(t.Context(), "g", false)
		if (err != nil) != (want != "") || err == nil && n != 1 {
			t.Errorf("%q: %d gateways, %v", user, n, err)
		}
		if want != "" {
			continue
		}
		for i, sort := range []grant.Sort{grant.SortWindow, grant.SortBucket, grant.SortSlots} {
			for j, op := range []grant.Op{grant.OpRaise, grant.OpLower, grant.OpCredit, grant.OpReset} {
				r := s.Do(t.Context(), []grant.Call{{Op: op, Sort: sort, Key: fmt.Sprint("k", i), Holder: "h", Seq: uint64(j + 1), Target: 5, Amount: 9, Burst: 9, Every: time.Hour, Keep: time.Minute}})[0]
				if r.Err != nil {
					t.Errorf("%s of a %s: %v", op, sort, r.Err)
				}
			}
		}
		if keys, err := s.Keys(t.Context(), "k"); err != nil || len(keys) != 4 {
			t.Errorf("keys %q, %v", keys, err)
		}
	}
}

// proxy leads to a server, and to another one when it is told: as a service's address does whose
// primary changes. Connections that are open stay where they are.
type proxy struct {
	net.Listener
	mu sync.Mutex
	to string
}

func newProxy(t *testing.T, to string) *proxy {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	p := &proxy{Listener: l, to: to}
	go func() {
		for {
			client, err := l.Accept()
			if err != nil {
				return
			}
			p.mu.Lock()
			to := p.to
			p.mu.Unlock()
			server, err := net.Dial("tcp", to)
			if err != nil {
				client.Close()
				continue
			}
			go func() { _, _ = io.Copy(server, client); server.Close() }()
			go func() { _, _ = io.Copy(client, server); client.Close() }()
		}
	}()
	return p
}

func (p *proxy) lead(to string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.to = to
}

func host(url string) string { return strings.TrimSuffix(strings.TrimPrefix(url, "redis://"), "/0") }

// TestRedisFailover makes a replica the primary: because the primary has died, and because it was
// told to be a replica, which keeps connections open and refuses to write. What was granted stays
// granted.
func TestRedisFailover(t *testing.T) {
	for _, how := range []string{"killed", "demoted"} {
		t.Run(how, func(t *testing.T) {
			primary := redisserver.New(t)
			first, second := primary.URL(), redisserver.New(t, "--replicaof", strings.ReplaceAll(primary.Address, ":", " ")).URL()
			p := newProxy(t, host(first))
			s := &redisstore.Store{Server: redisclient.Server{URL: "redis://" + p.Addr().String() + "/0"}}
			if err := s.Provision(caddy.Context{}); err != nil {
				t.Fatal(err)
			}
			t.Cleanup(s.Close)
			granted := int64(0)
			for i := range uint64(5) {
				var err error
				if granted, err = take(s, i+1, granted); err != nil || granted != int64(i+1) {
					t.Fatalf("%d, %v", granted, err)
				}
			}
			for end := time.Now().Add(20 * time.Second); ; time.Sleep(20 * time.Millisecond) { // until the replica has it
				if said := query(t, second, "HGET llm:k total"); strings.Contains(said, "\r\n5\r\n") {
					break
				} else if time.Now().After(end) {
					t.Fatalf("the replica says %q", said)
				}
			}
			ask(t, second, "", "REPLICAOF NO ONE")
			p.lead(host(second))
			if how == "killed" {
				primary.Kill()
			} else {
				ask(t, first, "", "REPLICAOF "+strings.ReplaceAll(host(second), ":", " "))
			}
			seq := uint64(6)
			for end := time.Now().Add(10 * time.Second); ; time.Sleep(50 * time.Millisecond) {
				n, err := take(s, seq, granted)
				if seq++; err == nil {
					if n != 6 {
						t.Errorf("%d are granted after the change, want 6", n)
					}
					break
				}
				if time.Now().After(end) {
					t.Fatalf("the new primary is not used: %v", err)
				}
			}
			if said := query(t, second, "HGET llm:k total"); !strings.Contains(said, "\r\n6\r\n") {
				t.Errorf("the new primary says %q", said)
			}
		})
	}
}

// query sends a command to the server, and returns all that it says.
func query(t *testing.T, url, command string) string {
	t.Helper()
	c, err := net.Dial("tcp", host(url))
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if _, err := fmt.Fprintf(c, "%s\r\n", command); err != nil {
		t.Fatal(err)
	}
	_ = c.(*net.TCPConn).CloseWrite() // Sentinels know no QUIT
	said, err := io.ReadAll(c)
	if err != nil {
		t.Fatal(err)
	}
	return string(said)
}
