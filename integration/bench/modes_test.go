package main

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/caddy-llm/gateway/integration/gateway"
)

// TestMain makes of the test's program the application that it needs.
func TestMain(m *testing.M) {
	if spec := os.Getenv(appVariable); spec != "" {
		if err := runApplication(context.Background(), spec, os.Stdout); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		return
	}
	os.Exit(m.Run())
}

// TestModes runs each kind of measurement once, as short as can be: it tells
// whether they work, not how fast anything is.
func TestModes(t *testing.T) {
	name := filepath.Base(gateway.Binary(t))
	for _, tc := range []struct {
		name  string
		o     options
		wants []string // beginnings of lines
	}{
		{"compare", options{cases: "^(300 B|100 events at once), c1$"}, []string{"| 300 B, c1 | **", "| 100 events at once, c1 | **"}},
		{"observe", options{observe: true, cases: "^300 B, c1$"}, []string{"| 300 B, c1 | "}},
		{"translate", options{translate: true, cases: "300 B|messages to chat, 100 events"}, []string{
			"| messages to chat | 300 B, c16 | ", "| responses to chat | 300 B, c16 | ", "| chat to messages | 300 B, c16 | ", "| messages to chat | 100 events at once, c16 | ",
		}},
		{"sidecar", options{sidecar: true, cases: "300 B, (c1|new connections)$"}, []string{
			"| provider, 300 B, c1 | **", "| provider, 300 B, new connections | **", "| other host, 300 B, c1 | **", "| other host, 300 B, new connections | **",
		}},
		{"footprint", options{footprint: true}, []string{"| " + name + " | one provider | ", "| " + name + " | documented | "}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			if tc.o.footprint && runtime.GOOS != "linux" {
				t.Skip("memory is read as Linux tells it")
			}
			if tc.o.sidecar {
				_, err := exec.LookPath("setpriv")
				if _, errIP := exec.LookPath("ip"); err != nil || errIP != nil || os.Geteuid() != 0 {
					t.Skip("network namespaces need Linux, root, ip and setpriv")
				}
			}
			tc.o.binary, tc.o.quick, tc.o.rounds, tc.o.duration = gateway.Binary(t), true, 1, 100*time.Millisecond
			var out bytes.Buffer
			if err := run(t.Context(), &tc.o, &out); err != nil {
				t.Fatal(err)
			}
			for _, want := range tc.wants {
				if !strings.Contains(out.String(), "\n"+want) {
					t.Errorf("no line begins with %q in\n%s", want, out.String())
				}
			}
		})
	}
}
