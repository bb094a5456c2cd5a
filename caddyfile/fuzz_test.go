package caddyfile

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/caddyserver/caddy/v2/caddyconfig"
)

// FuzzCaddyfile holds that no text makes the parsers panic, and that the same text
// gives the same configuration.
func FuzzCaddyfile(f *testing.F) {
	files, err := filepath.Glob("testdata/*.caddyfiletest")
	if err != nil {
		f.Fatal(err)
	}
	for _, file := range files {
		data, err := os.ReadFile(file)
		if err != nil {
			f.Fatal(err)
		}
		in, _, _ := strings.Cut(string(data), goldenSeparator)
		f.Add(inner(in, "\tllm {"), inner(in, "\tllm_route {"))
	}
	adapter := caddyconfig.GetAdapter("caddyfile")
	f.Fuzz(func(t *testing.T, app, route string) {
		if strings.Contains(app+route, "import") {
			t.Skip("reads files")
		}
		in := "{\n\tllm {\n" + app + "\n\t}\n}\n\n:8080 {\n\tllm_route {\n" + route + "\n\t}\n}\n"
		out, _, err := adapter.Adapt([]byte(in), nil)
		if err != nil {
			return
		}
		if again, _, err := adapter.Adapt([]byte(in), nil); err != nil || string(again) != string(out) {
			t.Errorf("the same text gives %s, then %s, %v", out, again, err)
		}
	})
}

// inner is what stands in the block that begins with the line.
func inner(caddyfile, line string) string {
	_, rest, found := strings.Cut(caddyfile, line+"\n")
	if !found {
		return ""
	}
	indent := line[:len(line)-len(strings.TrimLeft(line, "\t"))]
	block, _, _ := strings.Cut(rest, "\n"+indent+"}\n")
	return block
}
