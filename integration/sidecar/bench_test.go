//go:build linux

package sidecar_test

import (
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

// BenchmarkCall compares a call through the sidecar with the application's own
// call over TLS, and a passed-on call with one that no sidecar sees:
//
//	go test -run '^$' -bench . -benchtime 3000x ./integration/sidecar
//
// What the gateway spends is its own time as the kernel counts it, in steps of
// 10 ms: many calls make it exact.
func BenchmarkCall(b *testing.B) {
	p := newPod(b, "documented-weighted-split")
	p.start(gatewayUID, settings{})
	go http.Serve(p.listen(otherIP4+":80"), http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { //nolint:errcheck // ends with the listener
		_, _ = io.Copy(w, r.Body)
	}))
	ca, err := os.ReadFile(filepath.Join(p.dir, "ca.pem"))
	if err != nil {
		b.Fatal(err)
	}
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(ca)
	for _, tc := range []struct {
		name, url string
		captured  bool
	}{
		{"provider/TLS by the application", "https://dashscope.aliyuncs.com/compatible-mode/v1/chat/completions", false},
		{"provider/intercepted", "http://dashscope.aliyuncs.com/", true},
		{"other/no sidecar", "http://other.example.com/", false},
		{"other/passed on", "http://other.example.com/", true},
	} {
		for _, keep := range []bool{true, false} {
			b.Run(fmt.Sprintf("%s/kept=%v", tc.name, keep), func(b *testing.B) {
				p.capture("--undo")
				if tc.captured {
					p.capture()
				}
				c := p.client()
				transport := c.Transport.(*http.Transport)
				transport.TLSClientConfig, transport.DisableKeepAlives = &tls.Config{RootCAs: roots}, !keep
				defer transport.CloseIdleConnections()
				call := func() {
					const body = `{"model":"m","messages":[{"role":"user","content":"Please introduce yourself."}]}`
					if got, err := post(c, tc.url, body); err != nil || !strings.HasPrefix(got, "200 ") {
						b.Fatalf("%s, %v", got, err)
					}
				}
				call() // opens what is kept
				took := make([]time.Duration, 0, b.N)
				spent := p.spent()
				b.ResetTimer()
				for range b.N {
					began := time.Now()
					call()
					took = append(took, time.Since(began))
				}
				b.StopTimer()
				slices.Sort(took)
				b.ReportMetric(float64(took[len(took)/2].Microseconds()), "p50-µs")
				b.ReportMetric(float64(took[len(took)*99/100].Microseconds()), "p99-µs")
				b.ReportMetric(float64((p.spent()-spent).Microseconds())/float64(b.N), "gateway-cpu-µs")
			})
		}
	}
}

// spent is the processor time of the gateway so far.
func (p *pod) spent() time.Duration {
	p.t.Helper()
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", p.gateway.cmd.Process.Pid))
	if err != nil {
		p.t.Fatal(err)
	}
	fields := strings.Fields(string(stat[strings.LastIndexByte(string(stat), ')')+1:]))
	var user, system int64
	if _, err := fmt.Sscan(fields[11]+" "+fields[12], &user, &system); err != nil {
		p.t.Fatal(err)
	}
	return time.Duration(user+system) * 10 * time.Millisecond
}
