package azure

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"
	"github.com/Azure/azure-sdk-for-go/sdk/azidentity"

	"github.com/caddy-llm/gateway/llmprovider/cloud"
	"github.com/caddy-llm/gateway/llmprovider/upstream"
)

// fetcher fetches tokens. Each fetch starts afresh, so that a secret or a service account's
// token that was replaced is taken up: what is cached is the token alone (cloud.Renewed).
type fetcher struct {
	Entra
	method, scope string
	secret        *upstream.Secret // nil without one
}

// fetch implements cloud.Fetch.
func (f *fetcher) fetch(ctx context.Context) (cloud.Token, time.Time, error) {
	var hidden string
	if f.secret != nil {
		value, err := f.secret.Value()
		if err != nil {
			return cloud.Token{}, time.Time{}, err
		}
		hidden = value
	}
	credential, err := f.credential(hidden)
	if err != nil {
		return cloud.Token{}, time.Time{}, f.reason(err, hidden)
	}
	token, err := credential.GetToken(ctx, policy.TokenRequestOptions{Scopes: []string{f.scope}})
	if err != nil {
		return cloud.Token{}, time.Time{}, f.reason(err, hidden)
	}
	return cloud.NewToken(token.Token, nil), token.ExpiresOn, nil
}

func (f *fetcher) credential(secret string) (azcore.TokenCredential, error) {
	// Another authority than Microsoft's is named by the operator, and Microsoft does not
	// know it.
	private := os.Getenv("AZURE_AUTHORITY_HOST") != ""
	client := azcore.ClientOptions{Retry: policy.RetryOptions{MaxRetries: 1, RetryDelay: 200 * time.Millisecond}}
	switch f.method {
	case methodSecret:
		tenant, id := cmp.Or(f.TenantID, os.Getenv("AZURE_TENANT_ID")), cmp.Or(f.ClientID, os.Getenv("AZURE_CLIENT_ID"))
		if tenant == "" || id == "" {
			return nil, errors.New("tenant_id and client_id are required with a client secret; write them, or set AZURE_TENANT_ID and AZURE_CLIENT_ID")
		}
		return azidentity.NewClientSecretCredential(tenant, id, secret, &azidentity.ClientSecretCredentialOptions{ClientOptions: client, DisableInstanceDiscovery: private})
	case methodWorkload:
		return azidentity.NewWorkloadIdentityCredential(&azidentity.WorkloadIdentityCredentialOptions{
			ClientOptions: client, TenantID: f.TenantID, ClientID: f.ClientID, TokenFilePath: f.TokenFile, DisableInstanceDiscovery: private,
		})
	}
	o := &azidentity.ManagedIdentityCredentialOptions{ClientOptions: client}
	if f.ClientID != "" {
		o.ID = azidentity.ClientID(f.ClientID)
	}
	return azidentity.NewManagedIdentityCredential(o)
}

// reason is an error for the log. What a token endpoint says is told by its codes alone:
// its text may repeat what it was sent.
func (f *fetcher) reason(err error, secret string) error {
	var failed *azidentity.AuthenticationFailedError
	if errors.As(err, &failed) && failed.RawResponse != nil {
		var said struct {
			Error string `json:"error"`
			Codes []int  `json:"error_codes"`
		}
		if body, err := io.ReadAll(io.LimitReader(failed.RawResponse.Body, 64<<10)); err == nil {
			_ = json.Unmarshal(body, &said)
		}
		text := fmt.Sprintf("the token endpoint (%s) returned status %d", f.method, failed.RawResponse.StatusCode)
		if said.Error != "" && len(said.Error) < 64 && strings.Trim(said.Error, "abcdefghijklmnopqrstuvwxyz_") == "" {
			text += ", " + said.Error
		}
		for _, code := range said.Codes {
			text += fmt.Sprintf(", AADSTS%d", code)
		}
		return errors.New(text)
	}
	text := err.Error()
	for _, hidden := range []string{secret, f.assertion()} {
		if hidden != "" {
			text = strings.ReplaceAll(text, hidden, "REDACTED")
		}
	}
	return fmt.Errorf("%s: %s", f.method, cloud.Reason(text))
}

// assertion is the service account's token, if there is one.
func (f *fetcher) assertion() string {
	if f.method != methodWorkload {
		return ""
	}
	data, err := os.ReadFile(cmp.Or(f.TokenFile, os.Getenv("AZURE_FEDERATED_TOKEN_FILE")))
	if err != nil {
		return ""
	}
	return strings.TrimSpace(string(data))
}
