// Package pools_test runs pools of own models against real processes, which are killed.
package pools_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/caddy-llm/gateway/integration/gateway"
)

const servers = 6

// server is a process that stands in for one of a pool's servers.
func server(t *testing.T, port int) *gateway.Gateway {
	t.Helper()
	return gateway.Start(t, gateway.Render(t, `http://:{{.}} {
	llm_mock {
		latency 20ms
		chunks 20
		chunk_interval 10ms
		concurrency 16
	}
}`, port))
}

func startPool(t *testing.T, ports []int) (url, status string) {
	t.Helper()
	var urls strings.Builder
	for _, port := range ports {
		fmt.Fprintf(&urls, " http://127.0.0.1:%d", port)
	}
	public, statusPort := gateway.FreePort(t), gateway.FreePort(t)
	gateway.Start(t, gateway.Render(t, `{
	llm {
		status_listen 127.0.0.1:{{.Status}}
		provider own{{.URLs}}
	}
}
http://:{{.Public}} {
	llm_route {
		rule all {
			to own
		}
	}
}`, map[string]any{"Status": statusPort, "Public": public, "URLs": urls.String()}))
	return fmt.Sprintf("http://127.0.0.1:%d/v1/chat/completions", public), fmt.Sprintf("http://127.0.0.1:%d", statusPort)
}

var errWithoutContent = errors.New("failed before there was any content")

// ask makes one request. An error that is not errWithoutContent came in the middle of a
// response that had begun.
func ask(client *http.Client, url string, i int, stream bool) error {
	return askHost(client, url, "", i, stream)
}

// askHost is ask for a host.
func askHost(client *http.Client, url, host string, i int, stream bool) error {
	body := fmt.Sprintf(`{"stream":%v,"messages":[{"role":"user","content":"conversation %d"}]}`, stream, i)
	r, err := http.NewRequestWithContext(context.Background(), http.MethodPost, url, strings.NewReader(body))
	if err != nil {
		return err
	}
	r.Header.Set("Content-Type", "application/json")
	r.Host = host
	res, err := client.Do(r)
	if err != nil {
		return fmt.Errorf("%w: %w", errWithoutContent, err)
	}
	defer res.Body.Close()
	if res.StatusCode != http.StatusOK {
		text, _ := io.ReadAll(res.Body)
		return fmt.Errorf("%w: %d %s", errWithoutContent, res.StatusCode, text)
	}
	if !stream {
		if _, err = io.ReadAll(res.Body); err != nil {
			return fmt.Errorf("%w: %w", errWithoutContent, err)
		}
		return nil
	}
	content, done := false, false
	lines := bufio.NewScanner(res.Body)
	for lines.Scan() {
		content = content || strings.Contains(lines.Text(), `"content":"`)
		done = done || strings.Contains(lines.Text(), "[DONE]")
	}
	switch {
	case done:
		return nil
	case !content:
		return fmt.Errorf("%w: %w", errWithoutContent, errors.Join(errors.New("no end"), lines.Err()))
	}
	return errors.Join(errors.New("broke off"), lines.Err())
}

// TestServersKilledUnderLoad kills servers at random. No request may fail but those
// whose response had begun at a server that was killed.
func TestServersKilledUnderLoad(t *testing.T) {
	ports := gateway.FreePorts(t, servers)
	processes := make([]*gateway.Gateway, servers)
	for i, port := range ports {
		processes[i] = server(t, port)
	}
	url, status := startPool(t, ports)
	client := &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 64}, Timeout: 30 * time.Second}
	defer client.CloseIdleConnections()

	var wait sync.WaitGroup
	var requests, brokeOff atomic.Int64
	done := make(chan struct{})
	for worker := range 24 {
		wait.Go(func() {
			for i := 0; ; i++ {
				select {
				case <-done:
					return
				default:
				}
				requests.Add(1)
				switch err := ask(client, url, worker*1000+i%50, i%2 == 0); {
				case err == nil:
				case errors.Is(err, errWithoutContent):
					t.Errorf("request %d of client %d: %v", i, worker, err)
				default:
					brokeOff.Add(1)
				}
			}
		})
	}
	kills := 8
	if testing.Short() {
		kills = 3
	}
	for range kills {
		time.Sleep(400 * time.Millisecond)
		i := rand.IntN(servers)
		processes[i].Kill()
		time.Sleep(300 * time.Millisecond)
		processes[i] = server(t, ports[i])
	}
	close(done)
	wait.Wait()
	t.Logf("%d requests, %d streams broke off in the middle, %d servers were killed", requests.Load(), brokeOff.Load(), kills)
	if most := int64(kills * 24); brokeOff.Load() > most {
		t.Errorf("%d streams broke off, which cannot all have been at a server that was killed", brokeOff.Load())
	}
	res, err := http.Get(status + "/metrics")
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	text, _ := io.ReadAll(res.Body)
	for _, want := range []string{`llm_pool_endpoints{provider="own"} 6`, `llm_pool_scrapes_total{provider="own",result="read"}`, `llm_pool_endpoint_running{endpoint=`} {
		if !strings.Contains(string(text), want) {
			t.Errorf("the metrics have no %s", want)
		}
	}
}
