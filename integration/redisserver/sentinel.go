package redisserver

import (
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// NewSentinels starts that many Sentinels of a primary, which they know by that name, until the test ends. Most of
// them must agree that the primary is down, which takes half a second. The lines are added to the configuration of each.
func NewSentinels(t testing.TB, n int, name string, primary *Server, lines ...string) []*Server {
	t.Helper()
	host, port, err := net.SplitHostPort(primary.Address)
	if err != nil {
		t.Fatal(err)
	}
	var sentinels []*Server
	for i := range n {
		file := filepath.Join(t.TempDir(), "sentinel.conf") // which the Sentinel writes to
		config := append([]string{
			fmt.Sprintf("sentinel monitor %s %s %s %d", name, host, port, n/2+1),
			"sentinel down-after-milliseconds " + name + " 500",
			"sentinel failover-timeout " + name + " 5000",
		}, lines...)
		if err := os.WriteFile(file, []byte(strings.Join(config, "\n")+"\n"), 0o600); err != nil {
			t.Fatalf("sentinel %d: %v", i, err)
		}
		sentinels = append(sentinels, start(t, func(host, port string) []string { return []string{file, "--sentinel", "--port", port, "--bind", host} }))
	}
	return sentinels
}
