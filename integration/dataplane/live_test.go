package dataplane_test

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
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

// end stops the clients and returns all responses in the order they were asked for.
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

// checkVersion checks that a response was made by one version of the manifest,
// and by one that may be in force at that time.
func checkVersion(a *answer, changes []change) error {
	var used *change
	for i := range changes {
		if version(changes[i].number) == a.model {
			used = &changes[i]
		}
	}
	if used == nil {
		return fmt.Errorf("a response has the model %q, which was never configured", a.model)
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

// slowestChange is the longest time from a change to the first response that was
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
		t.Errorf("with a broken manifest the response is of %s, want %s, the last good state", got.model, version(n))
	}
	v, text := s.getView()
	if !v.Ready || !strings.Contains(text, place) {
		t.Errorf("with a broken manifest GET /llm gives %s; want it to be ready and to name the file", text)
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
		t.Errorf("%d of %d responses were made by a version that was no longer in force", stale, len(answers))
	}
}
