package caddyfile

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"math/big"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/caddyserver/caddy/v2"
)

// validate provisions the configuration, as `caddy validate` does.
func validate(t *testing.T, config string) error {
	t.Helper()
	var cfg caddy.Config
	if err := caddy.StrictUnmarshalJSON([]byte(config), &cfg); err != nil {
		t.Fatal(err)
	}
	cfg.Admin = &caddy.AdminConfig{Disabled: true}
	return caddy.Validate(&cfg)
}

func TestDesignProvisions(t *testing.T) {
	secret := filepath.Join(t.TempDir(), "moonshot")
	if err := os.WriteFile(secret, []byte("sk-moonshot\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	t.Setenv("DASHSCOPE_API_KEY", "sk-dashscope")
	data, err := os.ReadFile("testdata/design.caddyfiletest")
	if err != nil {
		t.Fatal(err)
	}
	in, _, _ := strings.Cut(string(data), goldenSeparator)
	got, failed := adapt(t, []byte(strings.ReplaceAll(in, "/run/secrets/moonshot", secret)))
	if failed {
		t.Fatal(got)
	}
	if strings.Contains(got, "sk-") {
		t.Errorf("the configuration shows a key:\n%s", got)
	}
	if err := validate(t, got); err != nil {
		t.Error(err)
	}
}

// TestGoldenProvisions holds that what the Caddyfile is adapted to is what the
// modules take.
func TestGoldenProvisions(t *testing.T) {
	files, err := filepath.Glob("testdata/*.caddyfiletest")
	if err != nil {
		t.Fatal(err)
	}
	certificates := writeCertificate(t)
	for _, file := range files {
		name := strings.TrimSuffix(filepath.Base(file), ".caddyfiletest")
		switch {
		case strings.Contains(name, "_error"):
			continue
		case strings.HasPrefix(name, "keys"), name == "order", strings.Contains(name, "judge"), name == "prompt_files",
			name == "cache_store_redis", name == "cache_store_asm":
			continue // name a file that is not there
		}
		t.Run(name, func(t *testing.T) {
			data, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			_, config, _ := strings.Cut(string(data), goldenSeparator)
			if err := validate(t, certificates.Replace(config)); err != nil {
				t.Error(err)
			}
		})
	}
}

// writeCertificate writes the files that golden files name, and returns what
// puts their real paths in.
func writeCertificate(t *testing.T) *strings.Replacer {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), NotAfter: time.Now().Add(time.Hour), IsCA: true, BasicConstraintsValid: true}
	cert, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	keyDER, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	write := func(name, kind string, der []byte) string {
		file := filepath.Join(t.TempDir(), name)
		if err := os.WriteFile(file, pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}), 0o600); err != nil {
			t.Fatal(err)
		}
		return file
	}
	certFile := write("cert.pem", "CERTIFICATE", cert)
	return strings.NewReplacer("/etc/ca.pem", certFile, "/etc/client.crt", certFile, "/etc/client.key", write("key.pem", "PRIVATE KEY", keyDER))
}
