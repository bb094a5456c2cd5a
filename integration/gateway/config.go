package gateway

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"text/template"
)

// Render fills a config's {{.Name}} parameters from a map, a struct or a plain
// value ({{.}}). A parameter without a value fails the test.
func Render(t testing.TB, config string, data any) string {
	t.Helper()
	tmpl, err := template.New("config").Option("missingkey=error").Parse(config)
	if err != nil {
		t.Fatalf("reading the config template: %v", err)
	}
	var b strings.Builder
	if err := tmpl.Execute(&b, data); err != nil {
		t.Fatalf("filling the config template: %v", err)
	}
	return b.String()
}

// Ports are taken from below the range the kernel gives to outgoing
// connections, so none of those can sit on one between FreePort and its use.
const (
	firstPort = 20000
	lastPort  = 31999
)

var handedOut sync.Map

// FreePort returns a TCP port nobody listens on. It is never returned twice to
// one test process.
func FreePort(t testing.TB) int {
	t.Helper()
	for range 1000 {
		port := firstPort + rand.IntN(lastPort-firstPort+1)
		if _, taken := handedOut.LoadOrStore(port, true); taken {
			continue
		}
		l, err := net.Listen("tcp", fmt.Sprintf(":%d", port))
		if err != nil {
			continue
		}
		_ = l.Close()
		return port
	}
	t.Fatal("no free port found")
	return 0
}

// FreePorts returns n of them.
func FreePorts(t testing.TB, n int) []int {
	t.Helper()
	ports := make([]int, n)
	for i := range ports {
		ports[i] = FreePort(t)
	}
	return ports
}

// WriteFile puts a file into the gateway's working directory and returns its
// path. It is renamed into place: a reader sees the old or the new one, whole.
func (g *Gateway) WriteFile(name, content string) string {
	g.t.Helper()
	path, err := writeFile(g.Dir, name, content)
	if err != nil {
		g.t.Fatalf("writing %s: %v", name, err)
	}
	return path
}

func writeFile(dir, name, content string) (string, error) {
	path := filepath.Join(dir, name)
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return "", err
	}
	if err := os.WriteFile(path+".new", []byte(content), 0o600); err != nil {
		return "", err
	}
	return path, os.Rename(path+".new", path)
}

// writeConfig stores a config under a name its kind asks for and returns the
// arguments that load it.
func writeConfig(dir, config, adapter string) ([]string, error) {
	name, args := "Caddyfile", []string{"--adapter", "caddyfile"}
	switch {
	case adapter != "":
		name, args = "config."+adapter, []string{"--adapter", adapter}
	case json.Valid([]byte(config)):
		name, args = "config.json", nil
	}
	path, err := writeFile(dir, name, config)
	return append([]string{"--config", path}, args...), err
}
