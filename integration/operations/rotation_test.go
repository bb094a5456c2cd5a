package operations_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	fp "github.com/caddy-llm/gateway/integration/fakeprovider"
	"github.com/caddy-llm/gateway/integration/gateway"
)

const rotationConfig = `{
	llm {
		status_listen off
		provider p {{.URL}} {
			api_key {file.secrets/key}
			header X-Team-Token {file.secrets/team}
		}
		provider q {{.URL}} {
			api_key {env.KEY}
		}
	}
}
http://:{{.Port}} {
	llm_route {
		rule by-env {
			match header X-Rule env
			to q
		}
		rule by-file {
			to p
		}
	}
}
`

const ask = `{"messages":[]}`

// A replaced key file is in force within two seconds without a reload. One that
// is gone or unusable leaves the last good key in force, and the log says so.
func TestKeyFilesAreFollowed(t *testing.T) {
	up := fp.New(t, fp.Plain(), fp.HTTP1Only())
	port := gateway.FreePort(t)
	g := gateway.Start(t, gateway.Render(t, rotationConfig, map[string]any{"URL": up.URL(), "Port": port}),
		gateway.File("secrets/key", "first-key\n"), gateway.File("secrets/team", "first-team"), gateway.Env("KEY", "x"))
	used := func() (key, team string) {
		t.Helper()
		if a := post(t, port, "/v1/chat/completions", ask); a.status != 200 {
			t.Fatalf("got %d %s", a.status, a.body)
		}
		h := up.Last().Header
		return strings.TrimPrefix(h.Get("Authorization"), "Bearer "), h.Get("X-Team-Token")
	}
	if key, team := used(); key != "first-key" || team != "first-team" {
		t.Fatalf("used %q and %q", key, team)
	}

	for i := range 2 { // more than one change: none may be the last that is seen
		want := fmt.Sprintf("key-%d", i)
		g.WriteFile("secrets/key", want)
		g.WriteFile("secrets/team", "team-"+want)
		changed := time.Now()
		for {
			sent := time.Now()
			key, team := used()
			if key == want && team == "team-"+want {
				break
			}
			if sent.Sub(changed) > 2*time.Second {
				t.Fatalf("%v after the change the provider still gets %q and %q", sent.Sub(changed), key, team)
			}
			time.Sleep(50 * time.Millisecond)
		}
	}

	path := filepath.Join(g.Dir, "secrets", "key")
	for _, tc := range []struct {
		name string
		do   func() error
	}{
		{"removed", func() error { return os.Remove(path) }},
		{"empty", func() error { return os.WriteFile(path, []byte("\n"), 0o600) }},
		{"of two lines", func() error { return os.WriteFile(path, []byte("half-a-key\nother-half"), 0o600) }},
	} {
		t.Run(tc.name, func(t *testing.T) {
			mark := g.LogMark()
			if err := tc.do(); err != nil {
				t.Fatal(err)
			}
			for deadline := time.Now().Add(1200 * time.Millisecond); time.Now().Before(deadline); time.Sleep(100 * time.Millisecond) {
				if key, _ := used(); key != "key-1" {
					t.Fatalf("the provider gets %q", key)
				}
			}
			line := g.WaitLogSince(mark, "{file.secrets/key}", 3*time.Second)
			if line.Level != "error" || strings.Contains(line.Raw, "key-1") || strings.Contains(line.Raw, "half") {
				t.Errorf("the log says %s", line.Raw)
			}
			if n := len(logsWith(g, mark, "{file.secrets/key}")); n > 2 {
				t.Errorf("the log says it %d times", n)
			}
			_ = os.Remove(path)
			g.WriteFile("secrets/key", "key-1")
			waitFor(t, "the key to be read again", func() bool { used(); return len(logsWith(g, mark, "secret can be read again")) > 0 })
		})
	}
}

func logsWith(g *gateway.Gateway, mark int, text string) []gateway.LogLine {
	var found []gateway.LogLine
	for _, l := range g.LogsSince(mark) {
		if strings.Contains(l.Raw, text) {
			found = append(found, l)
		}
	}
	return found
}

// A key that the provider does not take is named by where it comes from.
func TestRejectedKeysAreNamedInTheLog(t *testing.T) {
	up := fp.New(t, fp.Plain(), fp.HTTP1Only())
	port := gateway.FreePort(t)
	g := gateway.Start(t, gateway.Render(t, rotationConfig, map[string]any{"URL": up.URL(), "Port": port}),
		gateway.File("secrets/key", "revoked-key"), gateway.File("secrets/team", "team"), gateway.Env("KEY", "revoked-env"))
	for rule, from := range map[string]string{"file": "{file.secrets/key}", "env": "{env.KEY}"} {
		for _, status := range []int{401, 403} {
			body := fmt.Sprintf(`{"error":{"message":"no %d"}}`, status)
			up.Script(fp.Always(fp.JSON(status, body)))
			mark := g.LogMark()
			if a := post(t, port, "/", ask, "X-Rule", rule); a.status != status || a.body != body {
				t.Errorf("got %d %s", a.status, a.body)
			}
			line := g.WaitLogSince(mark, from)
			if line.Level != "error" || fmt.Sprint(line.Fields["status"]) != fmt.Sprint(status) || line.Fields["rule"] != "by-"+rule {
				t.Errorf("the log says %s", line.Raw)
			}
		}
	}
	for _, l := range g.Logs() {
		if strings.Contains(l.Raw, "revoked-") {
			t.Errorf("a key is in %s", l.Raw)
		}
	}
}

// A gateway whose key is missing at the start says so, serves the rest, and
// needs no reload when the key comes.
func TestKeysThatComeLater(t *testing.T) {
	up := fp.New(t, fp.Plain(), fp.HTTP1Only())
	port := gateway.FreePort(t)
	g := gateway.Start(t, gateway.Render(t, rotationConfig, map[string]any{"URL": up.URL(), "Port": port}), gateway.Env("KEY", "key-of-env"))
	if line := g.WaitLog("API key unavailable"); line.Level != "error" || line.Fields["provider"] != "p" {
		t.Errorf("the log says %s", line.Raw)
	}
	a := post(t, port, "/", ask)
	if a.status != 503 || !strings.Contains(a.body, "provider_key_missing") || strings.Contains(a.body, "secrets/") {
		t.Errorf("got %d %s", a.status, a.body)
	}
	if a := post(t, port, "/", ask, "X-Rule", "env"); a.status != 200 {
		t.Errorf("the other provider: %d %s", a.status, a.body)
	}
	g.WriteFile("secrets/team", "team")
	g.WriteFile("secrets/key", "key-that-came")
	waitFor(t, "the key to be used", func() bool { return post(t, port, "/", ask).status == 200 })
	if got := up.Last().Header.Get("Authorization"); got != "Bearer key-that-came" {
		t.Errorf("the provider gets %q", got)
	}
}
