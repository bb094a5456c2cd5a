package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/caddy-llm/gateway/integration/internal/host"
)

const (
	// sidecarStarts is how often a sidecar is started for the time that takes.
	sidecarStarts = 20
	// sidecarRequests is how many requests it then gets, 16 at a time.
	sidecarRequests = 1000
	// sidecarIdle is how long it has nothing to do before its memory is read.
	sidecarIdle = 5 * time.Second
)

// oneProvider is the manifest of a provider at this machine.
const oneProvider = `apiVersion: istio.alibabacloud.com/v1beta1
kind: LLMProvider
metadata: {name: here, namespace: default}
spec:
  host: localhost
  port: %d
  path: /v1/chat/completions
  configs: {defaultConfig: {openAIConfig: {model: %s, apiKey: %s}}}
`

// sidecarConfig is the documented Caddyfile of a sidecar, but for the ports and
// the folder.
const sidecarConfig = `{
	admin off
	llm {
		source files %s {
			namespace default
			labels app=sleep
			workload sleep
			mesh_listen %s
		}
		status_listen %s
	}
}
`

// standing is what a sidecar takes without load.
type standing struct {
	idle, used memory
	start, cpu []float64 // ms from its start to its first response, and on the processor until then
}

// memory is that of a process, in bytes.
type memory struct {
	resident  float64
	anonymous float64 // of it what no other process can share: heap, stacks, data
}

// measureFootprint prints what sidecars of the builds take: on disk, in memory,
// and to start.
func measureFootprint(ctx context.Context, builds []build, dir string, o *options, w io.Writer) error {
	if runtime.GOOS != "linux" {
		return errors.New("-footprint reads /proc/PID/smaps_rollup, which is Linux's")
	}
	root, err := host.ModuleRoot()
	if err != nil {
		return err
	}
	documented, err := os.ReadFile(filepath.Join(root, "k8ssource", "testdata", "documented-weighted-split", "input.yaml"))
	if err != nil {
		return err
	}
	ca, err := newAuthority(dir, "localhost")
	if err != nil {
		return fmt.Errorf("making certificates: %w", err)
	}
	free, err := freePorts(2)
	if err != nil {
		return err
	}
	provider, err := startProcess(ctx, "provider", builds[0].path, dir, free[0], providerConfig(free[0], ca, o.wire()))
	if err != nil {
		return err
	}
	defer provider.stop()
	s := &sidecarAlone{dir: dir, ca: ca, listen: free[1].address(small), status: free[1].admin()}
	one := fmt.Sprintf(oneProvider, free[0].of[small], routeModel, providerKey)
	starts, idle := sidecarStarts, sidecarIdle
	if o.quick {
		starts, idle = 3, time.Second
	}
	fmt.Fprintf(w, "A sidecar that reads files, median of %d starts (lowest–highest). %d CPUs; %s, %s/%s.\n\n"+
		"| Build | Manifests | On disk | Idle, resident | of it its own | After %d requests | of it its own | Start to first response | CPU time of the start |\n"+
		"|---|---|--:|--:|--:|--:|--:|--:|--:|\n", starts, runtime.NumCPU(), runtime.Version(), runtime.GOOS, runtime.GOARCH, sidecarRequests)
	for _, b := range builds {
		info, err := os.Stat(b.path)
		if err != nil {
			return err
		}
		for _, m := range []struct{ name, text string }{{"one provider", one}, {"documented", string(documented) + "---\n" + one}} {
			progress("%s, %s", b.name, m.name)
			got, err := s.measure(ctx, b.path, m.text, starts, idle)
			if err != nil {
				return fmt.Errorf("%s, %s: %w", b.name, m.name, err)
			}
			fmt.Fprintf(w, "| %s | %s | %.1f MB | %s | %s | %s | %s | %s ms | %s ms |\n", b.name, m.name, float64(info.Size())/1e6,
				mebibytes(got.idle.resident), mebibytes(got.idle.anonymous), mebibytes(got.used.resident), mebibytes(got.used.anonymous), spread(got.start), spread(got.cpu))
		}
	}
	_, err = fmt.Fprint(w, "\nResident memory that is not its own are pages of the program's file, which the pods of a node share.\n")
	return err
}

func mebibytes(n float64) string { return fmt.Sprintf("%.1f MiB", n/(1<<20)) }

// spread is the median of values, the lowest and the highest.
func spread(values []float64) string {
	return fmt.Sprintf("**%.0f** (%.0f–%.0f)", median(values), slices.Min(values), slices.Max(values))
}

// sidecarAlone runs sidecars without an application, one after the other.
type sidecarAlone struct {
	dir            string
	ca             *authority
	listen, status string
}

// measure starts sidecars with the manifests, and measures the last one.
func (s *sidecarAlone) measure(ctx context.Context, binary, manifests string, starts int, idle time.Duration) (m standing, err error) {
	folder := filepath.Join(s.dir, "manifests")
	config := filepath.Join(s.dir, "Caddyfile")
	if err := errors.Join(os.MkdirAll(folder, 0o755), os.WriteFile(filepath.Join(folder, "llm.yaml"), []byte(manifests), 0o600),
		os.WriteFile(config, fmt.Appendf(nil, sidecarConfig, folder, s.listen, s.status), 0o600)); err != nil {
		return m, err
	}
	for n := range starts {
		last := n == starts-1
		if err := s.start(ctx, binary, config, &m, last, idle); err != nil {
			return m, err
		}
	}
	return m, nil
}

// start starts a sidecar and waits for its first response; the memory of the last
// one is read.
func (s *sidecarAlone) start(ctx context.Context, binary, config string, m *standing, last bool, idle time.Duration) error {
	cmd := exec.Command(binary, "run", "--config", config)
	cmd.Env = append(os.Environ(), "SSL_CERT_FILE="+s.ca.caFile, "XDG_DATA_HOME="+s.dir, "XDG_CONFIG_HOME="+s.dir)
	began := time.Now()
	p, err := launch("sidecar", s.dir, cmd)
	if err != nil {
		return err
	}
	var answer string
	if err := p.until(ctx, "it does not answer", time.Millisecond, func() bool { answer = s.ask(ctx); return strings.HasPrefix(answer, "200 ") }); err != nil {
		return p.failed(fmt.Errorf("%w, last response %.300q", err, answer))
	}
	defer p.stop()
	cpu, err := schedSeconds(cmd.Process.Pid)
	if err != nil {
		return err
	}
	m.start, m.cpu = append(m.start, time.Since(began).Seconds()*1e3), append(m.cpu, cpu*1e3)
	if !last {
		return nil
	}
	if m.idle, err = memoryAfter(ctx, idle, cmd.Process.Pid); err != nil {
		return err
	}
	if err := s.load(ctx); err != nil {
		return err
	}
	m.used, err = memoryAfter(ctx, idle, cmd.Process.Pid)
	return err
}

// ask asks the provider through the sidecar, and returns the response's status and
// body. Each call has a connection of its own.
func (s *sidecarAlone) ask(ctx context.Context) string {
	c := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}, Timeout: requestTimeout}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://"+s.listen+"/", bytes.NewReader(small.body(clientModel, false, false)))
	if err != nil {
		return err.Error()
	}
	req.Host = "localhost"
	req.Header.Set("Content-Type", "application/json")
	res, err := c.Do(req)
	if err != nil {
		return err.Error()
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	if err != nil {
		return err.Error()
	}
	return strconv.Itoa(res.StatusCode) + " " + string(body)
}

// load sends requests through the sidecar.
func (s *sidecarAlone) load(ctx context.Context) error {
	_, example, _ := strings.Cut(s.ask(ctx), " ")
	want, err := newAnswer("application/json", []byte(example))
	if err != nil {
		return err
	}
	body := small.body(clientModel, false, false)
	request := append(head("localhost", chatAPI.path, clientKey, len(body)), body...)
	const conns = 16
	failed := make(chan error, conns)
	for range conns {
		go func() {
			failed <- func() error {
				c, err := dial(ctx, s.listen)
				if err != nil {
					return err
				}
				defer c.close()
				for range (sidecarRequests + conns - 1) / conns {
					if _, err := c.do(request, want); err != nil {
						return err
					}
				}
				return nil
			}()
		}()
	}
	for range conns {
		err = errors.Join(err, <-failed)
	}
	return err
}

// memoryAfter reads a process's memory after it had time to rest.
func memoryAfter(ctx context.Context, idle time.Duration, pid int) (memory, error) {
	select {
	case <-ctx.Done():
		return memory{}, context.Cause(ctx)
	case <-time.After(idle):
	}
	data, err := os.ReadFile(fmt.Sprintf("/proc/%d/smaps_rollup", pid))
	if err != nil {
		return memory{}, err
	}
	var m memory
	for line := range strings.Lines(string(data)) {
		name, rest, _ := strings.Cut(line, ":")
		kib, _ := strconv.ParseFloat(strings.TrimSpace(strings.TrimSuffix(strings.TrimSpace(rest), "kB")), 64)
		switch name {
		case "Rss":
			m.resident = kib * 1024
		case "Anonymous":
			m.anonymous = kib * 1024
		}
	}
	if m.resident == 0 || m.anonymous == 0 {
		return m, fmt.Errorf("/proc/%d/smaps_rollup lacks Rss or Anonymous", pid)
	}
	return m, nil
}
