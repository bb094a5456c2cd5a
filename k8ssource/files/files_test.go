package files

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"

	"github.com/caddy-llm/gateway/k8ssource/object"
	"github.com/caddy-llm/gateway/k8ssource/provider"
	"github.com/caddy-llm/gateway/k8ssource/redact"
	"github.com/caddy-llm/gateway/k8ssource/source"
	"github.com/caddy-llm/gateway/llmprovider/openai"
	"github.com/caddy-llm/gateway/llmroute/spec"
)

const testInterval = 10 * time.Millisecond

// watcher collects the states that a files source reports.
type watcher struct {
	t      *testing.T
	mu     sync.Mutex
	states []*spec.State
}

func (w *watcher) report(s *spec.State) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.states = append(w.states, s)
}

func (w *watcher) last() (*spec.State, int) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if len(w.states) == 0 {
		return nil, 0
	}
	return w.states[len(w.states)-1], len(w.states)
}

// until waits for a state that satisfies ok.
func (w *watcher) until(what string, ok func(*spec.State) bool) *spec.State {
	w.t.Helper()
	for deadline := time.Now().Add(20 * time.Second); ; time.Sleep(time.Millisecond) {
		s, _ := w.last()
		if s != nil && ok(s) {
			return s
		}
		if time.Now().After(deadline) {
			view, _ := redact.State(s)
			w.t.Fatalf("no state with %s; the last is\n%s", what, view)
		}
	}
}

// hosts waits for the providers with these hosts and no others.
func (w *watcher) hosts(want ...string) *spec.State {
	w.t.Helper()
	return w.until(strings.Join(want, ", "), func(s *spec.State) bool { return reflect.DeepEqual(hostsOf(s), want) })
}

func hostsOf(s *spec.State) []string {
	var out []string
	for _, p := range s.Providers {
		out = append(out, p.Provider.ServerAddress())
	}
	return out
}

func newFiles(t *testing.T, paths ...string) *Source {
	t.Helper()
	f := &Source{Paths: paths, Interval: caddy.Duration(testInterval)}
	if err := f.Provision(caddy.Context{}); err != nil {
		t.Fatal(err)
	}
	if err := f.Validate(); err != nil {
		t.Fatal(err)
	}
	return f
}

func follow(t *testing.T, paths ...string) *watcher {
	t.Helper()
	w := &watcher{t: t}
	ctx, cancel := context.WithCancel(context.Background())
	t.Cleanup(cancel)
	if err := newFiles(t, paths...).Start(ctx, w.report); err != nil {
		t.Fatal(err)
	}
	if _, n := w.last(); n != 1 {
		t.Fatalf("%d states after Start", n)
	}
	return w
}

func manifestOf(hosts ...string) string {
	var out strings.Builder
	for _, host := range hosts {
		fmt.Fprintf(&out, "---\napiVersion: istio.alibabacloud.com/v1beta1\nkind: LLMProvider\nmetadata: {name: p-%s}\nspec:\n  host: %s\n"+
			"  configs: {defaultConfig: {openAIConfig: {apiKey: sk-%s}}}\n", host, host, host)
	}
	return out.String()
}

func write(t *testing.T, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

// overwrite writes the text over a shorter one, without a moment in which there is
// nothing.
func overwrite(t *testing.T, path, text string) {
	t.Helper()
	f, err := os.OpenFile(path, os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if _, err := f.WriteString(text); err != nil {
		t.Fatal(err)
	}
}

// rename writes the text beside path and renames it into place.
func rename(t *testing.T, path, text string) {
	t.Helper()
	write(t, path+".tmp", text)
	if err := os.Rename(path+".tmp", path); err != nil {
		t.Fatal(err)
	}
}

func TestFilesRefusesToStart(t *testing.T) {
	dir := t.TempDir()
	broken := filepath.Join(dir, "broken.yaml")
	write(t, broken, "kind: x\n  y: z\n")
	missing := filepath.Join(dir, "missing.yaml")
	for path, want := range map[string]string{
		missing:                             "there is no file or folder " + missing + "; write a file, a folder, or a pattern such as /etc/llm/*.yaml",
		filepath.Join(dir, "*.json"):        "no file matches " + filepath.Join(dir, "*.json") + "; write a file, a folder, or a pattern such as /etc/llm/*.yaml",
		broken:                              broken + ":2: this is not YAML: mapping values are not allowed in this context",
		dir:                                 broken + ":2: this is not YAML: mapping values are not allowed in this context",
		filepath.Join(dir, "b[r-"):          "there is no file or folder",
		filepath.Join(broken, "x"):          "looking for manifests: ",
		os.DevNull:                          os.DevNull + ":1: this is not a regular file; write the path of a file with YAML",
		filepath.Join(dir, "*.yaml"):        broken + ":2: this is not YAML: mapping values are not allowed in this context",
		filepath.Join(dir, "nothing/*.yml"): "no file matches ",
	} {
		if path == filepath.Join(dir, "b[r-") {
			want = `"` + path + `" is not a pattern; write one such as /etc/llm/*.yaml`
		}
		err := newFiles(t, path).Start(context.Background(), func(*spec.State) { t.Errorf("%s: a state was reported", path) })
		if err == nil || !strings.HasPrefix(err.Error(), want) {
			t.Errorf("%s: got  %v\nwant %s", path, err, want)
		}
	}
}

func TestFilesValidate(t *testing.T) {
	for name, f := range map[string]*Source{
		"no paths":       {},
		"an empty path":  {Paths: []string{"a", ""}},
		"interval":       {Paths: []string{"a"}, Interval: caddy.Duration(time.Millisecond)},
		"below interval": {Paths: []string{"a"}, Interval: -1},
	} {
		if err := f.Provision(caddy.Context{}); err != nil {
			t.Fatal(err)
		}
		if err := f.Validate(); err == nil || !strings.Contains(err.Error(), "write ") {
			t.Errorf("%s: got %v", name, err)
		}
	}
}

func TestFilesFollowsAFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "llm.yaml")
	write(t, path, manifestOf("a", "b"))
	w := follow(t, path)
	first := w.hosts("a", "b")

	rename(t, path, manifestOf("b", "c"))
	second := w.hosts("b", "c")
	if !reflect.DeepEqual(first.Providers[1].Provider, second.Providers[0].Provider) || first.Providers[1].Origin != second.Providers[0].Origin {
		t.Error("the provider that did not change is not equal to its last version")
	}

	write(t, path, manifestOf("d")) // in place
	w.hosts("d")

	key := w.hosts("d").Providers[0].Provider.(*openai.Provider).Config.Key
	rename(t, path, strings.ReplaceAll(manifestOf("d"), "sk-d", "sk-2"))
	w.until("another key", func(s *spec.State) bool {
		now := s.Providers[0].Provider.(*openai.Provider).Config.Key
		value, err := now.Value()
		return now != key && value == "sk-2" && err == nil
	})
}

func TestFilesReportsNothingWithoutAChange(t *testing.T) {
	path := filepath.Join(t.TempDir(), "llm.yaml")
	write(t, path, manifestOf("a"))
	w := follow(t, path)
	rename(t, path, manifestOf("a"))
	time.Sleep(20 * testInterval)
	if err := os.Chtimes(path, time.Time{}, time.Now().Add(-time.Hour)); err != nil {
		t.Fatal(err)
	}
	time.Sleep(20 * testInterval)
	if _, n := w.last(); n != 1 {
		t.Errorf("%d states", n)
	}
}

func TestFilesSeesAChangeThatTheTimeDoesNotShow(t *testing.T) {
	path := filepath.Join(t.TempDir(), "llm.yaml")
	write(t, path, manifestOf("a"))
	info, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	w := follow(t, path)
	f, err := os.OpenFile(path, os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	_, err = f.WriteString(manifestOf("b"))
	if err != nil || f.Close() != nil || os.Chtimes(path, info.ModTime(), info.ModTime()) != nil {
		t.Fatal(err)
	}
	w.hosts("b")
}

func TestFilesFollowsAFolder(t *testing.T) {
	dir := t.TempDir()
	w := follow(t, dir)
	write(t, filepath.Join(dir, "a.yaml"), manifestOf("a"))
	write(t, filepath.Join(dir, "b.yml"), manifestOf("b"))
	write(t, filepath.Join(dir, "notes.txt"), "not: [yaml")
	write(t, filepath.Join(dir, ".hidden.yaml"), "not: [yaml")
	if err := os.Mkdir(filepath.Join(dir, "folder.yaml"), 0o700); err != nil {
		t.Fatal(err)
	}
	w.hosts("a", "b")
	if err := os.Remove(filepath.Join(dir, "a.yaml")); err != nil {
		t.Fatal(err)
	}
	w.hosts("b")
	if err := os.Rename(filepath.Join(dir, "b.yml"), filepath.Join(dir, "c.json")); err != nil {
		t.Fatal(err)
	}
	w.until("another file", func(s *spec.State) bool {
		return len(s.Providers) == 1 && strings.HasSuffix(s.Providers[0].Origin, "c.json")
	})

	away := dir + "-away"
	if err := os.Rename(dir, away); err != nil {
		t.Fatal(err)
	}
	s := w.until("a finding", func(s *spec.State) bool { return len(s.Findings) > 0 })
	if f := s.Findings[0]; len(s.Findings) != 1 || f.Object != "file "+dir || !f.Used || len(s.Providers) != 1 {
		t.Errorf("got %+v and %d providers", s.Findings, len(s.Providers))
	}
	if err := os.Rename(away, dir); err != nil {
		t.Fatal(err)
	}
	w.until("no finding", func(s *spec.State) bool { return len(s.Findings) == 0 && len(s.Providers) == 1 })
}

func TestFilesFollowsAPattern(t *testing.T) {
	dir := t.TempDir()
	write(t, filepath.Join(dir, "1-a.yaml"), manifestOf("a"))
	w := follow(t, filepath.Join(dir, "[12]-*.yaml"))
	write(t, filepath.Join(dir, "2-b.yaml"), manifestOf("b"))
	write(t, filepath.Join(dir, "3-c.yaml"), manifestOf("c"))
	w.hosts("a", "b")
	if err := os.Remove(filepath.Join(dir, "1-a.yaml")); err != nil {
		t.Fatal(err)
	}
	w.hosts("b")
}

func TestFilesKeepsTheLastGoodContent(t *testing.T) {
	dir := t.TempDir()
	path, other := filepath.Join(dir, "1.yaml"), filepath.Join(dir, "2.yaml")
	write(t, path, manifestOf("a"))
	write(t, other, manifestOf("b"))
	w := follow(t, path, other)
	broken := manifestOf("c") + "---\nkind: x\n  y: z\n"

	for name, spoil := range map[string]struct {
		do    func()
		where string
	}{
		"renamed into place": {func() { rename(t, path, broken) }, path + ":10"},
		"written in place":   {func() { overwrite(t, path, broken) }, path + ":10"},
		"removed":            {func() { _ = os.Remove(path) }, path},
	} {
		t.Run(name, func(t *testing.T) {
			w.t = t
			spoil.do()
			s := w.until("a finding", func(s *spec.State) bool { return len(s.Findings) > 0 })
			if f := s.Findings[0]; len(s.Findings) != 1 || !strings.HasPrefix(f.Origin, spoil.where) || f.Reason != object.ReasonUnreadableFile || !f.Used {
				t.Errorf("got %+v", s.Findings)
			}
			if got := hostsOf(s); !reflect.DeepEqual(got, []string{"a", "b"}) {
				t.Errorf("providers %v", got)
			}
			// The other file is still followed.
			rename(t, other, manifestOf("d"))
			w.hosts("a", "d")
			rename(t, other, manifestOf("b"))
			w.hosts("a", "b")
			rename(t, path, manifestOf("a"))
			w.until("no finding", func(s *spec.State) bool { return len(s.Findings) == 0 && len(s.Providers) == 2 })
		})
	}
}

func TestFilesWaitsForAWriter(t *testing.T) {
	path := filepath.Join(t.TempDir(), "llm.yaml")
	write(t, path, manifestOf("a"))
	w := newFollower("", []string{path}, settleTime/100)
	if err := w.load(); err != nil {
		t.Fatal(err)
	}
	f, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	for i, line := range strings.SplitAfter(manifestOf("b", "c", "d", "e"), "\n") {
		if w.poll(time.Now()) {
			t.Fatalf("published after %d lines", i)
		}
		if _, err := f.WriteString(line); err != nil {
			t.Fatal(err)
		}
	}
	for i := 0; !w.poll(time.Now()); i++ {
		if i == 2 {
			t.Fatal("not published after the last line")
		}
	}
	if n := len(w.objects().Providers); n != 4 {
		t.Errorf("%d providers", n)
	}
}

func TestFilesWaitsNotForEver(t *testing.T) {
	path := filepath.Join(t.TempDir(), "llm.yaml")
	write(t, path, manifestOf("a"))
	w := newFollower("", []string{path}, settleTime/10)
	if err := w.load(); err != nil {
		t.Fatal(err)
	}
	text := manifestOf("b")
	for i := 0; ; i++ {
		text += "# another line\n"
		write(t, path, text)
		if w.poll(time.Now()) {
			break
		}
		if i > 25 {
			t.Fatal("a file that is always being written is never read")
		}
	}
	if p := w.objects().Providers; len(p) != 1 || p[0].Object.Spec.Host != "b" {
		t.Errorf("got %d providers", len(p))
	}
}

// TestFilesSeesAMountedConfigMapAsOne replaces two files the way a kubelet does
// it, by renaming the link to the folder that both are in.
func TestFilesSeesAMountedConfigMapAsOne(t *testing.T) {
	dir := t.TempDir()
	put := func(version int) {
		name := fmt.Sprintf("..v%d", version)
		if err := os.Mkdir(filepath.Join(dir, name), 0o700); err != nil {
			t.Fatal(err)
		}
		write(t, filepath.Join(dir, name, "1.yaml"), manifestOf(fmt.Sprintf("a-%d", version)))
		write(t, filepath.Join(dir, name, "2.yaml"), manifestOf(fmt.Sprintf("b-%d", version)))
		if os.Symlink(name, filepath.Join(dir, "..tmp")) != nil || os.Rename(filepath.Join(dir, "..tmp"), filepath.Join(dir, "..data")) != nil {
			t.Fatal("cannot link")
		}
	}
	put(0)
	for _, name := range []string{"1.yaml", "2.yaml"} {
		if err := os.Symlink(filepath.Join("..data", name), filepath.Join(dir, name)); err != nil {
			t.Fatal(err)
		}
	}
	w := follow(t, dir)
	for version := 1; version <= 50; version++ {
		put(version)
		time.Sleep(time.Duration(version%7) * time.Millisecond)
	}
	w.hosts("a-50", "b-50")
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, s := range w.states {
		if hosts := hostsOf(s); len(hosts) != 2 || hosts[0][1:] != hosts[1][1:] {
			t.Errorf("a state mixes versions: %v", hosts)
		}
	}
}

// TestFilesEndures rewrites a file hundreds of times.
func TestFilesEndures(t *testing.T) {
	path := filepath.Join(t.TempDir(), "llm.yaml")
	rename(t, path, manifestOf("a"))
	goroutines := runtime.NumGoroutine()
	var seen, last int
	var current string
	var mu sync.Mutex
	ctx, cancel := context.WithCancel(context.Background())
	f := newFiles(t, path)
	if err := f.Start(ctx, func(s *spec.State) {
		mu.Lock()
		defer mu.Unlock()
		seen++
		current = strings.Join(hostsOf(s), " ")
	}); err != nil {
		t.Fatal(err)
	}
	heap := func() uint64 {
		runtime.GC()
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		return m.HeapAlloc
	}
	reached := func(host string) bool {
		mu.Lock()
		defer mu.Unlock()
		return current == host
	}
	var before uint64
	for i := range 400 {
		host := fmt.Sprintf("h-%d", i)
		rename(t, path, manifestOf(host))
		for deadline := time.Now().Add(10 * time.Second); !reached(host); time.Sleep(time.Millisecond) {
			if time.Now().After(deadline) {
				t.Fatalf("%s is not in use", host)
			}
		}
		if i == 100 {
			before = heap()
		}
	}
	mu.Lock()
	if seen != 401 {
		t.Errorf("%d states", seen)
	}
	mu.Unlock()
	if after := heap(); after > before+1<<20 {
		t.Errorf("the heap grew from %d to %d bytes", before, after)
	}
	if n := runtime.NumGoroutine(); n > goroutines+1 {
		t.Errorf("%d goroutines, %d before", n, goroutines)
	}
	cancel()
	for deadline := time.Now().Add(10 * time.Second); runtime.NumGoroutine() > goroutines; time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("the source did not stop")
		}
	}
	mu.Lock()
	last = seen
	mu.Unlock()
	rename(t, path, manifestOf("a"))
	time.Sleep(5 * testInterval)
	mu.Lock()
	defer mu.Unlock()
	if seen != last {
		t.Error("a state was reported after the end")
	}
}

func TestFilesIdentity(t *testing.T) {
	path := filepath.Join(t.TempDir(), "llm.yaml")
	write(t, path, strings.Replace(manifestOf("a"), "spec:", "spec:\n  workloadSelector: {labels: {app: x}}", 1)+
		strings.Replace(manifestOf("root"), "}\nspec", ", namespace: mesh-root}\nspec", 1))
	labels := filepath.Join(t.TempDir(), "labels")
	write(t, labels, "app=\"x\"\n")
	for name, test := range map[string]struct {
		files Source
		want  []string
	}{
		"unknown":        {Source{}, []string{"a", "root"}},
		"selected":       {Source{Settings: source.Settings{Labels: map[string]string{"app": "x"}, RootNamespace: "mesh-root", Workload: "w"}}, []string{"a", "root"}},
		"labels file":    {Source{Settings: source.Settings{LabelsFile: labels}}, []string{"a"}},
		"not selected":   {Source{Settings: source.Settings{Namespace: "default", RootNamespace: "mesh-root"}}, []string{"root"}},
		"its namespace":  {Source{Settings: source.Settings{Namespace: "shop", Labels: map[string]string{"app": "x"}}}, []string{"a"}},
		"other root":     {Source{Settings: source.Settings{Labels: map[string]string{"app": "x"}}}, []string{"a"}},
		"root namespace": {Source{Settings: source.Settings{Namespace: "mesh-root"}}, []string{"root"}},
	} {
		t.Run(name, func(t *testing.T) {
			f := test.files
			f.Paths = []string{path}
			if err := f.Provision(caddy.Context{}); err != nil {
				t.Fatal(err)
			}
			ctx, cancel := context.WithCancel(context.Background())
			defer cancel()
			if err := f.Start(ctx, func(s *spec.State) {
				if got := hostsOf(s); !reflect.DeepEqual(got, test.want) || s.Identity.Workload != f.Workload {
					t.Errorf("got %v for %+v", got, s.Identity)
				}
			}); err != nil {
				t.Fatal(err)
			}
		})
	}
}

func TestFilesWithoutItsLabelsFile(t *testing.T) {
	f := Source{Paths: []string{t.TempDir()}, Settings: source.Settings{LabelsFile: filepath.Join(t.TempDir(), "labels")}}
	err := f.Start(t.Context(), func(*spec.State) { t.Error("reported") })
	if err == nil || !strings.HasPrefix(err.Error(), "labels_file: open ") || !strings.Contains(err.Error(), "mount the pod's labels") {
		t.Error(err)
	}
}

func TestFilesCaddyfile(t *testing.T) {
	f := new(Source)
	d := caddyfile.NewTestDispenser("files /etc/llm a.yaml {\n namespace istio-system\n labels istio=ingressgateway app=gw empty=\n workload gw\n root_namespace root\n selectors_from a b\n ambient_credentials c d\n port_map 80:8080 443:8443\n gateway_networks 192.0.2.8/29 2001:db8::1\n mesh_listen :15001\n allow_any_host\n endpoint_picker {\n  plaintext\n  timeout 5m\n }\n interval 1s\n}")
	if err := f.UnmarshalCaddyfile(d); err != nil {
		t.Fatal(err)
	}
	want := &Source{
		Paths: []string{"/etc/llm", "a.yaml"}, Interval: caddy.Duration(time.Second),
		Settings: source.Settings{
			Namespace: "istio-system", Labels: map[string]string{"istio": "ingressgateway", "app": "gw", "empty": ""}, Workload: "gw", RootNamespace: "root", SelectorsFrom: []string{"a", "b"}, AmbientCredentials: []string{"c", "d"},
			PortMap: map[int]int{80: 8080, 443: 8443}, GatewayNetworks: []string{"192.0.2.8/29", "2001:db8::1"}, MeshListen: ":15001", AllowAnyHost: true,
			EndpointPicker: &provider.PickerOptions{Plaintext: true, Timeout: caddy.Duration(5 * time.Minute)},
		},
	}
	if !reflect.DeepEqual(f, want) {
		t.Errorf("got %+v", f)
	}
	for text, want := range map[string]string{
		"files":                                  "source files needs at least one path",
		"files a {\n labels\n}":                  "labels needs at least one label, such as app=sleep",
		"files a {\n labels x\n}":                `"x" is not a label; write name=value, such as app=sleep`,
		"files a {\n namespace\n}":               "namespace takes one value",
		"files a {\n workload a b\n}":            "workload takes one value",
		"files a {\n selectors_from\n}":          "selectors_from needs at least one namespace, such as platform",
		"files a {\n selectors_from *\n}":        `selectors_from: "*" is not the name of a namespace; write one such as platform`,
		"files a {\n port_map\n}":                "port_map: at least one pair of ports is needed",
		"files a {\n port_map 80\n}":             `port_map: "80" is not a pair of ports; write the one that Gateways name and the one to listen on, such as 80:8080`,
		"files a {\n port_map 80:1 80:2\n}":      `port_map: the port 80 is mapped twice; keep one of them`,
		"files a {\n port_map 80:70000\n}":       `port_map: "80:70000" is not a pair of ports`,
		"files a {\n gateway_networks\n}":        "gateway_networks: at least one network is needed, such as 192.0.2.8/29",
		"files a {\n gateway_networks a\n}":      `gateway_networks: "a" is not a network of addresses; write one such as 192.0.2.8/29, or an address`,
		"files a {\n gateway_networks ::/0\n}":   `gateway_networks: "::/0" is not a network of addresses`,
		"files a {\n allow_any_host yes\n}":      "allow_any_host takes no value; its presence turns it on",
		"files a {\n endpoint_picker on\n}":      "endpoint_picker takes no value; write its options in a block",
		"files a {\n mesh_listen nowhere\n}":     `mesh_listen "nowhere" is not an address with a port; write one such as :15001`,
		"files a {\n interval\n}":                "interval takes one duration, such as 250ms",
		"files a {\n interval soon\n}":           `interval "soon" is not a duration of at least 10ms; write one such as 250ms`,
		"files a {\n workload a\n workload b\n}": "workload is given twice; keep one of them",
		"files a {\n ambient_credentials\n}":     "ambient_credentials needs at least one namespace, such as platform",
		"files a {\n ambient_credentials *\n}":   `ambient_credentials: "*" is not the name of a namespace; write one such as platform`,
		"files a {\n label a=b\n}":               `source files has no option "label"; its options are namespace, labels, labels_file, workload, root_namespace, selectors_from, ambient_credentials, port_map, gateway_networks, mesh_listen, outbound_traffic_policy, allow_any_host, endpoint_picker and interval`,
	} {
		err := new(Source).UnmarshalCaddyfile(caddyfile.NewTestDispenser(text))
		if err == nil || !strings.HasPrefix(err.Error(), want) || !strings.Contains(err.Error(), "at Testfile:") {
			t.Errorf("%q: got %v, want %s", text, err, want)
		}
	}
}

// TestPatternsLeaveHiddenFilesAlone holds that a pattern stands for what a shell would
// take it for.
func TestPatternsLeaveHiddenFilesAlone(t *testing.T) {
	dir := t.TempDir()
	for _, name := range []string{"a.yaml", ".#a.yaml", ".a.yaml.swp", ".b.yaml", "sub/c.yaml", ".hidden/d.yaml"} {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, nil, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Symlink("somebody@host.1:2", filepath.Join(dir, ".#b.yaml")); err != nil {
		t.Fatal(err)
	}
	for pattern, want := range map[string]string{
		"": "a.yaml", "*": "a.yaml", "*.yaml": "a.yaml", "?a.yaml": "", "[.]b.yaml": "", "*/*.yaml": "sub/c.yaml", ".b*": ".b.yaml", ".h*/*": ".hidden/d.yaml", `\.b*`: ".b.yaml", ".b.yaml": ".b.yaml",
	} {
		found, err := ListPath(filepath.Join(dir, pattern))
		if err != nil {
			t.Fatal(err)
		}
		for i := range found {
			found[i], _ = filepath.Rel(dir, found[i])
		}
		if got := strings.Join(found, " "); got != want {
			t.Errorf("%s: got %s, want %s", pattern, got, want)
		}
	}
}
