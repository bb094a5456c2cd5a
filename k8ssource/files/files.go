package files

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/caddyserver/caddy/v2"
	"go.uber.org/zap"

	"github.com/caddy-llm/gateway/internal/placeholder"
	"github.com/caddy-llm/gateway/k8ssource"
	"github.com/caddy-llm/gateway/k8ssource/source"
	"github.com/caddy-llm/gateway/llmroute/spec"
)

func init() {
	caddy.RegisterModule(new(Source))
}

const (
	defaultInterval = 250 * time.Millisecond
	minInterval     = 10 * time.Millisecond
)

// Source reads providers and routes from YAML files with LLMProvider and
// LLMRoute objects, and follows the files as they change. Service, Secret and
// Istio Gateway objects in them are honored; objects of other kinds are ignored.
//
// A change takes effect about one interval after a file was renamed into place, and two
// after one was written to. While a file cannot be read or is not YAML, its last valid
// content stays in use. An object that is wrong is left out, and reported with its file
// and line; requests for its host get a 503.
type Source struct {
	// The files. Of a folder, the files directly in it whose names end in
	// `.yaml`, `.yml` or `.json` are read, and those that are added later; a
	// pattern such as `/etc/llm/*.yaml` stands for the files that match it. An
	// object of the same kind and name as an earlier one takes its place.
	// Required.
	Paths []string `json:"paths,omitempty"`

	// Which workload the gateway acts for. Without a namespace and labels, every
	// object applies, whatever workloads it selects. The default namespace with
	// labels is `default`.
	source.Settings

	// How often to look for changes. Default: `250ms`.
	Interval caddy.Duration `json:"interval,omitempty"`
}

// CaddyModule returns the Caddy module information.
func (*Source) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{
		ID:  "llm.sources.files",
		New: func() caddy.Module { return new(Source) },
	}
}

// Provision fills in the defaults. It reads no file.
func (f *Source) Provision(caddy.Context) error {
	f.Defaults()
	if f.Interval == 0 {
		f.Interval = caddy.Duration(defaultInterval)
	}
	return nil
}

// Validate checks the settings.
func (f *Source) Validate() error {
	if err := placeholder.RefuseIn(f); err != nil {
		return err
	}
	if len(f.Paths) == 0 {
		return errors.New("no paths; write a file, a folder, or a pattern such as /etc/llm/*.yaml")
	}
	for _, path := range f.Paths {
		if path == "" {
			return errors.New("a path is empty; write a file, a folder, or a pattern such as /etc/llm/*.yaml")
		}
	}
	if time.Duration(f.Interval) < minInterval {
		return fmt.Errorf("interval %s is too short; write at least %s", time.Duration(f.Interval), minInterval)
	}
	return f.Settings.Validate()
}

// Start implements spec.Source. The error is a path where there is nothing,
// or a file that is not YAML.
func (f *Source) Start(ctx context.Context, report func(*spec.State)) error {
	w := newFollower(f.Namespace, f.Paths, time.Duration(f.Interval))
	if err := w.load(); err != nil {
		return err
	}
	settings := *f
	if err := settings.ReadLabels(); err != nil {
		return fmt.Errorf("labels_file: %w; mount the pod's labels there with a downwardAPI volume, or write the option labels", err)
	}
	if !settings.Known() {
		logger().Warn("workload namespace and labels unknown, so every object applies; set the source's options namespace and labels", zap.Strings("paths", f.Paths))
	}
	p := &publisher{settings: &settings, report: report}
	if err := p.publish(w); err != nil {
		return err
	}
	go func() {
		ticker := time.NewTicker(time.Duration(f.Interval))
		defer ticker.Stop()
		for {
			select {
			case <-ctx.Done():
				return
			case <-ticker.C:
				if !w.poll(time.Now()) {
					continue
				}
				if err := p.publish(w); err != nil {
					logger().Error(k8ssource.NotTranslated, zap.Error(err))
				}
			}
		}
	}()
	return nil
}

// logger is the process's logger as it is now: the source outlives the
// configuration it came with, and the logs of that.
func logger() *zap.Logger { return caddy.Log().Named("llm.sources.files") }

// publisher turns what a follower has read into states.
type publisher struct {
	translator k8ssource.Translator
	settings   *Source
	report     func(*spec.State)
	findings   source.FindingLog
}

// publish reports the state that follows from the files as they are. The error is
// that of [Translator.Try].
func (p *publisher) publish(w *follower) error {
	state, err := p.translator.Try(w.objects(), p.settings.Identity(), p.settings.Options())
	if err != nil {
		return err
	}
	p.findings.Log(logger(), state.Findings)
	state.Findings = append(w.findings(), state.Findings...) // which are logged already
	p.report(state)
	return nil
}

// Interface guards
var (
	_ spec.Source       = (*Source)(nil)
	_ caddy.Provisioner = (*Source)(nil)
	_ caddy.Validator   = (*Source)(nil)
)
