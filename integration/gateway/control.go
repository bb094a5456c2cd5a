package gateway

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os/exec"
	"strings"
	"testing"
	"time"
)

// Reload gives the gateway a new config as people do, with caddy reload. The
// error holds what that printed.
func (g *Gateway) Reload(config string) error { return g.reload(config) }

// ReloadForce is Reload for a config that did not change.
func (g *Gateway) ReloadForce(config string) error { return g.reload(config, "--force") }

func (g *Gateway) reload(config string, more ...string) error {
	args, err := writeConfig(g.Dir, config, g.set.adapter)
	if err != nil {
		return err
	}
	args = append([]string{"reload", "--address", g.Admin}, append(args, more...)...)
	r, err := g.exec("", args...)
	if err != nil {
		return err
	}
	if r.Code != 0 {
		return fmt.Errorf("caddy reload ended with %d: %s", r.Code, strings.TrimSpace(r.Stderr))
	}
	return nil
}

// AdminGet fetches a path of the admin endpoint; the test fails if there is no
// answer.
func (g *Gateway) AdminGet(path string) (status int, body []byte) {
	g.t.Helper()
	return g.AdminDo(http.MethodGet, path, "", nil)
}

// AdminDo sends any request to the admin endpoint.
func (g *Gateway) AdminDo(method, path, contentType string, body []byte) (status int, answer []byte) {
	g.t.Helper()
	network, address := "tcp", g.Admin
	if socket, ok := strings.CutPrefix(g.Admin, "unix/"); ok {
		network, address = "unix", socket
	}
	tr := &http.Transport{DisableKeepAlives: true, DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, network, address)
	}}
	// Over a unix socket the endpoint wants an empty host, or its own.
	host := address
	if network == "unix" {
		host = "127.0.0.1"
	}
	req, err := http.NewRequestWithContext(g.t.Context(), method, "http://"+host+path, bytes.NewReader(body))
	if err != nil {
		g.t.Fatalf("admin request: %v", err)
	}
	if contentType != "" {
		req.Header.Set("Content-Type", contentType)
	}
	res, err := (&http.Client{Transport: tr, Timeout: 30 * time.Second}).Do(req)
	if err != nil {
		g.t.Fatalf("admin request: %v", err)
	}
	defer res.Body.Close()
	answer, err = io.ReadAll(res.Body)
	if err != nil {
		g.t.Fatalf("admin answer: %v", err)
	}
	return res.StatusCode, answer
}

// Result is how a command went.
type Result struct {
	Stdout, Stderr string
	// Code is the exit code.
	Code int
}

// Exec runs a command of the same binary in the gateway's directory and
// environment, for example Exec("adapt", "--config", "Caddyfile"). The test
// fails if it can not be run or takes more than a minute.
func (g *Gateway) Exec(args ...string) Result {
	g.t.Helper()
	r, err := g.exec("", args...)
	if err != nil {
		g.t.Fatalf("caddy %s: %v", strings.Join(args, " "), err)
	}
	return r
}

// Exec runs a command of the gateway's binary in a directory of its own, with
// no gateway running. Options that concern a start have no effect.
func Exec(t testing.TB, stdin string, args []string, options ...Option) Result {
	t.Helper()
	g := newGateway(t, options...)
	r, err := g.exec(stdin, args...)
	if err != nil {
		t.Fatalf("caddy %s: %v", strings.Join(args, " "), err)
	}
	return r
}

func (g *Gateway) exec(stdin string, args ...string) (Result, error) {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	var out, errs bytes.Buffer
	cmd := exec.CommandContext(ctx, g.binary, args...)
	cmd.Dir, cmd.Env, cmd.Stdin = g.Dir, g.env, strings.NewReader(stdin)
	cmd.Stdout, cmd.Stderr, cmd.WaitDelay = &out, &errs, 2*time.Second
	err := cmd.Run()
	r := Result{Stdout: out.String(), Stderr: errs.String()}
	var exit *exec.ExitError
	switch {
	case ctx.Err() != nil:
		return r, ctx.Err()
	case errors.As(err, &exit):
		r.Code = exit.ExitCode()
	case err != nil:
		return r, err
	}
	return r, nil
}
