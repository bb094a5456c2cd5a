package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestCheck(t *testing.T) {
	for name, test := range map[string]struct {
		files map[string]string
		want  string // in windows's error; there is none if it is empty
	}{
		"good": {map[string]string{"a.go": "package a\n\nimport \"math/bits\"\n\nvar _ = bits.Len(1)\n"}, ""},
		"of another system": {map[string]string{
			"a.go": "package a\n\nimport \"m/b\"\n\nfunc f() { b.Kill() }\n", "b/b.go": "package b\n", "b/b_linux.go": "package b\n\nfunc Kill() {}\n",
		}, "undefined: b.Kill"},
		"in a dependency's function":     {map[string]string{"a.go": "package a\n\nimport _ \"m/b\"\n", "b/b.go": "package b\n\nfunc f() { g() }\n"}, "m/b: "},
		"unused":                         {map[string]string{"a_windows.go": "package a\n\nimport \"math/bits\"\n", "a.go": "package a\n"}, "imported and not used"},
		"no such package":                {map[string]string{"a.go": "package a\n\nimport _ \"m/none\"\n"}, "m/none"},
		"no files for it":                {map[string]string{"a_linux.go": "package a\n"}, "build constraints exclude all Go files"},
		"newer than what go.mod demands": {map[string]string{"a.go": "package a\n\nfunc f[T any](t T) {}\n", "go.mod": "module m\n\ngo 1.17\n"}, "requires go1.18"},
		"no Go":                          {map[string]string{"a.go": "package a\n\nfunc {\n"}, "a.go:3"},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			if test.files["go.mod"] == "" {
				test.files["go.mod"] = "module m\n\ngo 1.24\n"
			}
			for path, text := range test.files {
				path = filepath.Join(dir, path)
				if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
					t.Fatal(err)
				}
				if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
					t.Fatal(err)
				}
			}
			n, err := check("windows/amd64", dir, ".")
			if test.want == "" && (err != nil || n < 2) {
				t.Errorf("%d packages, %v", n, err)
			}
			if test.want != "" && (err == nil || !strings.Contains(err.Error(), test.want)) {
				t.Errorf("got %v, want %s", err, test.want)
			}
		})
	}
	if _, err := check("windows/386", ".", "math/bits"); err != nil {
		t.Error(err)
	}
	for _, platform := range []string{"windows", "windows/vax", ""} {
		if _, err := check(platform, ".", "math/bits"); err == nil || !strings.Contains(err.Error(), "OS/ARCH") {
			t.Errorf("%q: %v", platform, err)
		}
	}
}
