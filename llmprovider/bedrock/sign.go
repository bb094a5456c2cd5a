package bedrock

import (
	"encoding/hex"
	"net/http"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"
	"go.uber.org/zap"

	"github.com/caddy-llm/gateway/llmprovider"
	"github.com/caddy-llm/gateway/llmprovider/cloud"
)

// service is the name of the service in signatures.
const service = "bedrock"

// signer is an Authorizer that signs requests (SigV4:
// https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_sigv-create-signed-request.html).
type signer struct {
	*cloud.Renewed[aws.Credentials]
	v4      *v4.Signer
	service string
	region  string
	ref     string
}

// newSigner returns what signs requests for a service in a region.
func newSigner(f *fetcher, service, region string, logger *zap.Logger) *signer {
	ref := f.ref()
	return &signer{cloud.NewRenewed(f.fetch, logger.With(zap.String("credential", ref))), v4.NewSigner(), service, region, ref}
}

// signatureHeaders are those of a signature. The client's own are not sent.
var signatureHeaders = []string{"Authorization", "X-Amz-Date", "X-Amz-Security-Token"}

// Authorize implements llmprovider.Authorizer. Only headers that say what is asked for
// are signed: those of traces and the like may be changed on the way.
func (s *signer) Authorize(r *http.Request, body llmprovider.Body) *llmprovider.Error {
	credentials, err := s.Get(r.Context())
	if err != nil {
		return cloud.Missing(err)
	}
	for name := range r.Header {
		if strings.HasPrefix(name, "X-Amz-") {
			delete(r.Header, name)
		}
	}
	header := make(http.Header, 8)
	for name, values := range r.Header {
		if name == "Content-Type" || strings.HasPrefix(name, "X-Amzn-Bedrock-") {
			header[name] = values
		}
	}
	signed := http.Request{Method: r.Method, URL: r.URL, Host: r.Host, Header: header, ContentLength: r.ContentLength}
	sum := body.SHA256()
	if err := s.v4.SignHTTP(r.Context(), credentials, &signed, hex.EncodeToString(sum[:]), s.service, s.region, time.Now()); err != nil {
		return cloud.Missing(err)
	}
	r.Host = signed.Host // without the port that the scheme implies, as it was signed
	for _, name := range signatureHeaders {
		if values := header[name]; len(values) > 0 {
			r.Header[name] = values
		} else {
			delete(r.Header, name)
		}
	}
	return nil
}

// Ref implements llmprovider.Authorizer.
func (s *signer) Ref() string { return s.ref }

// Interface guards
var _ llmprovider.Authorizer = (*signer)(nil)
