package bedrock

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/caddy-llm/gateway/internal/moduletest"
	"github.com/caddy-llm/gateway/llmprovider/upstream"
)

// awsStandIn stands in for STS, for the metadata of an instance, and for the endpoints of
// containers and of pod identity.
type awsStandIn struct {
	*httptest.Server
	mu     sync.Mutex
	asked  []string
	forms  []url.Values
	tokens []string // Authorization
	fail   bool
}

const subjectText, sessionText = "web-identity-never-shown", "session-never-shown"

func newAWS(t *testing.T) *awsStandIn {
	t.Helper()
	withoutAccount(t)
	s := new(awsStandIn)
	s.Server = httptest.NewServer(s)
	t.Cleanup(s.Close)
	t.Setenv("AWS_ENDPOINT_URL_STS", s.URL)
	return s
}

func (s *awsStandIn) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	defer s.mu.Unlock()
	_ = r.ParseForm()
	action := r.Form.Get("Action")
	s.asked, s.forms, s.tokens = append(s.asked, r.Method+" "+r.URL.Path+" "+action), append(s.forms, r.Form), append(s.tokens, r.Header.Get("Authorization"))
	expires := time.Now().Add(time.Hour).UTC().Format(time.RFC3339)
	switch {
	case s.fail && action != "":
		w.WriteHeader(http.StatusForbidden)
		fmt.Fprintf(w, `<ErrorResponse><Error><Type>Sender</Type><Code>AccessDenied</Code><Message>not with %s</Message></Error></ErrorResponse>`, r.Form.Get("WebIdentityToken"))
	case s.fail:
		w.WriteHeader(http.StatusForbidden)
		fmt.Fprintf(w, `{"code":"AccessDenied","message":"not with %s"}`, r.Header.Get("Authorization"))
	case action != "":
		fmt.Fprintf(w, `<%[1]sResponse><%[1]sResult><Credentials><AccessKeyId>%[2]s</AccessKeyId><SecretAccessKey>%[3]s</SecretAccessKey><SessionToken>%[4]s</SessionToken><Expiration>%[5]s</Expiration></Credentials></%[1]sResult></%[1]sResponse>`,
			action, keyID, secretText, sessionText, expires)
	case r.URL.Path == "/latest/api/token":
		w.Header().Set("X-Aws-Ec2-Metadata-Token-Ttl-Seconds", "21600")
		_, _ = w.Write([]byte("imds-token"))
	case r.URL.Path == "/latest/meta-data/iam/security-credentials/":
		_, _ = w.Write([]byte("role-1"))
	default:
		fmt.Fprintf(w, `{"Code":"Success","AccessKeyId":%q,"SecretAccessKey":%q,"Token":%q,"Expiration":%q}`, keyID, secretText, sessionText, expires)
	}
}

func file(t *testing.T, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// TestChain holds that credentials come from each link of AWS's chain, once for all
// requests.
func TestChain(t *testing.T) {
	const config = `{"region":"eu-central-1"}`
	const role = "arn:aws:iam::123456789012:role/gateway"
	for name, test := range map[string]struct {
		config string
		env    func(s *awsStandIn) map[string]string
		asked  string
		token  string // of the session
	}{
		"environment": {config: config, env: func(*awsStandIn) map[string]string {
			return map[string]string{"AWS_ACCESS_KEY_ID": keyID, "AWS_SECRET_ACCESS_KEY": secretText}
		}},
		"profile": {config: `{"region":"eu-central-1","aws_profile":"prod"}`, env: func(*awsStandIn) map[string]string {
			return map[string]string{"AWS_SHARED_CREDENTIALS_FILE": file(t, "[prod]\naws_access_key_id = "+keyID+"\naws_secret_access_key = "+secretText+"\n")}
		}},
		"web identity": {config: config, asked: "POST / AssumeRoleWithWebIdentity", token: sessionText, env: func(*awsStandIn) map[string]string {
			return map[string]string{"AWS_ROLE_ARN": role, "AWS_WEB_IDENTITY_TOKEN_FILE": file(t, subjectText)}
		}},
		"role": {config: `{"region":"eu-central-1","role_arn":"` + role + `"}`, asked: "POST / AssumeRole", token: sessionText, env: func(*awsStandIn) map[string]string {
			return map[string]string{"AWS_ACCESS_KEY_ID": "AKOTHER", "AWS_SECRET_ACCESS_KEY": "other"}
		}},
		"pod identity": {config: config, asked: "GET /v1/credentials ", token: sessionText, env: func(s *awsStandIn) map[string]string {
			return map[string]string{"AWS_CONTAINER_CREDENTIALS_FULL_URI": s.URL + "/v1/credentials", "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE": file(t, subjectText)}
		}},
		"instance": {config: config, asked: "GET /latest/meta-data/iam/security-credentials/role-1 ", token: sessionText, env: func(s *awsStandIn) map[string]string {
			return map[string]string{"AWS_EC2_METADATA_DISABLED": "false", "AWS_EC2_METADATA_SERVICE_ENDPOINT": s.URL}
		}},
	} {
		t.Run(name, func(t *testing.T) {
			s := newAWS(t)
			for name, value := range test.env(s) {
				t.Setenv(name, value)
			}
			p := provisioned(t, test.config)
			for range 3 {
				a, refused := attempt(t, p, "/v1/messages", `{"model":"anthropic.claude-x","messages":[]}`)
				if refused != nil {
					t.Fatal(refused, p.CheckCredentials())
				}
				if h := a.Request.Header; !strings.Contains(h.Get("Authorization"), "Credential="+keyID+"/") || h.Get("X-Amz-Security-Token") != test.token {
					t.Errorf("%v", h)
				}
			}
			if n := strings.Count(strings.Join(s.asked, "\n")+"\n", test.asked+"\n"); test.asked != "" && n != 1 || test.asked == "" && len(s.asked) > 0 {
				t.Errorf("asked for %q", s.asked)
			}
		})
	}
}

// TestFailures holds that the reason is told, and neither to the client nor with what was
// answered.
func TestFailures(t *testing.T) {
	for name, test := range map[string]struct {
		config string
		env    func(s *awsStandIn) map[string]string
		want   string
	}{
		"web identity": {env: func(*awsStandIn) map[string]string {
			return map[string]string{"AWS_ROLE_ARN": "arn:aws:iam::1:role/r", "AWS_WEB_IDENTITY_TOKEN_FILE": file(t, subjectText)}
		}, want: "AccessDenied"},
		"no file": {env: func(*awsStandIn) map[string]string {
			return map[string]string{"AWS_ROLE_ARN": "arn:aws:iam::1:role/r", "AWS_WEB_IDENTITY_TOKEN_FILE": "/nonexistent/token"}
		}, want: "/nonexistent/token"},
		"pod identity": {env: func(s *awsStandIn) map[string]string {
			return map[string]string{"AWS_CONTAINER_CREDENTIALS_FULL_URI": s.URL + "/v1/credentials", "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE": file(t, subjectText)}
		}, want: "the AWS credential source returned"},
		"nothing":    {env: func(*awsStandIn) map[string]string { return nil }, want: "EC2"},
		"no profile": {config: `,"aws_profile":"none"`, env: func(*awsStandIn) map[string]string { return nil }, want: "none"},
	} {
		t.Run(name, func(t *testing.T) {
			s := newAWS(t)
			s.fail = true
			for name, value := range test.env(s) {
				t.Setenv(name, value)
			}
			p := provisioned(t, `{"region":"eu-central-1"`+test.config+`}`)
			_, refused := attempt(t, p, "/v1/messages", `{"model":"anthropic.claude-x","messages":[]}`)
			if refused == nil || refused.Status != http.StatusServiceUnavailable {
				t.Fatalf("%v", refused)
			}
			reason := p.CheckCredentials()
			if text := fmt.Sprint(reason, refused.Cause, refused.Message); reason == nil || !strings.Contains(text, test.want) || strings.Contains(text, "never-shown") {
				t.Errorf("%s", text)
			}
		})
	}
}

func TestKeyOfAManifest(t *testing.T) {
	newAWS(t)
	p := parse(t, `{"region":"eu-central-1"}`)
	p.AccessKeyID, p.SecretAccessKey = keyID, upstream.Literal(secretText)
	moduletest.Provision(t, p)
	a, refused := attempt(t, p, "/v1/messages", `{"model":"anthropic.claude-x","messages":[]}`)
	if refused != nil || p.UsesAmbient() || !strings.Contains(a.Request.Header.Get("Authorization"), keyID) {
		t.Errorf("%v", refused)
	}
	q, ok := p.Copy().(*Provider)
	if !ok || q.Account != nil || q.SecretAccessKey == nil || q.AccessKeyID != keyID || q.Region != "eu-central-1" {
		t.Errorf("%+v", q)
	}
}
