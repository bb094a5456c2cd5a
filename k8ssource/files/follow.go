package files

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"
	"strconv"
	"time"

	"go.uber.org/zap"

	"github.com/caddy-llm/gateway/k8ssource/object"
	"github.com/caddy-llm/gateway/llmroute/spec"
)

const (
	// settleTime bounds how long a file that is being written to is waited for.
	// With the interval it keeps changes in force within a second, even where a
	// renamed file looks like one that is written to: file systems use inode
	// numbers again.
	settleTime = 500 * time.Millisecond
	// absences is how many looks in a row must miss a file that was there: one
	// that is replaced can be missing for a moment.
	absences = 2
)

// follower reads manifests, and again when they change. It is not safe for
// concurrent use.
type follower struct {
	namespace string // of objects that name none
	paths     []string
	interval  time.Duration

	listed map[string][]string // the files that each path stood for last
	files  map[string]*manifest
	order  []string // of files, as their objects count

	pathProblems map[string]*problem
	deferrals    int // publications put off in a row
	changed      bool
}

// problem is something that is reported if it lasts.
type problem struct {
	looks int // in a row that found it
	text  string
	line  int
}

// lasts tells that the problem was found twice, so that it is no file caught in
// the middle of being written.
func (p *problem) lasts() bool { return p != nil && p.looks >= absences }

func newFollower(namespace string, paths []string, interval time.Duration) *follower {
	return &follower{
		namespace: namespace, paths: paths, interval: interval,
		listed: make(map[string][]string), files: make(map[string]*manifest), pathProblems: make(map[string]*problem),
	}
}

// load reads everything for the first time. Unlike later, nothing may be wrong.
func (w *follower) load() error {
	for _, path := range w.paths {
		list, err := ListPath(path)
		if err != nil {
			return err
		}
		if len(list) == 0 && isPattern(path) {
			return fmt.Errorf("no file matches %s; write a file, a folder, or a pattern such as /etc/llm/*.yaml", path)
		}
		if len(list) == 0 {
			logger().Warn("folder has no manifests yet (files ending in .yaml, .yml or .json)", zap.String("path", path))
		}
		w.listed[path] = list
	}
	w.setOrder()
	for _, name := range w.order {
		m := &manifest{path: name, namespace: w.namespace}
		if err := m.read(time.Now()); err != nil {
			return err
		}
		w.files[name] = m
	}
	return nil
}

// poll looks for changes, and reports whether there is anything new to publish.
func (w *follower) poll(now time.Time) bool {
	w.list()
	for _, name := range w.order {
		m := w.files[name]
		if m == nil {
			m = &manifest{path: name, namespace: w.namespace}
			w.files[name] = m
		}
		info, err := os.Stat(name)
		if err != nil {
			if len(w.pathProblems) == 0 || !errors.Is(err, fs.ErrNotExist) { // else it is reported already
				w.failed(m, err)
			}
			continue
		}
		if !m.due(info, w.patience()) {
			continue
		}
		before := m.hash
		switch err := m.read(now); {
		case errors.Is(err, errUnsettled):
		case err != nil:
			w.failed(m, err)
		default:
			w.mended(m)
			if m.hash != before {
				w.changed = true
			}
		}
	}
	if !w.changed {
		return false
	}
	// Files that belong together and were replaced at once should be seen
	// together. A folder that never rests is not waited for.
	if w.deferrals < w.patience() && w.unsettled() {
		w.deferrals++
		return false
	}
	w.changed, w.deferrals = false, 0
	return true
}

// patience is the number of looks that something unfinished is waited for.
func (w *follower) patience() int { return int(max(1, settleTime/w.interval)) }

// unsettled reports whether a file is no longer as it was read.
func (w *follower) unsettled() bool {
	for _, name := range w.order {
		if m := w.files[name]; m.info != nil && m.problem == nil && m.absent == 0 && len(w.pathProblems) == 0 {
			if info, err := os.Stat(name); err != nil || !sameFile(m.info, info) {
				return true
			}
		}
	}
	return false
}

// list finds out which files there are. A path that cannot be listed keeps its
// files, and so does for one more look one that has lost some.
func (w *follower) list() {
	for _, path := range w.paths {
		last := w.listed[path]
		list, err := ListPath(path)
		if err != nil {
			if len(last) != 1 || last[0] != path { // else it is the file that is reported
				w.notListed(path, err)
			}
			continue
		}
		if w.pathProblems[path].lasts() {
			logger().Info("path exists again", zap.String("path", path))
			w.changed = true
		}
		delete(w.pathProblems, path)
		w.listed[path] = w.retain(last, list)
	}
	before := w.order
	w.setOrder()
	if !slices.Equal(before, w.order) {
		w.changed = true
	}
}

// retain adds to list those of last that have just gone.
func (w *follower) retain(last, list []string) []string {
	there := make(map[string]bool, len(list))
	for _, name := range list {
		there[name] = true
	}
	for _, name := range last {
		m := w.files[name]
		switch {
		case m == nil:
		case there[name]:
			m.absent = 0
		default:
			if m.absent++; m.absent < absences {
				list = append(list, name)
			}
		}
	}
	slices.Sort(list)
	return list
}

// setOrder works out which files are followed, and forgets all others.
func (w *follower) setOrder() {
	followed := make(map[string]bool, len(w.order))
	w.order = nil
	for _, path := range w.paths {
		for _, name := range w.listed[path] {
			if !followed[name] {
				followed[name] = true
				w.order = append(w.order, name)
			}
		}
	}
	for name := range w.files {
		if !followed[name] {
			delete(w.files, name)
		}
	}
}

// notListed counts a problem of a path, and logs it once it lasts.
func (w *follower) notListed(path string, err error) {
	p := w.pathProblems[path]
	if p == nil {
		p = new(problem)
		w.pathProblems[path] = p
	}
	if p.found(err) {
		w.changed = true
		logger().Error("cannot list manifests; keeping the last ones read", zap.Error(err))
	}
}

// found counts the problem, and reports whether it is to be reported now.
func (p *problem) found(err error) bool {
	text, line := err.Error(), 0
	var fe *object.FileError
	if errors.As(err, &fe) {
		text, line = fe.Text, fe.Line
	}
	if text != p.text || line != p.line {
		p.looks = min(p.looks, absences-1) // report it if there was another before
		p.text, p.line = text, line
	}
	p.looks++
	return p.looks == absences
}

// failed notes that a file could not be used.
func (w *follower) failed(m *manifest, err error) {
	if m.problem == nil {
		m.problem = new(problem)
	}
	if m.problem.found(err) {
		w.changed = true
		logger().Error("manifest cannot be used; keeping its last valid content", zap.String("file", m.path), zap.Error(err))
	}
}

func (w *follower) mended(m *manifest) {
	if m.problem.lasts() {
		w.changed = true
		logger().Info("manifest can be used again", zap.String("file", m.path))
	}
	m.problem = nil
}

// objects returns the last good objects of all files.
func (w *follower) objects() *object.Set {
	out := new(object.Set)
	for _, name := range w.order {
		if m := w.files[name]; m != nil && m.objects != nil {
			out.Add(m.objects)
		}
	}
	return out
}

// findings are the problems that last.
func (w *follower) findings() []spec.Finding {
	var out []spec.Finding
	add := func(path string, p *problem, used bool) {
		if !p.lasts() {
			return
		}
		origin, what := path, "; nothing of it was read so far"
		if p.line > 0 {
			origin += ":" + strconv.Itoa(p.line)
		}
		if used {
			what = "; what was read last stays in use"
		}
		out = append(out, spec.Finding{Object: "file " + path, Origin: origin, Reason: object.ReasonUnreadableFile, Message: p.text + what, Used: used})
	}
	for _, path := range w.paths {
		add(path, w.pathProblems[path], true)
	}
	for _, name := range w.order {
		if m := w.files[name]; m != nil {
			add(name, m.problem, m.objects != nil)
		}
	}
	return out
}
