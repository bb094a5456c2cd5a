package operations_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	fp "github.com/caddy-llm/gateway/integration/fakeprovider"
	"github.com/caddy-llm/gateway/integration/gateway"
)

// What llm_authz refuses at a site is counted and remembered like what policies
// refuse at a Gateway.
func TestDenialsAtASiteAreCounted(t *testing.T) {
	up := fp.New(t, fp.Plain(), fp.HTTP1Only())
	ports := gateway.FreePorts(t, 2)
	g := gateway.Start(t, gateway.Render(t, `{
	llm {
		status_listen 127.0.0.1:{{.Status}}
		provider main {{.URL}}/v1/chat/completions
	}
}
http://:{{.Port}} {
	log
	llm_authz {
		deny outsiders {
			when request.headers[X-Team] outside
		}
		allow known {
			when request.headers[X-Team] *
		}
	}
	llm_route {
		to main
	}
}
`, map[string]any{"Status": ports[0], "Port": ports[1], "URL": up.URL()}))

	mark := g.LogMark()
	if a := post(t, ports[1], "/", `{}`, "X-Team", "outside"); a.status != 403 {
		t.Fatalf("a request that is denied: %d %s", a.status, a.body)
	}
	line := accessLog(t, g, mark, "/")
	if got := fmt.Sprintf("%v %v %v %v", line.Fields["llm_error"], line.Fields["authz_policy"], line.Fields["authz_rule"], line.Fields["authz_reason"]); got != "access_denied outsiders 0 a DENY policy matches" {
		t.Errorf("the access log says %s", got)
	}
	if a := post(t, ports[1], "/", `{}`); a.status != 403 {
		t.Fatalf("a request that nothing allows: %d %s", a.status, a.body)
	}
	if a := post(t, ports[1], "/", `{}`, "X-Team", "inside"); a.status != 200 {
		t.Fatalf("a request that is allowed: %d %s", a.status, a.body)
	}
	m := metrics(t, ports[0])
	for _, tc := range []struct {
		metric string
		want   float64
		labels []string
	}{
		{"llm_authz_denied_total", 1, []string{"policy", "outsiders", "rule", "0"}},
		{"llm_authz_denied_total", 1, []string{"policy", "", "rule", ""}},
		{"llm_authz_denied_total", 2, nil},
		{"llm_refused_total", 2, []string{"rule", "", "code", "access_denied"}},
	} {
		if got := sum(m, tc.metric, tc.labels...); got != tc.want {
			t.Errorf("%s%v is %v, want %v: %v", tc.metric, tc.labels, got, tc.want, m[tc.metric])
		}
	}
	var view struct {
		Authorization struct {
			Denied []struct{ Policy, Reason, Host string }
		}
	}
	if _, body := g.AdminGet("/llm"); json.Unmarshal(body, &view) != nil || len(view.Authorization.Denied) != 2 || view.Authorization.Denied[1].Policy != "outsiders" {
		t.Errorf("the admin endpoint shows %s", body)
	}
	if a := get(t, ports[0], "/status.json"); !strings.Contains(a.body, `"failures":{"access_denied":2}`) {
		t.Errorf("the status page's data do not count them: %s", a.body)
	}
}
