package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"time"
)

// ports are the TCP ports of one process on the loopback.
type ports struct {
	of        map[*shape]int
	adminPort int
}

func (p ports) address(s *shape) string { return "127.0.0.1:" + strconv.Itoa(p.of[s]) }
func (p ports) admin() string           { return "127.0.0.1:" + strconv.Itoa(p.adminPort) }

// freePorts finds ports that nobody listens on, for n processes. All are held
// until all are found, so that none comes twice.
func freePorts(n int) ([]ports, error) {
	var held []net.Listener
	defer func() {
		for _, l := range held {
			l.Close()
		}
	}()
	next := func() (int, error) {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			return 0, fmt.Errorf("finding a free port: %w", err)
		}
		held = append(held, l)
		return l.Addr().(*net.TCPAddr).Port, nil
	}
	found := make([]ports, n)
	for i := range found {
		found[i].of = make(map[*shape]int)
		var err error
		if found[i].adminPort, err = next(); err != nil {
			return nil, err
		}
		for _, s := range shapes {
			if found[i].of[s], err = next(); err != nil {
				return nil, err
			}
		}
	}
	return found, nil
}

// process is a running Caddy.
type process struct {
	name  string
	ports ports
	cmd   *exec.Cmd
	log   string
	ended chan struct{} // closed when the process has exited
}

// startProcess starts Caddy with the configuration and waits until it listens
// on all ports.
func startProcess(ctx context.Context, name, binary, dir string, p ports, config object) (*process, error) {
	data, err := json.MarshalIndent(config, "", "\t")
	if err != nil {
		return nil, err
	}
	file := filepath.Join(dir, name+".json")
	if err := os.WriteFile(file, data, 0o600); err != nil {
		return nil, err
	}
	cmd := exec.Command(binary, "run", "--config", file)
	cmd.Env = append(os.Environ(), keyVariable+"="+providerKey, "XDG_DATA_HOME="+dir, "XDG_CONFIG_HOME="+dir, "OTEL_TRACES_EXPORTER=none")
	proc, err := launch(name, dir, cmd)
	if err != nil {
		return nil, err
	}
	proc.ports = p
	if err := proc.listens(ctx); err != nil {
		return nil, proc.failed(err)
	}
	return proc, nil
}

// launch starts a command with its output in a log.
func launch(name, dir string, cmd *exec.Cmd) (*process, error) {
	proc := &process{name: name, cmd: cmd, log: filepath.Join(dir, name+".log"), ended: make(chan struct{})}
	log, err := os.Create(proc.log)
	if err != nil {
		return nil, err
	}
	defer log.Close()
	cmd.Stderr = log // access logs go to standard output, and nowhere
	if err := cmd.Start(); err != nil {
		return nil, fmt.Errorf("starting %s: %w", name, err)
	}
	go func() {
		_ = cmd.Wait()
		close(proc.ended)
	}()
	return proc, nil
}

// failed ends a process that did not start well, and adds what it said to the
// error.
func (p *process) failed(err error) error {
	p.stop()
	return fmt.Errorf("%s: %w; the end of its log:\n%s", p.name, err, p.lastLog())
}

// until asks, for at most 30 seconds, until the response is yes.
func (p *process) until(ctx context.Context, what string, pause time.Duration, ready func() bool) error {
	ctx, cancel := context.WithTimeoutCause(ctx, 30*time.Second, fmt.Errorf("after 30 seconds %s", what))
	defer cancel()
	for !ready() {
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-p.ended:
			return errors.New("it exited")
		case <-time.After(pause):
		}
	}
	return nil
}

func (p *process) listens(ctx context.Context) error {
	for _, s := range shapes {
		if err := p.until(ctx, "it does not listen", 20*time.Millisecond, func() bool { return answersAt(ctx, p.ports.address(s)) }); err != nil {
			return err
		}
	}
	return nil
}

// answersAt reports whether somebody listens at an address.
func answersAt(ctx context.Context, address string) bool {
	c, err := new(net.Dialer).DialContext(ctx, "tcp", address)
	if err == nil {
		c.Close()
	}
	return err == nil
}

// stop ends the process, by force if it does not end by itself.
func (p *process) stop() {
	if p.cmd.Process.Signal(os.Interrupt) != nil {
		_ = p.cmd.Process.Kill()
	}
	select {
	case <-p.ended:
	case <-time.After(5 * time.Second):
		_ = p.cmd.Process.Kill()
		<-p.ended
	}
}

// lastLog is the end of what the process wrote.
func (p *process) lastLog() []byte {
	data, _ := os.ReadFile(p.log)
	return data[max(0, len(data)-2000):]
}
