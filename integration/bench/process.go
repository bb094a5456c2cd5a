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
	proc := &process{name: name, ports: p, log: filepath.Join(dir, name+".log"), ended: make(chan struct{})}
	log, err := os.Create(proc.log)
	if err != nil {
		return nil, err
	}
	defer log.Close()
	proc.cmd = exec.Command(binary, "run", "--config", file)
	proc.cmd.Stdout, proc.cmd.Stderr = log, log
	proc.cmd.Env = append(os.Environ(), keyVariable+"="+providerKey, "XDG_DATA_HOME="+dir, "XDG_CONFIG_HOME="+dir)
	if err := proc.cmd.Start(); err != nil {
		return nil, fmt.Errorf("starting %s: %w", name, err)
	}
	go func() {
		_ = proc.cmd.Wait()
		close(proc.ended)
	}()
	if err := proc.listens(ctx); err != nil {
		proc.stop()
		return nil, fmt.Errorf("%s: %w; the end of its log:\n%s", name, err, proc.lastLog())
	}
	return proc, nil
}

func (p *process) listens(ctx context.Context) error {
	ctx, cancel := context.WithTimeoutCause(ctx, 30*time.Second, errors.New("it does not listen after 30 seconds"))
	defer cancel()
	for _, s := range shapes {
		for {
			c, err := new(net.Dialer).DialContext(ctx, "tcp", p.ports.address(s))
			if err == nil {
				c.Close()
				break
			}
			select {
			case <-ctx.Done():
				return context.Cause(ctx)
			case <-p.ended:
				return errors.New("it exited")
			case <-time.After(20 * time.Millisecond):
			}
		}
	}
	return nil
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
