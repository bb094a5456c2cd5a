package vertex

import (
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/caddy-llm/gateway/llmprovider"
	"github.com/caddy-llm/gateway/llmprovider/upstream"
)

// googleStandIn stands in for Google's token endpoints, that of STS and the metadata server.
type googleStandIn struct {
	*httptest.Server
	mu    sync.Mutex
	paths []string
	forms []url.Values
	fail  bool
	n     int
}

const subjectText = "subject-token-never-shown"

func newGoogle(t *testing.T) *googleStandIn {
	t.Helper()
	g := new(googleStandIn)
	g.Server = httptest.NewServer(g)
	t.Cleanup(g.Close)
	for _, name := range []string{"GOOGLE_APPLICATION_CREDENTIALS", "GOOGLE_CLOUD_QUOTA_PROJECT"} {
		t.Setenv(name, "")
	}
	t.Setenv("HOME", t.TempDir()) // without the credentials of gcloud
	return g
}

func (g *googleStandIn) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	g.mu.Lock()
	defer g.mu.Unlock()
	_ = r.ParseForm()
	g.paths, g.forms = append(g.paths, r.URL.Path), append(g.forms, r.Form)
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Metadata-Flavor", "Google")
	if g.fail {
		w.WriteHeader(http.StatusBadRequest)
		said, _ := json.Marshal(map[string]string{"error": "invalid_grant", "error_description": "bad " + r.Form.Get("assertion") + r.Form.Get("subject_token")})
		_, _ = w.Write(said)
		return
	}
	if strings.HasSuffix(r.URL.Path, "/token") {
		g.n++
	}
	fmt.Fprintf(w, `{"access_token":"token-%d","token_type":"Bearer","issued_token_type":"urn:ietf:params:oauth:token-type:access_token","expires_in":3600}`, g.n)
}

func write(t *testing.T, document any) string {
	t.Helper()
	data, err := json.Marshal(document)
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "credentials.json")
	if err := os.WriteFile(file, data, 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}

var serviceKey = sync.OnceValue(func() string {
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		panic(err)
	}
	return string(pem.EncodeToMemory(&pem.Block{Type: "RSA PRIVATE KEY", Bytes: x509.MarshalPKCS1PrivateKey(key)}))
})

func account(tokenURI string) map[string]string {
	return map[string]string{
		"type": "service_account", "project_id": "p", "private_key_id": "k", "private_key": serviceKey(), "client_email": "a@p.iam.gserviceaccount.com", "token_uri": tokenURI,
		"quota_project_id": "of-the-file",
	}
}

func external(t *testing.T, g *googleStandIn) map[string]any {
	t.Helper()
	subject := filepath.Join(t.TempDir(), "subject")
	if err := os.WriteFile(subject, []byte(subjectText), 0o600); err != nil {
		t.Fatal(err)
	}
	return map[string]any{
		"type": "external_account", "audience": "//iam.googleapis.com/projects/1/locations/global/workloadIdentityPools/p/providers/q",
		"subject_token_type": "urn:ietf:params:oauth:token-type:jwt", "token_url": g.URL + "/v1/token", "credential_source": map[string]string{"file": subject},
	}
}

func authorized(t *testing.T, p *Provider) (http.Header, *llmprovider.Error) {
	t.Helper()
	a, refused := attempt(t, p, "/v1beta/models/gemini-3-pro:generateContent", `{"contents":[]}`)
	if refused != nil {
		return nil, refused
	}
	return a.Request.Header, nil
}

// TestCredentials holds that tokens come from each kind of Google's credentials, once for
// all requests.
func TestCredentials(t *testing.T) {
	g := newGoogle(t)
	for name, test := range map[string]struct {
		config      string
		env         map[string]string
		path, quota string
	}{
		"service account":  {config: `"credentials_file":"` + write(t, account(g.URL+"/token")) + `"`, path: "/token", quota: "of-the-file"},
		"external account": {config: `"quota_project":"q-1","credentials_file":"` + write(t, external(t, g)) + `"`, path: "/v1/token", quota: "q-1"},
		"default":          {env: map[string]string{"GOOGLE_APPLICATION_CREDENTIALS": write(t, external(t, g)), "GOOGLE_CLOUD_QUOTA_PROJECT": "q-2"}, path: "/v1/token", quota: "q-2"},
		"the machine's":    {env: map[string]string{"GCE_METADATA_HOST": strings.TrimPrefix(g.URL, "http://")}, path: "/computeMetadata/v1/instance/service-accounts/default/token"},
	} {
		t.Run(name, func(t *testing.T) {
			for name, value := range test.env {
				t.Setenv(name, value)
			}
			g.n, g.paths, g.forms = 0, nil, nil
			config := `{"project":"p"`
			if test.config != "" {
				config += "," + test.config
			}
			p := provisioned(t, config+"}")
			if ambient := test.config == ""; p.UsesAmbient() != ambient || p.CredentialRef("") == "" {
				t.Errorf("%v, %s", p.UsesAmbient(), p.CredentialRef(""))
			}
			for range 3 {
				h, refused := authorized(t, p)
				if refused != nil {
					t.Fatal(refused, p.CheckCredentials())
				}
				if h.Get("Authorization") != "Bearer token-1" || h["X-Goog-Api-Key"] != nil || h.Get("X-Goog-User-Project") != test.quota {
					t.Errorf("%v", h)
				}
			}
			if n := strings.Count(strings.Join(g.paths, " "), test.path); n != 1 {
				t.Errorf("asked for %v", g.paths)
			}
			if strings.Contains(config, "external") && g.forms[0].Get("subject_token") != subjectText {
				t.Errorf("%v", g.forms)
			}
		})
	}
}

// TestFailures holds that the reason is told, and neither to the client nor with what the
// endpoint repeated.
func TestFailures(t *testing.T) {
	g := newGoogle(t)
	g.fail = true
	bad := filepath.Join(t.TempDir(), "bad.json")
	if err := os.WriteFile(bad, []byte(`{"type":"service_account","private_key":"never-shown`), 0o600); err != nil {
		t.Fatal(err)
	}
	for file, want := range map[string]string{
		write(t, account(g.URL+"/token")): "status 400, invalid_grant",
		write(t, external(t, g)):          "status 400",
		"/nonexistent/file":               "/nonexistent/file",
		bad:                               "this is not JSON",
		write(t, map[string]string{"type": "magic"}):     "not a supported type of Google credentials",
		write(t, map[string]string{"installed": "none"}): "not a supported type of Google credentials",
	} {
		p := provisioned(t, `{"project":"p","credentials_file":"`+file+`"}`)
		_, refused := authorized(t, p)
		if refused == nil || refused.Status != http.StatusServiceUnavailable {
			t.Errorf("%s: %v", file, refused)
			continue
		}
		reason := p.CheckCredentials()
		if text := fmt.Sprint(reason, refused.Cause, refused.Message); reason == nil || !strings.Contains(text, want) || strings.Contains(text, "never-shown") || strings.Contains(text, "eyJ") {
			t.Errorf("%s: %s, want %q", file, text, want)
		}
	}
}

// TestSecretOfAManifest holds that whoever writes manifests cannot have the gateway's
// files and identity sent anywhere.
func TestSecretOfAManifest(t *testing.T) {
	g := newGoogle(t)
	elsewhere, domain := account(g.URL+"/token"), account("")
	domain["universe_domain"] = "evil.example"
	for name, document := range map[string]any{"external": external(t, g), "elsewhere": elsewhere, "domain": domain, "user": map[string]string{"type": "authorized_user"}} {
		data, _ := json.Marshal(document)
		p := parse(t, `{"project":"p"}`)
		p.Credentials = upstream.Literal(string(data))
		f := fetcher{secret: p.Credentials}
		if _, _, err := f.fetch(t.Context()); err == nil || !strings.Contains(err.Error(), "service account") || p.UsesAmbient() {
			t.Errorf("%s: %v", name, err)
		}
	}
	if len(g.paths) > 0 {
		t.Errorf("asked: %v", g.paths)
	}
}
