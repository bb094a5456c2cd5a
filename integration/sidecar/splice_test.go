//go:build linux

package sidecar_test

import (
	"fmt"
	"io"
	"net"
	"os"
	"strings"
	"testing"
)

// TestPassedOnInTheKernel has 32 MiB each way on a connection that is passed on.
// They do not go through the gateway's memory: what it reads and writes itself,
// as the kernel counts it, is little.
func TestPassedOnInTheKernel(t *testing.T) {
	const size = 32 << 20
	p := newPod(t, "documented-weighted-split")
	p.start(gatewayUID, settings{})
	p.capture()
	address := net.JoinHostPort(otherIP4, "80")
	go serveEach(p.listen(address), func(c *net.TCPConn) { _, _ = io.Copy(c, c) })
	c := p.connect(address).(*net.TCPConn)
	before := p.handled()
	go func() {
		_, _ = io.WriteString(c, "PUT / HTTP/1.1\r\nHost: other.example.com\r\n\r\n")
		for chunk := strings.Repeat("x", 1<<20); ; {
			if n, err := io.WriteString(c, chunk); err != nil || n == 0 {
				return // the test has what it wants, and is over
			}
		}
	}()
	if _, err := io.CopyN(io.Discard, c, size); err != nil {
		t.Fatal(err)
	}
	if got := p.handled() - before; got > size/8 {
		t.Errorf("of more than %d bytes each way the gateway itself has read and written %d", size, got)
	}
}

// handled is how many bytes the gateway has read and written so far, those not
// counted that the kernel has moved for it.
func (p *pod) handled() (n int64) {
	p.t.Helper()
	data, err := os.ReadFile(fmt.Sprintf("/proc/%d/io", p.gateway.cmd.Process.Pid))
	if err != nil {
		p.t.Fatal(err)
	}
	for line := range strings.Lines(string(data)) {
		var bytes int64
		if name, value, _ := strings.Cut(line, ":"); name == "rchar" || name == "wchar" {
			if _, err := fmt.Sscan(value, &bytes); err != nil {
				p.t.Fatal(err)
			}
			n += bytes
		}
	}
	return n
}
