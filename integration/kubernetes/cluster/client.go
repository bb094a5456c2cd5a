package cluster

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"
)

// patience is how long one request or one kubectl may take.
const patience = time.Minute

// Result is how a run of kubectl ended.
type Result struct {
	Stdout, Stderr string
	Code           int
}

// KubectlPath is the program itself, for scripts.
func (c *Cluster) KubectlPath() string { return filepath.Join(c.server.programs, "kubectl") }

// Kubectl runs kubectl as the administrator. With --kubeconfig=FILE among the
// arguments it runs as someone else, see Kubeconfig.
func (c *Cluster) Kubectl(args ...string) Result {
	c.t.Helper()
	return c.KubectlInput("", args...)
}

// KubectlInput is Kubectl with standard input.
func (c *Cluster) KubectlInput(stdin string, args ...string) Result {
	c.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	var stdout, stderr bytes.Buffer
	cmd := exec.CommandContext(ctx, c.KubectlPath(), args...)
	cmd.Env = []string{
		"HOME=" + c.server.dir, "PATH=" + os.Getenv("PATH"), "KUBECONFIG=" + c.server.file("admin.kubeconfig"),
	}
	cmd.Stdin, cmd.Stdout, cmd.Stderr = strings.NewReader(stdin), &stdout, &stderr
	err := cmd.Run()
	if exit := (*exec.ExitError)(nil); err != nil && !errors.As(err, &exit) || ctx.Err() != nil {
		c.t.Fatalf("kubectl %s: %v\n%s", strings.Join(args, " "), err, stderr.String())
	}
	return Result{Stdout: stdout.String(), Stderr: stderr.String(), Code: cmd.ProcessState.ExitCode()}
}

// Apply runs kubectl apply on manifests, with more arguments such as "-n", ns.
// It returns what kubectl printed; a refusal fails the test.
func (c *Cluster) Apply(manifests string, args ...string) string {
	c.t.Helper()
	r := c.KubectlInput(manifests, append([]string{"apply", "-f", "-"}, args...)...)
	if r.Code != 0 {
		c.t.Fatalf("kubectl apply: exit code %d\n%s%s", r.Code, r.Stdout, r.Stderr)
	}
	return r.Stdout
}

// Kubeconfig writes a kubeconfig file for a token (AdminToken, or one from
// Token) that lives as long as the test.
func (c *Cluster) Kubeconfig(token string) string {
	c.t.Helper()
	path := filepath.Join(c.t.TempDir(), "kubeconfig")
	if err := c.server.writeKubeconfig(path, token); err != nil {
		c.t.Fatalf("writing a kubeconfig: %v", err)
	}
	return path
}

// writeKubeconfig writes JSON, which is YAML.
func (s *server) writeKubeconfig(path, token string) error {
	type object = map[string]any
	b, err := json.MarshalIndent(object{
		"apiVersion": "v1", "kind": "Config", "current-context": "test",
		"clusters": []object{{"name": "test", "cluster": object{"server": s.url, "certificate-authority": s.caFile()}}},
		"users":    []object{{"name": "test", "user": object{"token": token}}},
		"contexts": []object{{"name": "test", "context": object{"cluster": "test", "user": "test"}}},
	}, "", "  ")
	if err != nil {
		return err
	}
	return os.WriteFile(path, b, 0o600)
}

func newClient(caFile string) (*http.Client, error) {
	ca, err := os.ReadFile(caFile)
	if err != nil {
		return nil, err
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(ca) {
		return nil, fmt.Errorf("%s holds no certificate yet", caFile)
	}
	return &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: pool, MinVersion: tls.VersionTLS12}}, Timeout: patience}, nil
}

// request sends one request to the API server as the administrator.
func (s *server) request(method, path, contentType string, body []byte) (status int, answer []byte, err error) {
	req, err := http.NewRequest(method, s.url+path, bytes.NewReader(body))
	if err != nil {
		return 0, nil, err
	}
	req.Header.Set("Authorization", "Bearer "+s.token)
	req.Header.Set("Accept", "application/json")
	if contentType != "" {
		req.Header.Set("Content-Type", contentType)
	}
	resp, err := s.client.Do(req)
	if err != nil {
		return 0, nil, err
	}
	defer resp.Body.Close()
	answer, err = io.ReadAll(resp.Body)
	return resp.StatusCode, answer, err
}

// create posts an object and returns what the server made of it. An object
// that exists is no error.
func (c *Cluster) create(path string, object, made any) {
	c.t.Helper()
	b, err := json.Marshal(object)
	if err != nil {
		c.t.Fatal(err)
	}
	status, answer, err := c.server.request(http.MethodPost, path, "application/json", b)
	if err == nil && status != http.StatusCreated && status != http.StatusConflict {
		err = fmt.Errorf("%d %s", status, answer)
	}
	if err == nil && made != nil {
		err = json.Unmarshal(answer, made)
	}
	if err != nil {
		c.t.Fatalf("POST %s: %v", path, err)
	}
}
