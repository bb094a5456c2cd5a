package jwt

import (
	"context"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"
)

// TestGuardedKeyAddress holds that an object cannot have the gateway ask an internal
// address for keys: not by the address itself, a redirect, or what an issuer's
// configuration says.
func TestGuardedKeyAddress(t *testing.T) {
	targets := []string{
		"http://169.254.169.254/latest", "http://[fd00:ec2::254]/", "http://[64:ff9b::a9fe:a9fe]/", "http://[::ffff:168.63.129.16]/", "http://metadata.google.internal/",
		"http://127.0.0.1:2019/config/", "http://localhost:2019/config/", "http://[::1]:2019/", "http://[2002:7f00:1::]:2019/",
	}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		to := r.URL.Query().Get("to")
		if issuer, ok := strings.CutSuffix(r.URL.Path, discoveryPath); ok {
			for _, target := range targets {
				if strings.Trim(issuer, "/") == strings.NewReplacer("/", "", ":", "").Replace(target) {
					_, _ = w.Write([]byte(`{"jwks_uri":"` + target + `"}`))
					return
				}
			}
		}
		http.Redirect(w, r, to, http.StatusFound)
	}))
	defer server.Close()
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
	defer cancel()
	for _, target := range targets {
		for name, address := range map[string]keyAddress{
			"itself":        {uri: target},
			"a redirect":    {uri: server.URL + "/?to=" + target},
			"an issuer":     {issuer: strings.TrimSuffix(target, "/")},
			"its discovery": {issuer: server.URL + "/" + strings.NewReplacer("/", "", ":", "").Replace(target)},
		} {
			address.guarded, address.timeout = true, time.Second
			if _, err := address.fetch(ctx); err == nil || !strings.Contains(err.Error(), "which objects may not name") {
				t.Errorf("%s, %s: got %v", name, target, err)
			}
		}
	}
	// What the operator writes is not judged.
	open := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte("{}")) }))
	defer open.Close()
	for _, guarded := range []bool{false, true} {
		if _, err := (keyAddress{uri: open.URL, guarded: guarded}).fetch(ctx); err != nil {
			t.Errorf("guarded %v: %v", guarded, err)
		}
	}
}
