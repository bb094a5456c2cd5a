package dataplane_test

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/caddy-llm/gateway/integration/gateway"
)

// site is a running gateway with one plain HTTP site.
type site struct {
	*gateway.Gateway
	t      testing.TB
	url    string // of the site
	status string // of the status listener
	params map[string]any
	config string
}

// startSite starts a gateway. The config is a template that uses .Port and
// .Status for the site's and the status listener's ports.
func startSite(t testing.TB, config string, params map[string]any, options ...gateway.Option) *site {
	t.Helper()
	s := &site{t: t, params: map[string]any{"Port": gateway.FreePort(t), "Status": gateway.FreePort(t)}, config: config}
	for name, value := range params {
		s.params[name] = value
	}
	s.url, s.status = fmt.Sprint("http://127.0.0.1:", s.params["Port"]), fmt.Sprint("http://127.0.0.1:", s.params["Status"])
	s.Gateway = gateway.Start(t, gateway.Render(t, config, s.params), options...)
	return s
}

// reload loads the same config with other parameters.
func (s *site) reload(params map[string]any) {
	s.t.Helper()
	before := gateway.Render(s.t, s.config, s.params)
	for name, value := range params {
		s.params[name] = value
	}
	after := gateway.Render(s.t, s.config, s.params)
	if before == after {
		s.t.Fatal("the reload changes nothing, so it would not be one")
	}
	if err := s.Reload(after); err != nil {
		s.t.Fatalf("reload: %v", err)
	}
}

// getStatus fetches a path of the status listener.
func (s *site) getStatus(path string) (status int, body []byte, err error) {
	c := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}, Timeout: 10 * time.Second}
	res, err := c.Get(s.status + path)
	if err != nil {
		return 0, nil, err
	}
	defer res.Body.Close()
	body, err = io.ReadAll(res.Body)
	return res.StatusCode, body, err
}

// counter sums the series of a metric on the status listener whose labels
// contain all the given texts.
func (s *site) counter(name string, labels ...string) float64 {
	s.t.Helper()
	status, body, err := s.getStatus("/metrics")
	if err != nil || status != http.StatusOK {
		s.t.Fatalf("GET /metrics: %d %v", status, err)
	}
	return sumSeries(s.t, body, name, labels...)
}

func sumSeries(t testing.TB, body []byte, name string, labels ...string) float64 {
	t.Helper()
	var sum float64
lines:
	for line := range strings.Lines(string(body)) {
		series, value, ok := strings.Cut(strings.TrimSpace(line), "} ")
		metric, set, _ := strings.Cut(series, "{")
		if !ok || metric != name {
			continue
		}
		for _, l := range labels {
			if !strings.Contains(set, l) {
				continue lines
			}
		}
		v, err := strconv.ParseFloat(value, 64)
		if err != nil {
			t.Fatalf("reading the metric %s: %v", name, err)
		}
		sum += v
	}
	return sum
}

// view is the part of GET /llm that the tests look at.
type view struct {
	Ready        bool   `json:"ready"`
	Snapshot     uint64 `json:"snapshot"`
	OpenRequests int    `json:"open_requests"`
	Providers    []struct {
		Name         string     `json:"name"`
		Host         string     `json:"host"`
		Origin       string     `json:"origin"`
		CoolingUntil *time.Time `json:"cooling_until"`
	} `json:"providers"`
}

// getView fetches GET /llm of the admin endpoint, and returns its text as well.
func (s *site) getView() (view, string) {
	s.t.Helper()
	status, body := s.AdminGet("/llm")
	var v view
	if err := json.Unmarshal(body, &v); status != http.StatusOK || err != nil {
		s.t.Fatalf("GET /llm: %d %v: %s", status, err, body)
	}
	return v, string(body)
}
