// Package docs_test holds the documentation to what the gateway does: every
// example is taken as it is printed, every name and link is checked.
package docs_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"math/big"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
	_ "github.com/caddyserver/caddy/v2/modules/standard"

	_ "github.com/caddy-llm/gateway"
	"github.com/caddy-llm/gateway/k8ssource/files"
	"github.com/caddy-llm/gateway/k8ssource/source"
	"github.com/caddy-llm/gateway/llmroute/spec"
)

const root = "../.."

// block is a fenced block of a page.
type block struct {
	file, lang, text string
	line             int // of its first line, from 1

	// in is where a block that is only a part of a Caddyfile belongs. It is
	// written before the fence as <!-- in: llm -->.
	in string
}

var partOf = regexp.MustCompile(`^<!-- in: (\w+) -->$`)

// blocks returns the fenced blocks of a page.
func blocks(t *testing.T, file string) []block {
	t.Helper()
	var out []block
	var open *block
	before := ""
	for i, line := range strings.Split(read(t, file), "\n") {
		fence, isFence := strings.CutPrefix(line, "```")
		switch {
		case isFence && open == nil:
			open = &block{file: file, lang: fence, line: i + 2}
			if m := partOf.FindStringSubmatch(before); m != nil {
				open.in = m[1]
			}
		case isFence:
			out = append(out, *open)
			open = nil
		case open != nil:
			open.text += line + "\n"
		}
		before = line
	}
	if open != nil {
		t.Errorf("%s: the block at line %d has no end", file, open.line-1)
	}
	return out
}

func read(t *testing.T, file string) string {
	t.Helper()
	data, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

// pages are all pages that are checked.
func pages(t *testing.T) []string {
	t.Helper()
	files, err := filepath.Glob("*.md")
	if err != nil || len(files) < 9 {
		t.Fatalf("%d pages, %v", len(files), err)
	}
	return append(files, filepath.Join(root, "README.md"), filepath.Join(root, "CONTRIBUTING.md"), filepath.Join(root, "SECURITY.md"), filepath.Join(root, "examples/kubernetes/README.md"), filepath.Join(root, "examples/observability/README.md"))
}

var backend = regexp.MustCompile(`(?m)^\s*to (\S+)`)

// whole makes a whole Caddyfile of the block.
func (b *block) whole(t *testing.T) string {
	t.Helper()
	switch b.in {
	case "":
		return b.text
	case "global":
		return "{\n" + b.text + "}\n"
	case "llm":
		return "{\n\tllm {\n" + b.text + "\t}\n}\n"
	case "site":
		providers := ""
		for _, m := range backend.FindAllStringSubmatch(b.text, -1) {
			if line := "\t\tprovider " + m[1] + " https://llm.example.com\n"; !strings.Contains(providers, line) {
				providers += line
			}
		}
		return "{\n\tllm {\n" + providers + "\t}\n}\n\n:8080 {\n" + b.text + "}\n"
	}
	t.Errorf("%s:%d: no part of a Caddyfile is called %q", b.file, b.line, b.in)
	return ""
}

// TestCaddyfiles adapts and provisions every Caddyfile, as `caddy validate`
// does, and formats it, as `caddy fmt` does.
func TestCaddyfiles(t *testing.T) {
	var all []block
	for _, page := range pages(t) {
		all = append(all, slices.DeleteFunc(blocks(t, page), func(b block) bool { return b.lang != "caddyfile" })...)
	}
	examples, err := filepath.Glob(filepath.Join(root, "examples/*/Caddyfile"))
	if err != nil || len(examples) == 0 {
		t.Fatalf("%d examples, %v", len(examples), err)
	}
	for _, file := range examples {
		all = append(all, block{file: file, line: 1, text: read(t, file)})
	}
	files := newWorkFolder(t)
	for _, b := range all {
		t.Run(fmt.Sprintf("%s:%d", b.file, b.line), func(t *testing.T) {
			if formatted := string(caddyfile.Format([]byte(b.text))); formatted != b.text {
				t.Errorf("not formatted; caddy fmt makes of it:\n%s", formatted)
			}
			config, warnings, err := caddyconfig.GetAdapter("caddyfile").Adapt([]byte(b.whole(t)), map[string]any{"filename": "Caddyfile"})
			if err != nil {
				t.Fatal(err)
			}
			if len(warnings) > 0 && b.in == "" { // what a part is put into is not formatted
				t.Errorf("warnings: %v", warnings)
			}
			validate(t, files.Replace(string(config)))
		})
	}
}

// TestConfigs provisions every configuration that is shown as JSON.
func TestConfigs(t *testing.T) {
	for _, page := range pages(t) {
		for _, b := range blocks(t, page) {
			if b.lang == "json" {
				t.Run(fmt.Sprintf("%s:%d", b.file, b.line), func(t *testing.T) { validate(t, b.text) })
			}
		}
	}
}

func validate(t *testing.T, config string) {
	t.Helper()
	var cfg caddy.Config
	if err := caddy.StrictUnmarshalJSON([]byte(config), &cfg); err != nil {
		t.Fatal(err)
	}
	cfg.Admin = &caddy.AdminConfig{Disabled: true}
	if err := caddy.Validate(&cfg); err != nil {
		t.Error(err)
	}
}

// newWorkFolder makes a folder with the files that examples name, and returns
// what puts their real paths into a configuration.
func newWorkFolder(t *testing.T) *strings.Replacer {
	t.Helper()
	dir := t.TempDir()
	write := func(name, text string) string {
		file := filepath.Join(dir, name)
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return file
	}
	examples, err := filepath.Abs(filepath.Join(root, "examples"))
	if err != nil {
		t.Fatal(err)
	}
	keys := write("keys.txt", find(t, "llm_keys.md", "text"))
	return strings.NewReplacer(
		`"keys.txt"`, `"`+keys+`"`, `"examples/`, `"`+examples+`/`, `{file.examples/`, `{file.`+examples+`/`, `"access.log"`, `"`+filepath.Join(dir, "access.log")+`"`,
		`"./judge.txt"`, `"`+write("judge.txt", find(t, "guards.md", "text"))+`"`,
		`"./legal.txt"`, `"`+write("legal.txt", find(t, "prompts.md", "text"))+`"`,
		`{file./run/secrets/cache}`, `{file.`+write("cache", strings.Repeat("0123456789abcdef", 4))+`}`,
		`"/etc/ca.pem"`, `"`+write("ca.pem", certificate(t))+`"`,
	)
}

// find returns the only block of a language in a page.
func find(t *testing.T, page, lang string) string {
	t.Helper()
	found := slices.DeleteFunc(blocks(t, page), func(b block) bool { return b.lang != lang })
	if len(found) != 1 {
		t.Fatalf("%s has %d blocks of %s, want 1", page, len(found), lang)
	}
	return found[0].text
}

func certificate(t *testing.T) string {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), NotAfter: time.Now().Add(time.Hour), IsCA: true, BasicConstraintsValid: true}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	return string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}))
}

// TestManifest holds that nothing is wrong with the manifest of the files
// source, and that it makes up what the page says.
func TestManifest(t *testing.T) {
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "llm.yaml"), []byte(find(t, "source_files.md", "yaml")), 0o600); err != nil {
		t.Fatal(err)
	}
	source := &files.Source{Paths: []string{dir}, Settings: source.Settings{Namespace: "default", Labels: map[string]string{"app": "demo"}}}
	if err := source.Provision(caddy.Context{Context: t.Context()}); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	var first *spec.State
	if err := source.Start(ctx, func(s *spec.State) { first = s }); err != nil {
		t.Fatal(err)
	}
	if len(first.Findings) > 0 || len(first.Providers) != 1 || len(first.Tables["mesh"]) != 2 {
		t.Errorf("findings %v, %d providers, %d routes", first.Findings, len(first.Providers), len(first.Tables["mesh"]))
	}
}

var (
	link    = regexp.MustCompile(`\]\(([^)\s]+)\)`)
	heading = regexp.MustCompile(`(?m)^#+ (.*)$`)
	dropped = regexp.MustCompile(`[^\p{L}\p{N} _-]`)
)

// TestLinks follows the links to files of this repository.
func TestLinks(t *testing.T) {
	for _, page := range pages(t) {
		for _, m := range link.FindAllStringSubmatch(read(t, page), -1) {
			if strings.Contains(m[1], "://") {
				continue
			}
			path, anchor, _ := strings.Cut(m[1], "#")
			target := page
			if path != "" {
				target = filepath.Join(filepath.Dir(page), path)
			}
			if _, err := os.Stat(target); err != nil {
				t.Errorf("%s links to %s, which is not there", page, m[1])
				continue
			}
			if anchor != "" && !slices.Contains(anchors(t, target), anchor) {
				t.Errorf("%s links to %s, which has no such heading", page, m[1])
			}
		}
	}
}

// TestIndex holds that the index has each page.
func TestIndex(t *testing.T) {
	index := read(t, "README.md")
	files, err := filepath.Glob("*.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, page := range files {
		if page != "README.md" && !strings.Contains(index, "]("+page) {
			t.Errorf("README.md does not link to %s", page)
		}
	}
}

// anchors are the headings of a page as GitHub links to them.
func anchors(t *testing.T, page string) []string {
	t.Helper()
	var out []string
	for _, m := range heading.FindAllStringSubmatch(read(t, page), -1) {
		out = append(out, strings.ReplaceAll(dropped.ReplaceAllString(strings.ToLower(m[1]), ""), " ", "-"))
	}
	return out
}

// TestLogsHideCredentials holds that every log of an example or a page has the format
// that hides credentials.
func TestLogsHideCredentials(t *testing.T) {
	var texts []block
	for _, page := range pages(t) {
		for _, b := range blocks(t, page) {
			if b.lang == "caddyfile" {
				texts = append(texts, b)
			}
		}
	}
	files, err := filepath.Glob(filepath.Join(root, "examples/*/Caddyfile*"))
	if err != nil || len(files) < 5 {
		t.Fatalf("%d files, %v", len(files), err)
	}
	for _, file := range files {
		texts = append(texts, block{file: file, text: read(t, file), line: 1})
	}
	found := 0
	for _, b := range texts {
		logs := len(regexp.MustCompile(`(?m)^\s*log(\s+\w+)?(\s*\{)?$`).FindAllString(b.text, -1))
		found += logs
		if formats := len(regexp.MustCompile(`(?m)^\s*format llm\b`).FindAllString(b.text, -1)); formats != logs {
			t.Errorf("%s:%d: %d logs, %d of them with format llm", b.file, b.line, logs, formats)
		}
	}
	if found < 4 {
		t.Errorf("%d logs found", found)
	}
}
