package azure

import (
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
)

// authority stands in for Microsoft Entra ID and for the identity endpoint of an app
// service.
type authority struct {
	*httptest.Server
	mu    sync.Mutex
	forms []url.Values
	asked []*http.Request
	fail  bool
	n     int
}

const secretText, assertionText = "client-secret-never-shown", "assertion.never.shown"

func newAuthority(t *testing.T) *authority {
	t.Helper()
	a := new(authority)
	a.Server = httptest.NewTLSServer(a)
	t.Cleanup(a.Close)
	t.Setenv("AZURE_AUTHORITY_HOST", a.URL+"/")
	return a
}

// TestMain has this process trust the stand-ins: httptest's certificate is always the
// same one.
func TestMain(m *testing.M) {
	server := httptest.NewTLSServer(nil)
	server.Close()
	dir, err := os.MkdirTemp("", "azure")
	if err == nil {
		file := filepath.Join(dir, "ca.pem")
		err = os.WriteFile(file, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw}), 0o600)
		_ = os.Setenv("SSL_CERT_FILE", file)
	}
	if err != nil {
		panic(err)
	}
	code := m.Run()
	_ = os.RemoveAll(dir)
	os.Exit(code)
}

func (a *authority) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	a.mu.Lock()
	defer a.mu.Unlock()
	w.Header().Set("Content-Type", "application/json")
	if strings.HasSuffix(r.URL.Path, "/.well-known/openid-configuration") {
		base := a.URL + strings.TrimSuffix(r.URL.Path, "/v2.0/.well-known/openid-configuration")
		fmt.Fprintf(w, `{"token_endpoint":%q,"authorization_endpoint":%q,"issuer":%q}`, base+"/oauth2/v2.0/token", base+"/oauth2/v2.0/authorize", base+"/v2.0")
		return
	}
	_ = r.ParseForm()
	a.asked, a.forms = append(a.asked, r.Clone(r.Context())), append(a.forms, r.Form)
	if a.fail {
		w.WriteHeader(http.StatusUnauthorized)
		said, _ := json.Marshal(map[string]any{
			"error": "invalid_client", "error_codes": []int{7000215},
			"error_description": "invalid secret " + r.Form.Get("client_secret") + r.Form.Get("client_assertion"),
		})
		_, _ = w.Write(said)
		return
	}
	a.n++
	if r.Method == http.MethodGet {
		fmt.Fprintf(w, `{"access_token":"token-%d","expires_on":"1893456000","resource":"r","token_type":"Bearer"}`, a.n)
		return
	}
	fmt.Fprintf(w, `{"token_type":"Bearer","expires_in":3600,"ext_expires_in":3600,"access_token":"token-%d"}`, a.n)
}

func authorization(t *testing.T, p *Provider) (string, *llmprovider.Error) {
	t.Helper()
	a, refused := attempt(t, p, "/v1/chat/completions", `{"model":"d","messages":[]}`)
	if refused != nil {
		return "", refused
	}
	if a.Request.Header["Api-Key"] != nil {
		t.Errorf("the client's key is sent: %v", a.Request.Header)
	}
	return a.Request.Header.Get("Authorization"), nil
}

func TestClientSecret(t *testing.T) {
	a := newAuthority(t)
	t.Setenv("LLM_TEST_SECRET", secretText)
	p := provisioned(t, `{"host":"r.openai.azure.com","entra":{"method":"auto","tenant_id":"tenant-1","client_id":"client-1","client_secret":"{env.LLM_TEST_SECRET}"}}`)
	if p.UsesAmbient() || p.CredentialRef("") != "Microsoft Entra ID, client_secret" {
		t.Error(p.CredentialRef(""))
	}
	for range 3 {
		if got, refused := authorization(t, p); refused != nil || got != "Bearer token-1" {
			t.Fatalf("%s, %v, %v", got, refused, p.CheckCredentials())
		}
	}
	form := a.forms[0]
	if len(a.forms) != 1 || form.Get("client_id") != "client-1" || form.Get("client_secret") != secretText || !strings.HasPrefix(form.Get("scope"), "https://cognitiveservices.azure.com/.default") ||
		a.asked[0].URL.Path != "/tenant-1/oauth2/v2.0/token" {
		t.Errorf("%v", a.forms)
	}
}

func TestWorkloadIdentity(t *testing.T) {
	a := newAuthority(t)
	file := filepath.Join(t.TempDir(), "token")
	if err := os.WriteFile(file, []byte(assertionText), 0o600); err != nil {
		t.Fatal(err)
	}
	t.Setenv("AZURE_FEDERATED_TOKEN_FILE", file)
	t.Setenv("AZURE_TENANT_ID", "tenant-1")
	t.Setenv("AZURE_CLIENT_ID", "client-1")
	p := provisioned(t, `{"host":"r.services.ai.azure.com","entra":{"method":"auto"}}`)
	if !p.UsesAmbient() {
		t.Error("it is the gateway's own")
	}
	if got, refused := authorization(t, p); refused != nil || got != "Bearer token-1" {
		t.Fatalf("%s, %v, %v", got, refused, p.CheckCredentials())
	}
	if form := a.forms[0]; form.Get("client_assertion") != assertionText || !strings.HasPrefix(form.Get("scope"), "https://ai.azure.com/.default") {
		t.Errorf("%v", form)
	}
}

func TestManagedIdentity(t *testing.T) {
	a := newAuthority(t)
	plain := httptest.NewServer(a)
	t.Cleanup(plain.Close)
	t.Setenv("IDENTITY_ENDPOINT", plain.URL+"/msi/token")
	t.Setenv("IDENTITY_HEADER", "header-1")
	p := provisioned(t, `{"host":"r.openai.azure.com","entra":{"method":"managed_identity","client_id":"mine"}}`)
	if got, refused := authorization(t, p); refused != nil || got != "Bearer token-1" {
		t.Fatalf("%s, %v, %v", got, refused, p.CheckCredentials())
	}
	if q := a.asked[0].URL.Query(); q.Get("resource") != "https://cognitiveservices.azure.com" || q.Get("client_id") != "mine" || a.asked[0].Header.Get("X-Identity-Header") != "header-1" {
		t.Errorf("%v", q)
	}
}

// TestFailures holds that the reason is told, and neither to the client nor with what
// the endpoint repeated of a secret.
func TestFailures(t *testing.T) {
	a := newAuthority(t)
	a.fail = true
	t.Setenv("LLM_TEST_SECRET", secretText)
	file := filepath.Join(t.TempDir(), "token")
	if err := os.WriteFile(file, []byte(assertionText), 0o600); err != nil {
		t.Fatal(err)
	}
	for config, want := range map[string]string{
		`{"method":"client_secret","tenant_id":"t","client_id":"c","client_secret":"{env.LLM_TEST_SECRET}"}`: "status 401, invalid_client, AADSTS7000215",
		`{"method":"workload_identity","tenant_id":"t","client_id":"c","token_file":"` + file + `"}`:         "status 401, invalid_client, AADSTS7000215",
		`{"method":"workload_identity","tenant_id":"t","client_id":"c","token_file":"/nonexistent/file"}`:    "/nonexistent/file",
		`{"method":"client_secret","client_secret":"{env.LLM_TEST_SECRET}"}`:                                 "AZURE_TENANT_ID",
		`{"method":"client_secret","client_secret":"{env.LLM_TEST_NONE}"}`:                                   "LLM_TEST_NONE",
	} {
		p := provisioned(t, `{"host":"r.openai.azure.com","entra":`+config+`}`)
		_, refused := authorization(t, p)
		if refused == nil || refused.Status != http.StatusServiceUnavailable || strings.Contains(refused.Message, "401") {
			t.Errorf("%s: %v", config, refused)
			continue
		}
		reason := p.CheckCredentials()
		if text := fmt.Sprint(reason, refused.Cause); reason == nil || !strings.Contains(text, want) || strings.Contains(text, "never") {
			t.Errorf("%s: %s", config, text)
		}
	}
}
