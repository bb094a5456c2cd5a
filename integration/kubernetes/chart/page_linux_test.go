package chart

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"math/big"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/caddy-llm/gateway/integration/fakeprovider"
	"github.com/caddy-llm/gateway/integration/kubernetes/cluster"
)

// page is a run of the commands of the installation page, on a cluster of its
// own. What takes a real cluster is done by hand: a Deployment's status, a
// load balancer's address, and one pod.
type page struct {
	t   *testing.T
	c   *cluster.Cluster
	dir string // where the commands run
	bin string // programs of the page's own
	pod *pod

	provider *fakeprovider.Server
	proxy    *fakeprovider.Proxy
}

// TestPage runs the page as it is printed, once for those who have Helm and once
// for those who do not.
func TestPage(t *testing.T) {
	for name, others := range map[string]*regexp.Regexp{
		"Helm":    regexp.MustCompile(`gateway\.yaml|create role `),
		"kubectl": regexp.MustCompile(`(?m)^helm `),
	} {
		t.Run(name, func(t *testing.T) {
			p := newPage(t)
			for _, m := range regexp.MustCompile("(?ms)^```sh\n(.*?)^```$").FindAllStringSubmatch(read(t, examples+"/README.md"), -1) {
				if !others.MatchString(m[1]) {
					p.block(m[1])
				}
			}
			if r := p.c.Kubectl("get", "crds", "-o", "name"); strings.Contains(r.Stdout, "alibabacloud") {
				t.Errorf("left behind: %s", r.Stdout)
			}
		})
	}
}

func newPage(t *testing.T) *page {
	t.Helper()
	p := &page{t: t, c: cluster.Start(t), dir: t.TempDir(), bin: t.TempDir()}
	p.c.InstallIstioCRDs("Gateway") // instead of those on the network
	p.provider = fakeprovider.New(t, fakeprovider.Names(providerName, "test.com"))
	p.proxy = fakeprovider.NewProxy(t, map[string]*fakeprovider.Server{providerName: p.provider})
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	root, err := filepath.Abs("../../..")
	if err != nil {
		t.Fatal(err)
	}
	for link, to := range map[string]string{filepath.Join(p.bin, "helm"): self, filepath.Join(p.dir, "examples"): filepath.Join(root, "examples")} {
		if err := os.Symlink(to, link); err != nil {
			t.Fatal(err)
		}
	}
	p.program("docker", "exit 0")
	p.program("kubectl", fmt.Sprintf(`case "$*" in *" logs "*) exit 0 ;; esac; exec %q "$@"`, p.c.KubectlPath()))
	return p
}

// program makes a program of a shell script.
func (p *page) program(name, script string) {
	p.t.Helper()
	if err := os.WriteFile(filepath.Join(p.bin, name), []byte("#!/bin/sh\n"+script+"\n"), 0o700); err != nil {
		p.t.Fatal(err)
	}
}

// block runs a block of commands. What follows changes that have yet to take
// effect is tried until it works.
func (p *page) block(commands string) {
	p.t.Helper()
	p.settle()
	want := ""
	switch {
	case strings.Contains(commands, "curl "):
		want = `"model":"qwen1.5-72b-chat"`
	case strings.Contains(commands, "get llmproviders,"):
		want = "True"
	}
	for deadline := time.Now().Add(time.Minute); ; time.Sleep(200 * time.Millisecond) {
		out, err := p.run(commands)
		if err == nil && strings.Contains(out, want) {
			return
		}
		if want == "" || time.Now().After(deadline) {
			p.t.Fatalf("%v, want %q:\n%s\n%s", err, want, commands, out)
		}
	}
}

func (p *page) run(commands string) (output string, err error) {
	p.t.Helper()
	ctx, cancel := context.WithTimeout(p.t.Context(), 2*time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, "bash", "-euo", "pipefail", "-c", commands)
	cmd.Dir = p.dir
	cmd.Env = append(admin(p.c), "HOME="+p.t.TempDir(), "PATH="+p.bin+":"+os.Getenv("PATH"), "DASHSCOPE_API_KEY=sk-of-the-page")
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	err = cmd.Run()
	return out.String(), err
}

// settle does what controllers and nodes would do: when there is a Deployment
// it is rolled out, its pod runs, and the load balancer leads there.
func (p *page) settle() {
	p.t.Helper()
	generation := get(p.c, "istio-system", "deployment/llm-gateway", ".metadata.generation")
	if generation == "" {
		return
	}
	p.status("deployment", fmt.Sprintf(`{"observedGeneration": %s, "replicas": 2, "updatedReplicas": 2, "readyReplicas": 2, "availableReplicas": 2}`, generation))
	if p.pod != nil {
		return
	}
	p.status("service", `{"loadBalancer": {"ingress": [{"ip": "203.0.113.7"}]}}`)
	p.pod = startPod(p.t, p.c, "istio-system", "llm-gateway", map[string]string{"/etc/authorities/ca.crt": read(p.t, p.provider.CAFile())},
		"HTTPS_PROXY="+p.proxy.URL(), "SSL_CERT_FILE=/etc/authorities/ca.crt")
	curl, err := exec.LookPath("curl")
	if err != nil {
		p.t.Fatal(err)
	}
	p.program("curl", fmt.Sprintf(`exec %q --silent --connect-to :80:127.0.0.1:%d --connect-to :443:127.0.0.1:%d "$@"`, curl, p.pod.ports["http"], p.pod.ports["https"]))
	p.certificate()
}

func (p *page) status(kind, status string) {
	p.t.Helper()
	if r := p.c.Kubectl("-n", "istio-system", "patch", kind, "llm-gateway", "--subresource=status", "--type=merge", "-p", `{"status": `+status+`}`); r.Code != 0 {
		p.t.Fatal(r.Stderr)
	}
}

// certificate writes what the page takes for granted: a certificate for test.com
// with its key, and the authority that signed it, which is itself.
func (p *page) certificate() {
	p.t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		p.t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "test.com"}, DNSNames: []string{"test.com"},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign,
	}
	certificate, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		p.t.Fatal(err)
	}
	secret, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		p.t.Fatal(err)
	}
	for name, block := range map[string]*pem.Block{
		"tls.crt": {Type: "CERTIFICATE", Bytes: certificate}, "ca.crt": {Type: "CERTIFICATE", Bytes: certificate}, "tls.key": {Type: "PRIVATE KEY", Bytes: secret},
	} {
		if err := os.WriteFile(filepath.Join(p.dir, name), pem.EncodeToMemory(block), 0o600); err != nil {
			p.t.Fatal(err)
		}
	}
}
