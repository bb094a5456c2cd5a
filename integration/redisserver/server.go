// Package redisserver runs Redis servers for tests, or Valkey's: the program that
// REDIS_SERVER names, redis-server by default.
package redisserver

import (
	"cmp"
	"net"
	"os"
	"os/exec"
	"testing"
	"time"
)

var program = cmp.Or(os.Getenv("REDIS_SERVER"), "redis-server")

// Server is a server of the test's own, at a free port. It keeps that port and its data, as far as it stores
// any, when it is started again.
type Server struct {
	Address string
	t       testing.TB
	args    []string
	cmd     *exec.Cmd
}

// New starts a server that stores nothing, unless an argument says so, until the test ends. Without the program the
// test is skipped, or fails in CI.
func New(t testing.TB, args ...string) *Server {
	t.Helper()
	return start(t, func(host, port string) []string {
		return append([]string{"--port", port, "--bind", host, "--dir", t.TempDir(), "--save", "", "--appendonly", "no"}, args...)
	})
}

// start starts a server with the arguments for an address.
func start(t testing.TB, args func(host, port string) []string) *Server {
	t.Helper()
	if _, err := exec.LookPath(program); err != nil {
		missing := program + " not found; install Debian's package " + program
		if os.Getenv("CI") != "" {
			t.Fatal(missing)
		}
		t.Skip(missing)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	host, port, err := net.SplitHostPort(l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	s := &Server{Address: l.Addr().String(), t: t, args: args(host, port)}
	l.Close()
	s.Start()
	t.Cleanup(s.Kill)
	return s
}

// URL is that of the server's first database.
func (s *Server) URL() string { return "redis://" + s.Address + "/0" }

// Start starts the server, for the first time or after Kill.
func (s *Server) Start() {
	s.t.Helper()
	s.cmd = exec.Command(program, s.args...)
	if err := s.cmd.Start(); err != nil {
		s.t.Fatal(err)
	}
	for range 250 {
		if c, err := net.Dial("tcp", s.Address); err == nil {
			c.Close()
			return
		}
		time.Sleep(20 * time.Millisecond)
	}
	s.t.Fatal(program + " does not listen")
}

// Kill ends the server at once. It may have ended before.
func (s *Server) Kill() {
	_ = s.cmd.Process.Kill()
	_ = s.cmd.Wait()
}

// Signal sends the server a signal.
func (s *Server) Signal(sig os.Signal) {
	s.t.Helper()
	if err := s.cmd.Process.Signal(sig); err != nil {
		s.t.Error(err)
	}
}
