package upstream

import (
	"io"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"testing"

	"github.com/caddy-llm/gateway/internal/moduletest"
	"github.com/caddy-llm/gateway/llmprovider"
)

func TestAnswersWithAStatusThatIsNone(t *testing.T) {
	for status, want := range map[string]string{"101 Switching Protocols": "status 101", "099 x": "status 099", "000 x": "status 000"} {
		server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			conn, _, err := w.(http.Hijacker).Hijack()
			if err != nil {
				t.Error(err)
				return
			}
			_, _ = io.WriteString(conn, "HTTP/1.1 "+status+"\r\nContent-Length: 0\r\nConnection: Upgrade\r\nUpgrade: x\r\n\r\n")
			_ = conn.Close()
		}))
		host, port, _ := strings.Cut(server.Listener.Addr().String(), ":")
		number, _ := strconv.Atoi(port)
		p := &Connection{Host: host, Scheme: "http", Port: number}
		moduletest.Provision(t, p)
		res, err := p.RoundTrip(attempt(t, p, t.Context(), inbound(t, `{}`), llmprovider.Edits{}).Request)
		if err == nil {
			res.Body.Close()
		}
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: the error is %v", status, err)
		}
		server.Close()
	}
}
