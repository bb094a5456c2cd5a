package sidecar

import (
	"errors"
	"fmt"
	"io"
	"os/exec"
	"strings"

	"github.com/spf13/cobra"

	"github.com/caddy-llm/gateway/internal/options"
	"github.com/caddy-llm/gateway/llmroute/command"
)

func init() {
	command.Add(newCaptureCommand)
}

const captureHelp = `Leads the TCP connections that this machine or pod opens to port 80 to the
gateway, which listens on port 15001 of the same pod: the step before a sidecar
starts. It needs root and the capability NET_ADMIN; the sidecar needs neither.

Connections of the gateway's own user and those inside the pod are left alone.
Rules are set with nft or iptables, whichever is there, for IPv4 and, where there
is IPv6, for it as well. Setting them again replaces them.`

const captureExample = `  caddy llm capture
  caddy llm capture --ports 80,8080 --exclude 10.0.0.0/8,169.254.169.254
  caddy llm capture --dry-run --tool iptables
  caddy llm capture --undo`

// newCaptureCommand builds `caddy llm capture`.
func newCaptureCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:          "capture [--ports <port,...>] [--exclude <range,...>] [--uid <number>] [--to <port>] [--tool <name>] [--undo] [--dry-run]",
		Short:        "Leads a pod's outbound connections to the gateway in it",
		Long:         captureHelp,
		Example:      captureExample,
		Args:         cobra.NoArgs,
		SilenceUsage: true,
	}
	flags := cmd.Flags()
	ports := flags.StringSlice("ports", []string{"80"}, "The destination ports to capture, as in 80,8000-8010")
	exclude := flags.StringSlice("exclude", nil, "Ranges of destination addresses to leave alone, as in 10.0.0.0/8,fd00::/8")
	uid := flags.Uint32("uid", DefaultUID, "The user that the gateway runs as, whose connections are left alone")
	to := flags.Uint16("to", DefaultPort, "The port that the gateway listens on")
	with := flags.String("tool", "", "The program to set the rules with: "+toolNames()+" (default the first that works)")
	undo := flags.Bool("undo", false, "Remove the rules")
	dryRun := flags.Bool("dry-run", false, "Print the commands and run none")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		c, err := newCapture(*ports, *exclude, *uid, *to)
		if err != nil {
			return err
		}
		steps := func(t tool, ipv6 bool) []step { return t.set(c, ipv6) }
		if *undo {
			steps = tool.unset
		}
		there, err := find(*with)
		if err != nil {
			return err
		}
		switch {
		case *dryRun:
			return show(cmd.OutOrStdout(), there, *undo, steps)
		case !netAdmin():
			return errNotPermitted
		case *undo:
			return undoAll(there, steps)
		}
		used, err := useFirst(cmd.ErrOrStderr(), there, steps)
		if err != nil {
			return err
		}
		_, err = fmt.Fprintf(cmd.OutOrStdout(), "connections to port %s are led to port %d, but those of user %d (%s)\n", strings.Join(*ports, ","), *to, *uid, used)
		return err
	}
	return cmd
}

var (
	errNotPermitted = errors.New("rules for connections cannot be set: run this as root with the capability NET_ADMIN. In a container: securityContext " +
		"with runAsUser: 0 and capabilities: {add: [NET_ADMIN]}. Where that is not allowed, set http_proxy=http://127.0.0.1:15001 in the application instead")
	errNoTool = errors.New("there is no nft and no iptables here; install one of the packages nftables and iptables in the image")
)

func toolNames() string {
	names := make([]string, len(tools))
	for i, t := range tools {
		names[i] = t.name()
	}
	return strings.Join(names, ", ")
}

// find returns the tools that are there, or the one that is asked for.
func find(name string) ([]tool, error) {
	var there []tool
	for _, t := range tools {
		_, err := exec.LookPath(t.name())
		switch {
		case name == t.name() && err != nil:
			return nil, fmt.Errorf("--tool: there is no %s here; install its package, or leave --tool out", name)
		case name == t.name():
			return []tool{t}, nil
		case err == nil:
			there = append(there, t)
		}
	}
	switch {
	case name != "":
		return nil, fmt.Errorf("--tool: %s is none of %s", options.Quoted(name), toolNames())
	case len(there) == 0:
		return nil, errNoTool
	}
	return there, nil
}

// show prints what would be run: of several tools the first, or all to undo.
func show(out io.Writer, there []tool, undo bool, steps func(tool, bool) []step) error {
	if !undo {
		there = there[:1]
	}
	for _, t := range there {
		for _, ipv6 := range families() {
			for _, s := range steps(t, ipv6) {
				if _, err := fmt.Fprintln(out, s); err != nil {
					return err
				}
			}
		}
	}
	return nil
}

// families are IPv4 and, if the kernel has it, IPv6.
func families() []bool {
	if loaded, _ := ipv6State(); loaded {
		return []bool{false, true}
	}
	return []bool{false}
}

// useFirst sets the rules with the first tool that can, and returns its name.
func useFirst(notes io.Writer, there []tool, steps func(tool, bool) []step) (string, error) {
	var failed []error
	for _, t := range there {
		err := use(notes, t, steps)
		if err == nil {
			return t.name(), nil
		}
		failed = append(failed, err)
		for _, ipv6 := range families() { // a half is worse than nothing
			_ = run(t.unset(ipv6))
		}
	}
	return "", errors.Join(failed...)
}

func use(notes io.Writer, t tool, steps func(tool, bool) []step) error {
	for _, ipv6 := range families() {
		err := run(steps(t, ipv6))
		if err == nil {
			continue
		}
		if _, inUse := ipv6State(); !ipv6 || inUse {
			return err
		}
		fmt.Fprintf(notes, "no rules for IPv6, which this machine has no address of: %v\n", err)
	}
	return nil
}

// undoAll removes the rules of every tool. It fails only if none of them works:
// a tool that cannot be used has set nothing.
func undoAll(there []tool, steps func(tool, bool) []step) error {
	var failed []error
	for _, t := range there {
		for _, ipv6 := range families() {
			if err := run(steps(t, ipv6)); err != nil {
				failed = append(failed, err)
				break
			}
		}
	}
	if len(failed) < len(there) {
		return nil
	}
	return errors.Join(failed...)
}
