package scale_test

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/caddy-llm/gateway/integration/kubernetes/cluster"
)

// TestNoRequestFailsWhileObjectsChange sends 10,000 requests while the objects
// that they are routed by change every 100 ms.
func TestNoRequestFailsWhileObjectsChange(t *testing.T) {
	c := cluster.Shared(t)
	c.InstallCRDs(crds)
	namespace := c.Namespace()
	objects := newAPI(t, c)
	s := start(t, c, namespace)
	for i, host := range []string{"localhost", "127.0.0.1"} {
		c.Apply(fmt.Sprintf(`apiVersion: v1
kind: Secret
metadata: {name: key-%d}
stringData: {key: sk-0}
---
apiVersion: istio.alibabacloud.com/v1
kind: LLMProvider
metadata: {name: backend-%d}
spec:
  host: %s
  scheme: http
  port: %d
  configs: {defaultConfig: {openAIConfig: {model: m-0, apiKeySecretRef: {name: key-%d, key: key}}}}
`, i, i, host, s.mock, i), "-n", namespace)
	}
	c.Apply(`apiVersion: istio.alibabacloud.com/v1
kind: LLMRoute
metadata: {name: steady}
spec:
  host: steady
  rules: [{backendRefs: [{providerHost: localhost, weight: 1}, {providerHost: 127.0.0.1, weight: 1}]}]
`, "-n", namespace)

	client := &http.Client{Timeout: 30 * time.Second, Transport: &http.Transport{MaxIdleConnsPerHost: 8}}
	var models sync.Map // that responses had, each of which is a change
	post := func() error {
		req, err := http.NewRequest(http.MethodPost, s.url, strings.NewReader(`{"messages":[{"role":"user","content":"hello"}]}`))
		if err != nil {
			return err
		}
		req.Host = "steady"
		req.Header.Set("Content-Type", "application/json")
		res, err := client.Do(req)
		if err != nil {
			return err
		}
		defer res.Body.Close()
		body, err := io.ReadAll(res.Body)
		var answer struct{ Model string }
		if err == nil && res.StatusCode == http.StatusOK {
			err = json.Unmarshal(body, &answer)
		}
		if err != nil || res.StatusCode != http.StatusOK {
			return fmt.Errorf("%d %w %s", res.StatusCode, err, body)
		}
		models.Store(answer.Model, true)
		return nil
	}
	until(t, "the route", func() (bool, string) {
		err := post()
		return err == nil, fmt.Sprint(err)
	})

	done := make(chan struct{})
	var changes atomic.Int64
	var changer sync.WaitGroup
	changer.Go(func() {
		for i := 0; ; i++ {
			select {
			case <-done:
				return
			case <-time.After(100 * time.Millisecond):
			}
			which := i % 2
			switch i % 4 {
			case 0:
				objects.patch(namespace, "llmproviders", fmt.Sprint("backend-", which), fmt.Sprintf(`{"spec":{"configs":{"defaultConfig":{"openAIConfig":{"model":"m-%d"}}}}}`, i))
			case 1:
				objects.patch(namespace, "llmroutes", "steady", fmt.Sprintf(`{"spec":{"rules":[{"name":"rule-%d","backendRefs":[{"providerHost":"localhost","weight":%d},{"providerHost":"127.0.0.1","weight":1}]}]}}`, i, 1+i%5))
			case 2:
				if err := objects.send(http.MethodPatch, fmt.Sprintf("/api/v1/namespaces/%s/secrets/key-%d", namespace, which), "application/merge-patch+json", fmt.Sprintf(`{"stringData":{"key":"sk-%d"}}`, i)); err != nil {
					t.Error(err)
				}
			case 3:
				// A backend in use goes, and comes back.
				objects.patch(namespace, "llmroutes", "steady", `{"spec":{"rules":[{"backendRefs":[{"providerHost":"localhost"}]}]}}`)
			}
			changes.Add(1)
		}
	})
	const requests, least = 10_000, 40 // of requests and of changes, however fast the machine is
	var sent, failed atomic.Int64
	var clients sync.WaitGroup
	for range 8 {
		clients.Go(func() {
			for sent.Load() < requests || changes.Load() < least {
				sent.Add(1)
				if err := post(); err != nil && failed.Add(1) <= 10 {
					t.Error(err)
				}
			}
		})
	}
	clients.Wait()
	close(done)
	changer.Wait()
	t.Logf("%d of %d requests failed over %d changes", failed.Load(), sent.Load(), changes.Load())
	seen := 0
	models.Range(func(_, _ any) bool { seen++; return true })
	if seen < 4 {
		t.Errorf("only %d models were seen in responses: the changes did not take effect", seen)
	}
}
