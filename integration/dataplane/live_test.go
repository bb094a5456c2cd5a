package dataplane_test

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/caddy-llm/gateway/integration/fakeprovider"
)

const (
	hostA, hostB, hostC = "a.example.com", "b.example.com", "c.example.com"

	// inForce is how long a change may take.
	inForce = time.Second
)

// load is clients that send one request after the other until they are stopped.
type load struct {
	stop    chan struct{}
	wg      sync.WaitGroup
	answers [][]answer // by client
}

func startLoad(t *testing.T, s *site, clients int, host string) *load {
	t.Helper()
	l := &load{stop: make(chan struct{}), answers: make([][]answer, clients)}
	for i := range clients {
		c := newClient(t) // connections of its own, kept alive
		l.wg.Go(func() {
			for {
				select {
				case <-l.stop:
					return
				default:
				}
				a := post(c, s.url, host)
				if a.ok() {
					a.body = nil
				}
				l.answers[i] = append(l.answers[i], a)
			}
		})
	}
	return l
}

// end stops the clients and returns all answers in the order they were asked for.
func (l *load) end() []answer {
	close(l.stop)
	l.wg.Wait()
	all := slices.Concat(l.answers...)
	slices.SortFunc(all, func(a, b answer) int { return a.began.Compare(b.began) })
	return all
}

// change is one version of the manifest and when it was put in place.
type change struct {
	number   int
	at       time.Time
	backends map[string]bool
}

// TestLiveChangesUnderLoad renames a new manifest into place every 200 ms while
// clients are served: providers in use come and go, weights change, a manifest
// is broken for a while, and Caddy's own configuration is reloaded.
func TestLiveChangesUnderLoad(t *testing.T) {
	plans := [][]backend{
		{{hostA, 1}, {hostB, 1}},
		{{hostB, 1}}, // a is removed while it is in use
		{{hostA, 90}, {hostB, 5}, {hostC, 5}},
		{{hostC, 1}, {hostA, 0}},
		{{hostA, 50}, {hostC, 50}},
	}
	s, servers := startFiles(t, "250ms", manifest(0, plans[0]...), hostA, hostB, hostC)
	clients := startLoad(t, s, 16, demoHost)

	changes := []change{{number: 0, at: time.Now().Add(-time.Minute), backends: hostsOf(plans[0])}}
	put := func(n int) {
		plan := plans[n%len(plans)]
		s.WriteFile(manifestFile, manifest(n, plan...))
		changes = append(changes, change{n, time.Now(), hostsOf(plan)})
	}
	const last, broken, reload = 30, 12, 20
	var reloadBegan, reloadEnded time.Time
	tick := time.NewTicker(200 * time.Millisecond)
	defer tick.Stop()
	for n := 1; n <= last; n++ {
		<-tick.C
		put(n)
		switch n {
		case broken:
			time.Sleep(inForce) // so that it is in use before
			breakManifest(t, s, n)
		case reload:
			reloadBegan = time.Now()
			s.reload(map[string]any{"Mark": "two"})
			reloadEnded = time.Now()
		}
	}
	time.Sleep(inForce + 200*time.Millisecond)
	answers := clients.end()

	failed, stale, byReload := 0, 0, 0
	for i := range answers {
		a := &answers[i]
		switch {
		case a.ok():
			if err := checkVersion(a, changes); err != nil {
				if stale++; stale <= 5 {
					t.Error(err)
				}
			}
		case brokenConnection(a.err) && a.began.Before(reloadEnded.Add(time.Second)) && a.began.Add(a.took).After(reloadBegan):
			byReload++
		default:
			if failed++; failed <= 5 {
				t.Errorf("request %d, %v after the start: %v", i, a.began.Sub(answers[0].began), a)
			}
		}
	}
	if failed+stale > 0 {
		t.Errorf("of %d requests %d failed and %d were answered by a version that was not in force", len(answers), failed, stale)
	}
	if byReload > 16 {
		t.Errorf("%d requests failed with the reload, more than there are connections", byReload)
	}
	slowest := slowestChange(answers, changes)
	t.Logf("%d requests, %d changes; 0 failed but %d by the reload (%v) itself; the slowest change took %v",
		len(answers), len(changes)-1, byReload, reloadEnded.Sub(reloadBegan).Round(time.Millisecond), slowest.Round(time.Millisecond))
	if len(answers) < 1000 {
		t.Errorf("only %d requests were made, which is no load", len(answers))
	}
	for host, server := range servers {
		if server.Count() == 0 {
			t.Errorf("%s was never asked", host)
		}
		for _, r := range server.Requests() {
			if got := r.Header.Get("Authorization"); got != "Bearer "+secretOf(host) {
				t.Fatalf("%s was sent the key %q", host, got)
			}
		}
	}
}

func hostsOf(plan []backend) map[string]bool {
	hosts := map[string]bool{}
	for _, b := range plan {
		if b.weight > 0 {
			hosts[b.host] = true
		}
	}
	return hosts
}

// checkVersion checks that an answer was made by one version of the manifest,
// and by one that may be in force at that time.
func checkVersion(a *answer, changes []change) error {
	var used *change
	for i := range changes {
		if version(changes[i].number) == a.model {
			used = &changes[i]
		}
	}
	if used == nil {
		return fmt.Errorf("an answer has the model %q, which was never configured", a.model)
	}
	if !used.backends[a.from] {
		return fmt.Errorf("an answer with the model of version %d came from %s, which is not in it", used.number, a.from)
	}
	for _, c := range changes {
		if after := a.began.Sub(c.at); c.number > used.number && after > inForce {
			return fmt.Errorf("a request %v after version %d was in place was answered with version %d", after, c.number, used.number)
		}
	}
	return nil
}

// slowestChange is the longest time from a change to the first answer that was
// made by it, or by a later one.
func slowestChange(answers []answer, changes []change) (slowest time.Duration) {
	for _, c := range changes[1:] {
		first := time.Duration(-1)
		for i := range answers {
			a := &answers[i]
			var n int
			if _, err := fmt.Sscanf(a.model, "version-%d", &n); err != nil || n < c.number {
				continue
			}
			if after := a.began.Add(a.took).Sub(c.at); first < 0 || after < first {
				first = after
			}
		}
		slowest = max(slowest, first)
	}
	return slowest
}

func brokenConnection(err error) bool {
	return errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, syscall.ECONNRESET) || errors.Is(err, syscall.EPIPE)
}

// breakManifest puts a file in place that is not YAML, waits until that was
// noticed, and checks that version n goes on.
func breakManifest(t *testing.T, s *site, n int) {
	t.Helper()
	mark := s.LogMark()
	s.WriteFile(manifestFile, "apiVersion: istio.alibabacloud.com/v1beta1\nkind: LLMProvider\nmetadata:\n  name: a\n   namespace: [unfinished\n")
	place := filepath.Base(manifestFile) + ":"
	line := s.WaitLogSince(mark, place, 5*time.Second)
	if line.Level != "error" || !strings.Contains(line.Raw, place+"4") && !strings.Contains(line.Raw, place+"5") {
		t.Errorf("the broken manifest is logged as %s, want an error with its line, which is 4 or 5", line.Raw)
	}
	if got := mustPost(t, newClient(t), s.url, demoHost); got.model != version(n) {
		t.Errorf("with a broken manifest the answer is of %s, want %s, the last good state", got.model, version(n))
	}
	v, text := s.getView()
	if !v.Ready || !strings.Contains(text, place) {
		t.Errorf("with a broken manifest GET /llm gives %s; want it to be ready and to name the file", text)
	}
}

// TestAdminShowsWhatIsLive asks GET /llm where everything came from, and looks
// for keys wherever they must not be.
func TestAdminShowsWhatIsLive(t *testing.T) {
	s, servers := startFiles(t, "50ms", manifest(1, backend{hostA, 1}, backend{hostB, 1}), hostA, hostB, hostC)
	servers[hostC].Script(fakeprovider.Always(fakeprovider.JSON(401, `{"error":{"message":"bad key"}}`)))
	c := newClient(t)
	for range 4 {
		mustPost(t, c, s.url, demoHost)
	}
	mark := s.LogMark()
	s.WriteFile(manifestFile, manifest(2, backend{hostC, 1}, backend{hostB, 0}))
	s.WaitLogSince(mark, "configuration from the source is in use")
	if got := post(c, s.url, demoHost); got.status != http.StatusUnauthorized {
		t.Errorf("the provider's 401 was passed on as %v", &got)
	}

	v, text := s.getView()
	shown := map[string]string{}
	for _, p := range v.Providers {
		shown[p.Host] = p.Origin
	}
	for _, host := range []string{hostB, hostC} {
		if origin := shown[host]; !strings.Contains(origin, "demo/"+host) || !strings.Contains(origin, manifestFile) {
			t.Errorf("GET /llm gives provider %s the origin %q, want its object and its file", host, origin)
		}
	}
	if len(shown) != 2 {
		t.Errorf("GET /llm shows %d providers, want 2: %s", len(shown), text)
	}
	if !strings.Contains(text, `"table":"mesh"`) || !strings.Contains(text, version(2)) || strings.Contains(text, version(1)) {
		t.Errorf("GET /llm shows not the routes of version 2: %s", text)
	}

	places := map[string]string{"GET /llm": text, "the log": ""}
	for _, path := range []string{"/config/", "/metrics"} {
		_, body := s.AdminGet(path)
		places["GET "+path] = string(body)
	}
	for _, line := range s.Logs() {
		places["the log"] += line.Raw + "\n"
	}
	saved, err := os.ReadFile(filepath.Join(s.Dir, "home/config/caddy/autosave.json"))
	if err != nil {
		t.Errorf("reading the autosaved config: %v", err)
	}
	places["the autosaved config"] = string(saved)
	for place, text := range places {
		if i := strings.Index(text, "sk-kept"); i >= 0 {
			t.Errorf("%s holds a key: …%.200s", place, text[max(i-100, 0):])
		}
	}
}

// TestManyChangesUseNoMore changes a manifest of many providers over and over
// with streams open: memory and goroutines stay what they were.
func TestManyChangesUseNoMore(t *testing.T) {
	changes, streams := 1000, 50
	if testing.Short() {
		changes = 200
	}
	hosts := []backend{{hostA, 1}, {hostB, 1}}
	s, servers := startFiles(t, "10ms", manifest(0, hosts...), hostA, hostB)
	many := func(n int) string {
		var all strings.Builder
		for i := range 8 { // providers that change as well, and get no requests
			all.WriteString(providerObject(n, fmt.Sprintf("idle-%d.example.com", i)))
		}
		return all.String() + manifest(n, hosts...)
	}
	for _, server := range servers {
		server.Script(func(i int, r *fakeprovider.Recorded) fakeprovider.Reply {
			if r.Stream {
				return fakeprovider.EndlessEvents(numberedEvent(0), 200*time.Millisecond)
			}
			return fakeprovider.Default(i, r)
		})
	}
	c := newClient(t)
	open := openAll(t, c, s.url, demoHost, streams)
	var events atomic.Int64
	ended := make(chan error, streams)
	for _, one := range open {
		go func() {
			for {
				if _, err := one.next(); err != nil {
					ended <- err
					return
				}
				events.Add(1)
			}
		}()
	}
	// change puts versions in place and returns when the last is in force.
	change := func(from, to int) {
		t.Helper()
		var before *os.File
		for n := from; n < to; n++ {
			path := s.WriteFile(manifestFile, many(n))
			// A file that is open keeps its inode from being used again, so that
			// each change is seen to be another file at the first look.
			f, err := os.Open(path)
			if err != nil {
				t.Fatal(err)
			}
			_ = before.Close()
			before = f
			time.Sleep(10 * time.Millisecond)
		}
		_ = before.Close()
		if !eventually(5*time.Second, func() bool { return mustPost(t, c, s.url, demoHost).model == version(to-1) }) {
			t.Fatalf("version %d was not in force after 5s", to-1)
		}
	}
	change(1, changes/5) // for what grows to its size once
	start, before := s.goroutines(), s.footprint()
	first, _ := s.getView()
	change(changes/5, changes)
	after := s.footprint()
	v, _ := s.getView()
	t.Logf("%d changes made %d snapshots with %d providers each; goroutines %d before, %d after; before: %v; after: %v",
		changes-changes/5, v.Snapshot-first.Snapshot, len(v.Providers), start, s.goroutines(), before, after)
	if n := int(v.Snapshot - first.Snapshot); n < changes/4 {
		t.Errorf("%d changes made %d snapshots, too few to show anything", changes-changes/5, n)
	}
	s.waitGoroutines(start+5, 10*time.Second)
	if grown := after.heap - before.heap; grown > 2<<20 {
		t.Errorf("the heap grew by %.1f MiB", mib(grown))
	}
	if grown := after.resident - before.resident; grown > 16<<20 {
		t.Errorf("resident memory grew by %.1f MiB", mib(grown))
	}

	// The streams have been open all the time, and still are.
	seen := events.Load()
	if !eventually(5*time.Second, func() bool { return events.Load() >= seen+int64(2*streams) }) {
		t.Errorf("the streams got %d events in 5s", events.Load()-seen)
	}
	select {
	case err := <-ended:
		t.Errorf("a stream ended: %v", err)
	default:
	}
	for _, one := range open {
		one.close()
	}
	servers[hostA].WaitIdle(10 * time.Second)
	servers[hostB].WaitIdle(10 * time.Second)
	if n := servers[hostA].Cancelled() + servers[hostB].Cancelled(); n != streams {
		t.Errorf("the providers saw %d streams end when their clients left, want %d", n, streams)
	}
}

// TestRenamedFilesThatTakeTurns changes the manifest by two files that take
// turns, so that the same inode is found at every other change, as file systems
// do by themselves when a file is written anew for each rename.
func TestRenamedFilesThatTakeTurns(t *testing.T) {
	s, _ := startFiles(t, "250ms", manifest(0, backend{hostA, 1}), hostA)
	path := filepath.Join(s.Dir, manifestFile)
	spare, kept := path+".spare", path+".kept"
	clients := startLoad(t, s, 2, demoHost)
	changes := []change{{number: 0, at: time.Now().Add(-time.Minute), backends: map[string]bool{hostA: true}}}
	tick := time.NewTicker(120 * time.Millisecond)
	defer tick.Stop()
	for n := 1; n <= 30; n++ {
		<-tick.C
		err := errors.Join(os.WriteFile(spare, []byte(manifest(n, backend{hostA, 1})), 0o600), os.Link(path, kept), os.Rename(spare, path), os.Rename(kept, spare))
		if err != nil {
			t.Fatal(err)
		}
		changes = append(changes, change{n, time.Now(), changes[0].backends})
	}
	time.Sleep(inForce + 200*time.Millisecond)
	answers := clients.end()
	t.Logf("%d requests, %d changes; the slowest took %v", len(answers), len(changes)-1, slowestChange(answers, changes).Round(time.Millisecond))
	stale := 0
	for i := range answers {
		if !answers[i].ok() {
			t.Fatalf("a request failed: %v", &answers[i])
		}
		if err := checkVersion(&answers[i], changes); err != nil {
			if stale++; stale <= 3 {
				t.Error(err)
			}
		}
	}
	if stale > 0 {
		t.Errorf("%d of %d answers were made by a version that was no longer in force", stale, len(answers))
	}
}
