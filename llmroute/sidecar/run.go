package sidecar

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"time"
)

// stepTimeout is more than any tool takes, unless others hold its lock.
const stepTimeout = 30 * time.Second

// run runs the steps up to the first that fails.
func run(steps []step) error {
	for _, s := range steps {
		if len(s.guard) > 0 {
			if err := execute(s.guard, ""); (err == nil) != s.ifTrue {
				continue
			}
		}
		if err := execute(s.command, s.stdin); err != nil {
			return err
		}
	}
	return nil
}

func execute(command []string, stdin string) error {
	ctx, cancel := context.WithTimeout(context.Background(), stepTimeout)
	defer cancel()
	cmd := exec.CommandContext(ctx, command[0], command[1:]...)
	var stderr bytes.Buffer
	cmd.Stdin, cmd.Stderr = strings.NewReader(stdin), &stderr
	cmd.WaitDelay = time.Second
	if err := cmd.Run(); err != nil {
		return fmt.Errorf("%s: %w: %s", strings.Join(command, " "), err, strings.TrimSpace(stderr.String()))
	}
	return nil
}

// netAdmin reports whether the process has the capability NET_ADMIN, as far as
// the system says so.
func netAdmin() bool {
	const capNetAdmin = 12
	status, err := os.ReadFile("/proc/self/status")
	if err != nil {
		return true // the tools will tell
	}
	for line := range strings.Lines(string(status)) {
		if text, ok := strings.CutPrefix(line, "CapEff:"); ok {
			mask, err := strconv.ParseUint(strings.TrimSpace(text), 16, 64)
			return err != nil || mask&(1<<capNetAdmin) != 0
		}
	}
	return true
}

// ipv6State reports whether the kernel has IPv6, and whether there is an address
// of it that others can be reached from.
func ipv6State() (loaded, inUse bool) {
	data, err := os.ReadFile("/proc/net/if_inet6")
	if err != nil {
		return false, false
	}
	return true, hasIPv6Address(string(data))
}

// hasIPv6Address looks for an address in /proc/net/if_inet6 that is neither of
// the loopback interface nor of one link only.
func hasIPv6Address(list string) bool {
	const linkLocal, host = "20", "10"
	for line := range strings.Lines(list) {
		// address, number, length of the prefix, scope, flags, name
		if fields := strings.Fields(line); len(fields) == 6 && fields[3] != linkLocal && fields[3] != host {
			return true
		}
	}
	return false
}
