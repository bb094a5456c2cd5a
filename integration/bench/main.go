// Command bench measures what llm_route costs beside Caddy's own
// reverse_proxy. It starts three Caddy processes on the loopback: a provider
// (llm_mock behind TLS), reverse_proxy in front of it, and llm_route in front
// of it, with rules, a key, a model, usage and metrics on. It puts the same
// load on the last two by turns, checks every byte of every response, and prints
// the ratios as a Markdown table.
//
//	go run ./integration/bench          about 8 minutes
//	go run ./integration/bench -quick   about 1 minute: does it work at all
//
// Or it measures, in the same manner, what observing costs (-observe), what
// translating between APIs costs (-translate), what a sidecar costs the calls of
// an application (-sidecar), and what a sidecar takes at rest and to start
// (-footprint).
//
// The exit code is 1 if a request failed or a response was not the expected one.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"regexp"
	"syscall"
	"time"
)

// options are the command line.
type options struct {
	binary    string
	cases     string
	pattern   *regexp.Regexp // of cases
	jsonFile  string
	profile   string
	rounds    int
	duration  time.Duration
	quick     bool
	memory    bool
	observe   bool
	footprint bool
	sidecar   bool
	translate bool
	http1     bool
	plain     bool
	list      bool
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	if spec := os.Getenv(appVariable); spec != "" {
		end(stop, runApplication(ctx, spec, os.Stdout))
	}
	var o options
	flag.StringVar(&o.binary, "binary", "", "the Caddy binary to measure (default: build ./cmd/caddy)")
	flag.StringVar(&o.cases, "cases", "", "measure the cases whose name matches this regular expression (default: all)")
	flag.IntVar(&o.rounds, "rounds", 0, "how often each case is measured on each side (default 5, with -quick 2)")
	flag.DurationVar(&o.duration, "duration", 0, "how long each measurement takes (default 2.5s, with -quick 300ms)")
	flag.BoolVar(&o.quick, "quick", false, "few and short rounds: shows that everything works, not how fast it is")
	flag.BoolVar(&o.memory, "memory", false, "measure the memory of 1,000 open streams instead")
	flag.BoolVar(&o.observe, "observe", false, "measure what it costs to switch on the access log and traces instead")
	flag.BoolVar(&o.sidecar, "sidecar", false, "measure what a sidecar costs the calls of an application instead, in network namespaces; as root, on Linux")
	flag.BoolVar(&o.footprint, "footprint", false, "measure the size, memory and start-up time of a sidecar instead")
	flag.BoolVar(&o.translate, "translate", false, "measure what it costs to translate between APIs instead")
	flag.BoolVar(&o.http1, "http1", false, "let the provider speak HTTP/1.1 only (default: HTTP/2, as most providers do)")
	flag.BoolVar(&o.plain, "plain", false, "let the provider speak HTTP/1.1 without TLS, as own models in a cluster do")
	flag.BoolVar(&o.list, "list", false, "print the names of the cases")
	flag.StringVar(&o.jsonFile, "json", "", "write all measurements to this file as JSON, - for standard output instead of the table")
	flag.StringVar(&o.profile, "profile", "", "write CPU and allocation profiles of each case to this folder, after the rounds")
	flag.Parse()
	end(stop, run(ctx, &o, os.Stdout))
}

// end ends the process.
func end(stop context.CancelFunc, err error) {
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
	os.Exit(0)
}

func run(ctx context.Context, o *options, w io.Writer) error {
	if flag.NArg() > 0 {
		return fmt.Errorf("unexpected argument %q; see -help", flag.Arg(0))
	}
	if o.plain && (o.http1 || o.sidecar || o.footprint || o.translate) {
		return errors.New("-plain does not go together with -http1, -sidecar, -footprint and -translate")
	}
	var err error
	if o.pattern, err = regexp.Compile(o.cases); err != nil {
		return fmt.Errorf("-cases: %w", err)
	}
	chosen := choose(allCases(), o.pattern)
	if len(chosen) == 0 && !o.sidecar && !o.translate {
		return fmt.Errorf("-cases %q matches no case; -list prints their names", o.cases)
	}
	if o.list {
		for _, c := range chosen {
			fmt.Fprintln(w, c.name())
		}
		return nil
	}
	o.setDefaults()
	// A gateway that hangs must not hang the benchmark.
	ctx, cancel := context.WithTimeoutCause(ctx, o.limit(max(len(chosen), len(podCases()))), errors.New("the benchmark took three times as long as it should; is the machine busy?"))
	defer cancel()

	dir, err := os.MkdirTemp("", "llm-bench-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	if o.footprint {
		builds, err := builds(ctx, o.binary, dir)
		if err != nil {
			return err
		}
		return measureFootprint(ctx, builds, dir, o, w)
	}
	if o.binary, err = binary(ctx, o.binary, dir); err != nil {
		return err
	}
	if o.sidecar {
		return measureSidecar(ctx, o, dir, w)
	}
	site, err := startSite(ctx, o.binary, dir, o.wire())
	if err != nil {
		return err
	}
	defer site.stop()

	if o.memory {
		return measureMemory(ctx, site, dir, o, w)
	}
	if o.translate {
		return measureLanes(ctx, site, dir, o, w)
	}
	if o.observe {
		return measureObserving(ctx, site, chosen, dir, o, w)
	}
	report, err := measureAll(ctx, site, chosen, o)
	if cause := context.Cause(ctx); err != nil && cause != nil {
		err = fmt.Errorf("%w: %w", cause, err)
	}
	if err != nil {
		return err
	}
	if err := write(report, o.jsonFile, w); err != nil {
		return err
	}
	if o.profile != "" {
		return profileAll(ctx, site, chosen, o)
	}
	return nil
}

func (o *options) wire() wire {
	switch {
	case o.plain:
		return http1
	case o.http1:
		return http1TLS
	}
	return http2TLS
}

func (o *options) setDefaults() {
	rounds, duration := 5, 2500*time.Millisecond
	if o.quick {
		rounds, duration = 2, 300*time.Millisecond
	}
	if o.rounds <= 0 {
		o.rounds = rounds
	}
	if o.duration <= 0 {
		o.duration = duration
	}
}

// warmUp is how long a case runs before each measurement.
func (o *options) warmUp() time.Duration { return min(o.duration/5, 400*time.Millisecond) }

// limit is three times what the measurements should take, and five minutes for
// building.
func (o *options) limit(cases int) time.Duration {
	cell := o.duration + o.warmUp() + time.Second
	return 5*time.Minute + 3*time.Duration(2*cases*o.rounds)*cell
}

// binary returns the path of the Caddy to measure, which it builds unless one
// was named.
func binary(ctx context.Context, named, dir string) (string, error) {
	if named != "" {
		return exec.LookPath(named)
	}
	progress("building cmd/caddy")
	out := filepath.Join(dir, "caddy.exe") // the ending does no harm elsewhere
	build := exec.CommandContext(ctx, "go", "build", "-o", out, "github.com/caddy-llm/gateway/cmd/caddy")
	build.Stdout, build.Stderr = os.Stderr, os.Stderr
	if err := build.Run(); err != nil {
		return "", fmt.Errorf("building cmd/caddy: %w; run the benchmark inside the repository, or name a binary with -binary", err)
	}
	return out, nil
}

// build is a Caddy with the gateway's modules.
type build struct{ name, path string }

// builds are the programs that a sidecar can be, as an image has them, or the
// one that was named.
func builds(ctx context.Context, named, dir string) ([]build, error) {
	if named != "" {
		path, err := exec.LookPath(named)
		return []build{{filepath.Base(named), path}}, err
	}
	var out []build
	for _, pkg := range []string{"cmd/caddy", "cmd/caddy/sidecar"} {
		progress("building %s", pkg)
		b := build{"`" + pkg + "`", filepath.Join(dir, filepath.Base(pkg)+".exe")}
		cmd := exec.CommandContext(ctx, "go", "build", "-trimpath", "-ldflags=-s -w", "-o", b.path, "github.com/caddy-llm/gateway/"+pkg)
		cmd.Stdout, cmd.Stderr = os.Stderr, os.Stderr
		cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
		if err := cmd.Run(); err != nil {
			return nil, fmt.Errorf("building %s: %w; run the benchmark inside the repository, or name a binary with -binary", pkg, err)
		}
		out = append(out, b)
	}
	return out, nil
}

// write prints the report, or writes it as JSON.
func write(r *report, jsonFile string, w io.Writer) error {
	if jsonFile == "-" {
		return r.writeJSON(w)
	}
	if err := r.writeMarkdown(w); err != nil || jsonFile == "" {
		return err
	}
	return writeFile(jsonFile, r.writeJSON)
}

func writeFile(name string, write func(io.Writer) error) error {
	f, err := os.Create(name)
	if err != nil {
		return err
	}
	if err := write(f); err != nil {
		f.Close()
		return err
	}
	return f.Close()
}

func progress(format string, args ...any) {
	fmt.Fprintf(os.Stderr, format+"\n", args...)
}
