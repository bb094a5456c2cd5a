package observability_test

import (
	"encoding/json"
	"fmt"
	"io"
	"math"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/caddy-llm/gateway/integration/gateway"
	"github.com/caddy-llm/gateway/integration/internal/host"
)

// tool finds a program of Prometheus. Without it the test is skipped, and fails
// where CI is set.
func tool(t *testing.T, name string) string {
	t.Helper()
	host.NeedIntegration(t)
	path, err := exec.LookPath(name)
	switch {
	case err == nil:
		return path
	case os.Getenv("CI") != "":
		t.Fatalf("%s not found; install Debian's package prometheus", name)
	default:
		t.Skipf("%s not found; install Debian's package prometheus", name)
	}
	return ""
}

// prometheus is a running server.
type prometheus struct {
	t    *testing.T
	base string
}

// startPrometheus runs Prometheus with a configuration until the test ends.
func startPrometheus(t *testing.T, config string) *prometheus {
	t.Helper()
	binary, dir := tool(t, "prometheus"), t.TempDir()
	file := filepath.Join(dir, "prometheus.yml")
	if err := os.WriteFile(file, []byte(config), 0o600); err != nil {
		t.Fatal(err)
	}
	address := fmt.Sprintf("127.0.0.1:%d", gateway.FreePort(t))
	cmd := exec.Command(binary, "--config.file="+file, "--storage.tsdb.path="+filepath.Join(dir, "data"), "--web.listen-address="+address, "--log.level=warn")
	cmd.Dir = dir
	var log strings.Builder // read when the process has ended
	cmd.Stdout, cmd.Stderr = &log, &log
	done := make(chan struct{})
	if err := host.Start(cmd, func(error) { close(done) }); err != nil {
		t.Fatalf("starting Prometheus: %v", err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		<-done
		if t.Failed() {
			t.Logf("Prometheus wrote:\n%s", log.String())
		}
	})
	p := &prometheus{t: t, base: "http://" + address}
	for deadline := time.Now().Add(patience); ; time.Sleep(100 * time.Millisecond) {
		res, err := http.Get(p.base + "/-/ready")
		if err == nil {
			_ = res.Body.Close()
			if res.StatusCode == http.StatusOK {
				return p
			}
		}
		select {
		case <-done:
			t.Fatalf("Prometheus ended (%v):\n%s", cmd.ProcessState, log.String())
		default:
		}
		if time.Now().After(deadline) {
			t.Fatalf("Prometheus was not ready after %v: %v", patience, err)
		}
	}
}

// ask calls the API and reads the response's data.
func (p *prometheus) ask(path string, form url.Values, data any) error {
	res, err := http.PostForm(p.base+path, form)
	if strings.HasPrefix(path, "/api/v1/label/") || path == "/api/v1/rules" { // these take GET alone
		if err == nil {
			_ = res.Body.Close()
		}
		res, err = http.Get(p.base + path + "?" + form.Encode())
	}
	if err != nil {
		return err
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	if err != nil {
		return err
	}
	answer := struct {
		Status, Error string
		Data          any
	}{Data: data}
	if err := json.Unmarshal(body, &answer); err != nil {
		return fmt.Errorf("status %d: %w: %s", res.StatusCode, err, body)
	}
	if answer.Status != "success" {
		return fmt.Errorf("status %d: %s", res.StatusCode, answer.Error)
	}
	return nil
}

// series is a series of a result with its values.
type series struct {
	Metric map[string]string
	Value  [2]any
	Values [][2]any
}

// numbers are the values that are numbers.
func (s *series) numbers() (out []float64) {
	for _, pair := range append(s.Values, s.Value) {
		text, _ := pair[1].(string)
		if n, err := strconv.ParseFloat(text, 64); err == nil && !math.IsNaN(n) && !math.IsInf(n, 0) {
			out = append(out, n)
		}
	}
	return out
}

// instant evaluates an expression at a time.
func (p *prometheus) instant(expr string, at time.Time) ([]series, error) {
	return p.query("/api/v1/query", url.Values{"query": {expr}, "time": {unix(at)}})
}

// between evaluates an expression at each second of a time.
func (p *prometheus) between(expr string, from, to time.Time) ([]series, error) {
	return p.query("/api/v1/query_range", url.Values{"query": {expr}, "start": {unix(from)}, "end": {unix(to)}, "step": {"1"}})
}

func (p *prometheus) query(path string, form url.Values) ([]series, error) {
	var data struct{ Result []series }
	if err := p.ask(path, form, &data); err != nil {
		return nil, err
	}
	return data.Result, nil
}

// values are the values of a label among the series that a selector matches.
func (p *prometheus) values(label, selector string) (out []string, err error) {
	err = p.ask("/api/v1/label/"+label+"/values", url.Values{"match[]": {selector}}, &out)
	return out, err
}

func unix(t time.Time) string { return strconv.FormatFloat(float64(t.UnixMilli())/1000, 'f', 3, 64) }
