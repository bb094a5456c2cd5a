package vertex

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"os"
	"regexp"
	"strings"
	"time"

	"golang.org/x/oauth2"
	googleauth "golang.org/x/oauth2/google"

	"github.com/caddy-llm/gateway/llmprovider/cloud"
	"github.com/caddy-llm/gateway/llmprovider/upstream"
)

const scope = "https://www.googleapis.com/auth/cloud-platform"

// fetcher fetches tokens. Each fetch starts afresh, so that credentials that were replaced
// are taken up: what is cached is the token alone (cloud.Renewed).
type fetcher struct {
	file   string
	secret *upstream.Secret
	quota  string
}

// ref says where tokens come from.
func (f *fetcher) ref() string {
	switch {
	case f.secret != nil:
		return "a service account of Google"
	case f.file != "":
		return "Google's credentials in " + f.file
	}
	return "Google's application default credentials"
}

// fetch implements cloud.Fetch.
func (f *fetcher) fetch(ctx context.Context) (cloud.Token, time.Time, error) {
	credentials, err := f.credentials(ctx)
	if err != nil {
		return cloud.Token{}, time.Time{}, reason(err)
	}
	token, err := credentials.TokenSource.Token()
	if err != nil {
		return cloud.Token{}, time.Time{}, reason(err)
	}
	var document struct {
		QuotaProject string `json:"quota_project_id"`
	}
	_ = json.Unmarshal(credentials.JSON, &document) // without a document there is none
	var more http.Header
	if project := cmp.Or(f.quota, os.Getenv("GOOGLE_CLOUD_QUOTA_PROJECT"), document.QuotaProject); project != "" {
		more = http.Header{"X-Goog-User-Project": {project}}
	}
	return cloud.NewToken(token.AccessToken, more), token.Expiry, nil
}

func (f *fetcher) credentials(ctx context.Context) (*googleauth.Credentials, error) {
	params := googleauth.CredentialsParams{Scopes: []string{scope}}
	switch {
	case f.secret != nil:
		text, err := f.secret.Value()
		if err != nil {
			return nil, err
		}
		return serviceAccount(ctx, []byte(text), params)
	case f.file == "":
		return googleauth.FindDefaultCredentialsWithParams(ctx, params)
	}
	data, err := os.ReadFile(f.file)
	if err != nil {
		return nil, err
	}
	kind, err := typeOf(data)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", f.file, err)
	}
	return googleauth.CredentialsFromJSONWithTypeAndParams(ctx, data, kind, params)
}

// serviceAccount reads the key of a service account that whoever writes manifests may
// have written: it must not have tokens sent elsewhere, or name files and programs of the
// gateway's, as other types of credentials do.
func serviceAccount(ctx context.Context, data []byte, params googleauth.CredentialsParams) (*googleauth.Credentials, error) {
	var document struct {
		Type     string `json:"type"`
		TokenURI string `json:"token_uri"`
		Domain   string `json:"universe_domain"`
	}
	if json.Unmarshal(data, &document) != nil || document.Type != string(googleauth.ServiceAccount) {
		return nil, errors.New("the Secret holds no service account key; write the JSON key of type service_account unchanged, as Google issued it")
	}
	if document.TokenURI != "" && document.TokenURI != googleauth.JWTTokenURL {
		return nil, errors.New("the service account key has a token_uri that is not Google's; write " + googleauth.JWTTokenURL)
	}
	if document.Domain != "" && document.Domain != "googleapis.com" {
		return nil, errors.New("the service account key has another universe_domain; only googleapis.com is supported")
	}
	return googleauth.CredentialsFromJSONWithTypeAndParams(ctx, data, googleauth.ServiceAccount, params)
}

// typeOf returns the type of the credentials in a document.
func typeOf(data []byte) (googleauth.CredentialsType, error) {
	var document struct {
		Type googleauth.CredentialsType `json:"type"`
	}
	if err := json.Unmarshal(data, &document); err != nil {
		return "", errors.New("this is not JSON; write the credentials file unchanged, as Google issued it")
	}
	switch document.Type {
	case googleauth.ServiceAccount, googleauth.AuthorizedUser, googleauth.ExternalAccount, googleauth.ExternalAccountAuthorizedUser, googleauth.ImpersonatedServiceAccount:
		return document.Type, nil
	}
	return "", errors.New("this is not a supported type of Google credentials; write those of a service account, or of an external account")
}

var statusCode = regexp.MustCompile(`status code (\d{3})`)

// reason is an error for the log. What a token endpoint says is told by its codes alone:
// its text may repeat what it was sent.
func reason(err error) error {
	var failed *oauth2.RetrieveError
	if errors.As(err, &failed) && failed.Response != nil {
		text := fmt.Sprintf("Google's token endpoint returned status %d", failed.Response.StatusCode)
		var said struct {
			Error string `json:"error"`
		}
		_ = json.Unmarshal(failed.Body, &said) // what is no JSON has no code
		if code := said.Error; code != "" && len(code) < 64 && strings.Trim(code, letters+"_") == "" {
			text += ", " + code
		}
		return errors.New(text)
	}
	text := err.Error()
	if m := statusCode.FindStringSubmatch(text); m != nil {
		return errors.New("Google's token endpoint returned status " + m[1])
	}
	if i := strings.IndexAny(text, "{\n"); i >= 0 { // what was answered
		text = text[:i]
	}
	return errors.New(cloud.Reason(text))
}
