package pools_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	crand "crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"math/big"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"

	"github.com/caddy-llm/gateway/integration/fakepicker"
	"github.com/caddy-llm/gateway/integration/gateway"
)

// manifests are a pool with a picker, a provider in the cloud, and a route that takes the
// pool first.
func manifests(picker, mode string, servers []int, cloud int) string {
	host, port, _ := net.SplitHostPort(picker)
	var b strings.Builder
	fmt.Fprintf(&b, `apiVersion: v1
kind: Service
metadata: {name: picker}
spec: {clusterIP: %s, ports: [{port: %s}]}
---
apiVersion: inference.networking.k8s.io/v1
kind: InferencePool
metadata: {name: own}
spec:
  selector: {matchLabels: {app: own}}
  targetPorts: [`, host, port)
	for _, server := range servers {
		fmt.Fprintf(&b, "{number: %d}, ", server)
	}
	fmt.Fprintf(&b, `]
  endpointPickerRef: {name: picker, port: {number: %s}, failureMode: %s}
---
apiVersion: v1
kind: Pod
metadata: {name: a, labels: {app: own}}
status: {podIP: 127.0.0.1, conditions: [{type: Ready, status: "True"}]}
---
apiVersion: istio.alibabacloud.com/v1beta1
kind: LLMProvider
metadata: {name: cloud}
spec: {host: 127.0.0.1, port: %d, scheme: http, configs: {defaultConfig: {openAIConfig: {model: m}}}}
---
apiVersion: istio.alibabacloud.com/v1beta1
kind: LLMRoute
metadata: {name: r}
spec:
  host: "models"
  rules:
  - attempts: 2
    backendRefs:
    - backendRef: {group: inference.networking.k8s.io, kind: InferencePool, name: own}
    - providerHost: 127.0.0.1
      priority: 1
`, port, mode, cloud)
	return b.String()
}

// startPicked starts a gateway with these manifests. options is the block of endpoint_picker.
func startPicked(t *testing.T, text, options string) (g *gateway.Gateway, url string) {
	t.Helper()
	public := gateway.FreePort(t)
	g = gateway.Start(t, gateway.Render(t, `{
	llm {
		status_listen off
		source files manifests.yaml {
			endpoint_picker {
				{{.Options}}
			}
		}
	}
}
http://:{{.Port}} {
	llm_route {
		table mesh
	}
}`, map[string]any{"Port": public, "Options": options}), gateway.File("manifests.yaml", text))
	return g, fmt.Sprintf("http://127.0.0.1:%d/v1/chat/completions", public)
}

// TestPoolFirstCloudAfter has one rule take a pool with a picker first and the cloud after it,
// kills servers and pickers at random, has pickers misbehave, and loses no request: each is
// answered by the one or the other, unless its stream had begun at a server that was killed.
func TestPoolFirstCloudAfter(t *testing.T) {
	for _, mode := range []string{"FailOpen", "FailClose"} {
		t.Run(mode, func(t *testing.T) {
			const n = 3
			ports := gateway.FreePorts(t, n+2)
			processes := make([]*gateway.Gateway, n)
			for i := range processes {
				processes[i] = server(t, ports[i])
			}
			server(t, ports[n])
			address := fmt.Sprintf("127.0.0.1:%d", ports[n+1])
			picker := fakepicker.New(t, address)
			all := make([]string, n)
			for i := range all {
				all[i] = fmt.Sprintf("127.0.0.1:%d", ports[i])
			}
			well := fakepicker.Behaviour{Endpoints: strings.Join(all, ","), Echo: true}
			behaviours := []fakepicker.Behaviour{
				well, {Status: 503, Body: "no endpoint"}, {Status: 429}, {End: true}, {FailAfter: 1}, {Endpoints: "10.255.0.1:80"}, {Hang: true},
				{Endpoints: all[0], EndAfter: true}, {Endpoints: all[1], Early: true}, {Endpoints: all[2], Evict: 50 * time.Millisecond}, {},
			}
			picker.Is(well)
			_, url := startPicked(t, manifests(address, mode, ports[:n], ports[n]), "plaintext\n\t\t\t\ttimeout 300ms")
			client := &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 64, DialContext: new(net.Dialer).DialContext}, Timeout: 30 * time.Second}
			defer client.CloseIdleConnections()
			named := func(i int, stream bool) error { return askHost(client, url, "models", i, stream) }

			var wait sync.WaitGroup
			var requests, brokeOff atomic.Int64
			done := make(chan struct{})
			for worker := range 12 {
				wait.Go(func() {
					for i := 0; ; i++ {
						select {
						case <-done:
							return
						default:
						}
						requests.Add(1)
						switch err := named(worker*1000+i%50, i%2 == 0); {
						case err == nil:
						case errors.Is(err, errWithoutContent):
							t.Errorf("request %d of client %d: %v", i, worker, err)
						default:
							brokeOff.Add(1)
						}
					}
				})
			}
			rounds := 6
			if testing.Short() {
				rounds = 3
			}
			evicting := int64(0)
			for round := range rounds {
				is := behaviours[rand.IntN(len(behaviours))]
				if is.Evict > 0 {
					evicting++
				}
				picker.Is(is)
				i := rand.IntN(n)
				processes[i].Kill()
				if round%3 == 2 {
					picker.Stop()
				}
				time.Sleep(300 * time.Millisecond)
				processes[i] = server(t, ports[i])
				if round%3 == 2 {
					picker = fakepicker.New(t, address)
					picker.Is(well)
				}
				time.Sleep(200 * time.Millisecond)
			}
			close(done)
			wait.Wait()
			t.Logf("%d requests, %d streams broke off in the middle, %d servers were killed, the picker evicted in %d rounds, it was asked %d times", requests.Load(), brokeOff.Load(), rounds, evicting, picker.Count())
			if most := int64(rounds*12) + evicting*500; brokeOff.Load() > most {
				t.Errorf("%d streams broke off, which cannot all have been at a server that was killed", brokeOff.Load())
			}
		})
	}
}

// TestPickerTLS holds that pickers are connected to with TLS, whatever their certificate, and
// only with one that the trust pool knows if there is one.
func TestPickerTLS(t *testing.T) {
	ports := gateway.FreePorts(t, 2)
	server(t, ports[0])
	key, err := ecdsa.GenerateKey(elliptic.P256(), crand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), DNSNames: []string{"picker.default.svc"}, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour), IsCA: true, BasicConstraintsValid: true}
	der, err := x509.CreateCertificate(crand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "ca.pem")
	if err := os.WriteFile(file, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), 0o600); err != nil {
		t.Fatal(err)
	}
	picker := fakepicker.New(t, "", grpc.Creds(credentials.NewTLS(&tls.Config{Certificates: []tls.Certificate{{Certificate: [][]byte{der}, PrivateKey: key}}})))
	picker.Is(fakepicker.Behaviour{Endpoints: fmt.Sprintf("127.0.0.1:%d", ports[0])})
	text := strings.Replace(manifests(picker.Address, "FailClose", ports[:1], ports[1]), "attempts: 2", "attempts: 1", 1)
	for options, status := range map[string]int{
		"":                        200,
		"trust_pool file " + file: 200,
		"trust_pool file " + file + "\n\t\t\t\tserver_name other.example": 503,
		"plaintext": 503,
	} {
		_, url := startPicked(t, text, options)
		r, err := http.NewRequestWithContext(context.Background(), http.MethodPost, url, strings.NewReader(`{"messages":[{"role":"user","content":"x"}]}`))
		if err != nil {
			t.Fatal(err)
		}
		r.Host = "models"
		r.Header.Set("Content-Type", "application/json")
		res, err := http.DefaultClient.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		_ = res.Body.Close()
		if res.StatusCode != status {
			t.Errorf("with %q: %d, want %d", options, res.StatusCode, status)
		}
	}
}
