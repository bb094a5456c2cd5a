package gateway_test

import (
	"fmt"
	"io"
	"net/http"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/caddy-llm/gateway/integration/gateway"
)

const simple = `
{
	log {
		level DEBUG
	}
}
http://:{{.Port}} {
	log
	respond "{{.Text}}"
}
`

type params struct {
	Port int
	Text string
}

func get(t *testing.T, port int) string {
	t.Helper()
	res, err := http.Get(fmt.Sprintf("http://127.0.0.1:%d/path", port))
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	b, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

func TestLife(t *testing.T) {
	p := params{gateway.FreePort(t), "one"}
	g := gateway.Start(t, gateway.Render(t, simple, p))
	if got := get(t, p.Port); got != "one" {
		t.Fatalf("got %q", got)
	}

	line := g.WaitLog("handled request")
	if line.Level != "info" || line.Logger != "http.log.access" || fmt.Sprint(line.Fields["status"]) != "200" {
		t.Errorf("log line %+v", line)
	}

	mark := g.LogMark()
	p.Text = "two"
	if err := g.Reload(gateway.Render(t, simple, p)); err != nil {
		t.Fatal(err)
	}
	if got := get(t, p.Port); got != "two" {
		t.Errorf("after the reload %q", got)
	}
	g.WaitLogSince(mark, "load complete")

	err := g.Reload("http://:1 {\n\tno_such_directive\n}")
	if err == nil || !strings.Contains(err.Error(), "no_such_directive") {
		t.Errorf("a bad config gave %v", err)
	}
	if got := get(t, p.Port); got != "two" {
		t.Errorf("after the refused reload %q", got)
	}

	status, body := g.AdminGet("/config/apps/http/servers/srv0/listen")
	if want := fmt.Sprintf("[\":%d\"]\n", p.Port); status != 200 || string(body) != want {
		t.Errorf("admin: %d %q", status, body)
	}
	if g.OpenFiles() < 3 || g.Memory() < 1<<20 || g.CPU() <= 0 {
		t.Errorf("files %d, memory %d, CPU %v", g.OpenFiles(), g.Memory(), g.CPU())
	}

	if code := g.Stop(); code != 0 {
		t.Errorf("exit code %d", code)
	}
	if _, err := http.Get(fmt.Sprintf("http://127.0.0.1:%d/", p.Port)); err == nil {
		t.Error("still answering after Stop")
	}
}

func TestKill(t *testing.T) {
	g := gateway.Start(t, gateway.Render(t, simple, params{gateway.FreePort(t), "x"}))
	g.Kill()
	if code := g.WaitExit(time.Second); code != -1 {
		t.Errorf("exit code %d", code)
	}
}

func TestReadyWhateverTheConfigSilences(t *testing.T) {
	port := gateway.FreePort(t)
	g := gateway.Start(t, gateway.Render(t, "{\n\tadmin off\n\tlog {\n\t\toutput discard\n\t}\n}\nhttp://:{{.}} {\n\trespond ok\n}", port))
	if got := get(t, port); got != "ok" {
		t.Errorf("got %q", got)
	}
	_ = g
}

func TestJSONConfigAndResume(t *testing.T) {
	port := gateway.FreePort(t)
	config := `{"apps":{"http":{"servers":{"s":{"listen":[":{{.}}"],"routes":[{"handle":[{"handler":"static_response","body":"json"}]}]}}}}}`
	g := gateway.Start(t, gateway.Render(t, config, port))
	if got := get(t, port); got != "json" {
		t.Fatalf("got %q", got)
	}
	g.WaitLog("autosaved config")
	g.Kill()
	gateway.Start(t, "", gateway.In(g.Dir), gateway.Args("--resume"))
	if got := get(t, port); got != "json" {
		t.Errorf("after a resume %q", got)
	}
}

func TestEnvironmentAndFiles(t *testing.T) {
	t.Setenv("LLM_SECRET_OF_THE_TEST", "leaked")
	port := gateway.FreePort(t)
	// JSON: in a site of a Caddyfile {file.*} means a part of the request's path.
	config := `{"apps":{"http":{"servers":{"s":{"listen":[":{{.}}"],"routes":[{"handle":[{"handler":"static_response",
		"body":"{env.GIVEN} {file.key} [{env.LLM_SECRET_OF_THE_TEST}] {env.HOME}"}]}]}}}}}`
	g := gateway.Start(t, gateway.Render(t, config, port), gateway.Env("GIVEN", "env"), gateway.File("key", "file"))
	if got, want := get(t, port), "env file [] "+g.Dir+"/home"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	g.WriteFile("key", "changed")
	if got := get(t, port); !strings.Contains(got, "changed") {
		t.Errorf("after the file changed %q", got)
	}
}

func TestRefusedConfig(t *testing.T) {
	_, err := gateway.TryStart(t, "http://:1 {\n\tno_such_directive\n}")
	if err == nil || !strings.Contains(err.Error(), "no_such_directive") {
		t.Errorf("got %v", err)
	}
}

func TestExec(t *testing.T) {
	r := gateway.Exec(t, "", []string{"adapt", "--config", "Caddyfile"}, gateway.File("Caddyfile", ":80\nrespond hi\n"))
	if r.Code != 0 || !strings.Contains(r.Stdout, `"body":"hi"`) {
		t.Errorf("%+v", r)
	}
	if r := gateway.Exec(t, "", []string{"adapt", "--config", "none"}); r.Code == 0 || r.Stderr == "" {
		t.Errorf("%+v", r)
	}
}

func TestFreePortsDiffer(t *testing.T) {
	seen := map[int]bool{}
	for _, p := range gateway.FreePorts(t, 200) {
		if seen[p] {
			t.Fatalf("port %d twice", p)
		}
		seen[p] = true
	}
}

// failing is a test that may fail without failing this one.
type failing struct {
	testing.TB
	messages []string
}

func (f *failing) Helper() {}
func (f *failing) Fatalf(format string, args ...any) {
	f.messages = append(f.messages, fmt.Sprintf(format, args...))
	runtime.Goexit()
}

// fails runs what should end the test and returns its last words.
func fails(t *testing.T, run func(testing.TB)) string {
	t.Helper()
	f := &failing{TB: t}
	done := make(chan struct{})
	go func() {
		defer close(done)
		run(f)
	}()
	<-done
	if len(f.messages) != 1 {
		t.Fatalf("it did not fail: %q", f.messages)
	}
	return f.messages[0]
}

func TestRenderWantsEveryParameter(t *testing.T) {
	if got := gateway.Render(t, "{$X} {env.Y} {{.P}}", map[string]any{"P": 1}); got != "{$X} {env.Y} 1" {
		t.Errorf("got %q", got)
	}
	got := fails(t, func(tb testing.TB) { gateway.Render(tb, "{{.Missing}}", map[string]any{}) })
	if !strings.Contains(got, "Missing") {
		t.Errorf("got %q", got)
	}
}
