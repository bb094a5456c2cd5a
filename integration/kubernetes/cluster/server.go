package cluster

import (
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/caddy-llm/gateway/integration/gateway"
	"github.com/caddy-llm/gateway/integration/internal/host"
)

// startTime is far more than a start takes, for slow machines.
const startTime = 2 * time.Minute

// server is an API server with its etcd.
type server struct {
	programs, dir string
	remove        func() // the folder
	etcdURL, url  string
	port          int
	token         string
	client        *http.Client
	etcd, api     *process
}

func newServer(t testing.TB, programs string) (*server, error) {
	dir, remove, err := host.TempDir("llm-gateway-kubernetes")
	if err != nil {
		return nil, err
	}
	s := &server{programs: programs, dir: dir, remove: remove, token: rand.Text(), port: gateway.FreePort(t)}
	s.url = fmt.Sprintf("https://127.0.0.1:%d", s.port)
	err = s.writeFiles()
	if err == nil {
		err = s.startEtcd(gateway.FreePort(t), gateway.FreePort(t))
	}
	if err == nil {
		err = s.startAPI()
	}
	if err != nil {
		s.end()
		return nil, err
	}
	return s, nil
}

// cluster is the server as one test sees it.
func (s *server) cluster(t testing.TB, own bool) *Cluster {
	return &Cluster{URL: s.url, CAFile: s.caFile(), AdminToken: s.token, t: t, server: s, own: own}
}

func (s *server) file(name string) string { return filepath.Join(s.dir, name) }

// caFile is written by the API server at its first start.
func (s *server) caFile() string { return s.file("certs/apiserver.crt") }

// writeFiles writes the tokens the API server knows, the key it signs
// ServiceAccounts' tokens with, and kubectl's configuration.
func (s *server) writeFiles() error {
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		return err
	}
	block := &pem.Block{Type: "RSA PRIVATE KEY", Bytes: x509.MarshalPKCS1PrivateKey(key)}
	if err := os.WriteFile(s.file("sa.key"), pem.EncodeToMemory(block), 0o600); err != nil {
		return err
	}
	if err := os.WriteFile(s.file("tokens.csv"), []byte(s.token+",admin,admin,system:masters\n"), 0o600); err != nil {
		return err
	}
	return s.writeKubeconfig(s.file("admin.kubeconfig"), s.token)
}

func (s *server) startEtcd(client, peer int) error {
	s.etcdURL = fmt.Sprintf("http://127.0.0.1:%d", client)
	peers := fmt.Sprintf("http://127.0.0.1:%d", peer)
	var err error
	s.etcd, err = s.run("etcd", "--data-dir="+s.file("etcd"), "--unsafe-no-fsync", "--log-level=warn",
		"--listen-client-urls="+s.etcdURL, "--advertise-client-urls="+s.etcdURL,
		"--listen-peer-urls="+peers, "--initial-advertise-peer-urls="+peers, "--initial-cluster=default="+peers)
	if err != nil {
		return err
	}
	return s.etcd.until(func() error {
		c, err := net.Dial("tcp", fmt.Sprintf("127.0.0.1:%d", client))
		if err == nil {
			_ = c.Close()
		}
		return err
	})
}

func (s *server) startAPI() error {
	var err error
	s.api, err = s.run("kube-apiserver", "--etcd-servers="+s.etcdURL,
		"--bind-address=127.0.0.1", fmt.Sprintf("--secure-port=%d", s.port), "--cert-dir="+s.file("certs"),
		"--token-auth-file="+s.file("tokens.csv"), "--authorization-mode=RBAC",
		"--service-account-issuer=https://kubernetes.default.svc",
		"--service-account-signing-key-file="+s.file("sa.key"), "--service-account-key-file="+s.file("sa.key"),
		"--service-cluster-ip-range=10.96.0.0/16", "--endpoint-reconciler-type=none",
		"--allow-privileged=true", "--disable-admission-plugins=ServiceAccount")
	if err != nil {
		return err
	}
	return s.api.until(s.ready)
}

// ready reports whether the API server serves all that a fresh cluster has.
func (s *server) ready() error {
	if s.client == nil {
		client, err := newClient(s.caFile())
		if err != nil {
			return err
		}
		s.client = client
	}
	for _, path := range []string{"/readyz", "/api/v1/namespaces/default"} {
		status, answer, err := s.request(http.MethodGet, path, "", nil)
		if err == nil && status != http.StatusOK {
			err = fmt.Errorf("%s: %d %s", path, status, answer)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// end kills what runs and removes its data.
func (s *server) end() {
	for _, p := range []*process{s.api, s.etcd} {
		if p != nil {
			p.kill()
		}
	}
	s.remove()
}

// process is a running program whose output goes to a file.
type process struct {
	name string
	cmd  *exec.Cmd
	log  string
	done chan struct{}
}

// run starts a program. A second start adds to the log of the first.
func (s *server) run(name string, args ...string) (*process, error) {
	p := &process{name: name, log: s.file(name + ".log"), done: make(chan struct{})}
	log, err := os.OpenFile(p.log, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return nil, err
	}
	defer log.Close()
	p.cmd = exec.Command(filepath.Join(s.programs, name), args...)
	p.cmd.Dir, p.cmd.Env = s.dir, []string{"HOME=" + s.dir}
	p.cmd.Stdout, p.cmd.Stderr = log, log
	if err := host.Start(p.cmd, func(error) { close(p.done) }); err != nil {
		return nil, err
	}
	return p, nil
}

// until waits until the program does what it should.
func (p *process) until(works func() error) error {
	for deadline := time.Now().Add(startTime); ; time.Sleep(20 * time.Millisecond) {
		err := works()
		if err == nil {
			return nil
		}
		select {
		case <-p.done:
			return fmt.Errorf("%s ended (%v):\n%s", p.name, p.cmd.ProcessState, p.output())
		default:
		}
		if time.Now().After(deadline) {
			return fmt.Errorf("%s does not work after %v: %w\n%s", p.name, startTime, err, p.output())
		}
	}
}

// output is the end of what the program wrote.
func (p *process) output() string {
	b, err := os.ReadFile(p.log)
	if err != nil {
		return err.Error()
	}
	return tail(b)
}

func (p *process) kill() {
	_ = p.cmd.Process.Kill()
	<-p.done
}
