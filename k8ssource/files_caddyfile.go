package k8ssource

import (
	"strings"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
)

// UnmarshalCaddyfile sets up the source from Caddyfile tokens. Syntax:
//
//	source files <path...> {
//		namespace      <namespace>
//		labels         <name>=<value> ...
//		workload       <name>
//		root_namespace <namespace>
//		interval       <duration>
//	}
func (f *Files) UnmarshalCaddyfile(d *caddyfile.Dispenser) error {
	d.Next() // the module's name
	f.Paths = append(f.Paths, d.RemainingArgs()...)
	if len(f.Paths) == 0 {
		return d.Err("source files needs at least one path: a file, a folder, or a pattern such as /etc/llm/*.yaml")
	}
	seen := make(map[string]bool)
	for nesting := d.Nesting(); d.NextBlock(nesting); {
		option := d.Val()
		if seen[option] {
			return d.Errf("%s is given twice; keep one of them", option)
		}
		seen[option] = true
		args := d.RemainingArgs()
		if err := f.option(d, option, args); err != nil {
			return err
		}
	}
	return nil
}

func (f *Files) option(d *caddyfile.Dispenser, option string, args []string) error {
	one := map[string]*string{"namespace": &f.Namespace, "workload": &f.Workload, "root_namespace": &f.RootNamespace}
	switch to := one[option]; {
	case to != nil && (len(args) != 1 || args[0] == ""):
		return d.Errf("%s takes one value", option)
	case to != nil:
		*to = args[0]
	case option == "labels":
		return f.labels(d, args)
	case option == "interval":
		if len(args) != 1 {
			return d.Err("interval takes one duration, such as 250ms")
		}
		interval, err := caddy.ParseDuration(args[0])
		if err != nil || interval < minInterval {
			return d.Errf("interval %q is not a duration of at least %s; write one such as 250ms", args[0], minInterval)
		}
		f.Interval = caddy.Duration(interval)
	default:
		return d.Errf("source files has no option %q; its options are namespace, labels, workload, root_namespace and interval", option)
	}
	return nil
}

// labels reads: labels a=b c=d
func (f *Files) labels(d *caddyfile.Dispenser, args []string) error {
	if len(args) == 0 {
		return d.Err("labels needs at least one label, such as app=sleep")
	}
	f.Labels = make(map[string]string, len(args))
	for _, arg := range args {
		name, value, ok := strings.Cut(arg, "=")
		if !ok || name == "" {
			return d.Errf("%q is not a label; write name=value, such as app=sleep", arg)
		}
		f.Labels[name] = value
	}
	return nil
}

// Interface guards
var _ caddyfile.Unmarshaler = (*Files)(nil)
