package dialect

import (
	"net/http"
	"strconv"
	"strings"

	"github.com/caddy-llm/gateway/llmprovider"
)

// bodyHeaders describe the provider's body, which the client does not get, or the
// connection that it came over.
var bodyHeaders = map[string]bool{
	"Accept-Ranges": true, "Content-Digest": true, "Content-Disposition": true, "Content-Encoding": true, "Content-Language": true, "Content-Length": true,
	"Content-Md5": true, "Content-Range": true, "Content-Type": true, "Digest": true, "Etag": true, "Last-Modified": true, "Repr-Digest": true,
	"Trailer": true, "Transfer-Encoding": true, "X-Amzn-Bedrock-Content-Type": true,
}

// requestIDs are the headers in which providers say what they call a request.
var requestIDs = [...]string{"X-Request-Id", "Request-Id", "X-Amzn-Requestid", "Apim-Request-Id", "X-Ms-Request-Id"}

// clientHeader returns the provider's header as the client is to get it: without what
// describes the provider's body, and with the provider's id of the request where the
// client's SDK looks for it.
func (t *Response) clientHeader(header http.Header) http.Header {
	out := make(http.Header, len(header)+1)
	for name, values := range header {
		if !bodyHeaders[name] && !strings.HasPrefix(name, "X-Amzn-Bedrock-") {
			out[name] = values
		}
	}
	name := t.to.RequestIDHeader
	if name == "" || len(out[name]) > 0 {
		return out
	}
	for _, other := range requestIDs {
		if id := header.Get(other); id != "" {
			out[name] = []string{id}
			break
		}
	}
	return out
}

// retry puts when to try again, and whether to, where SDKs look for it.
func (t *Response) retry(e *llmprovider.Error) {
	if e.RetryAfter > 0 && t.head.Header.Get("Retry-After") == "" {
		t.head.Header["Retry-After"] = []string{e.RetrySeconds()}
		t.head.Header["Retry-After-Ms"] = []string{strconv.FormatInt(e.RetryAfter.Milliseconds(), 10)}
	}
	if e.Code == typeQuota || e.Type == typeQuota { // another try costs time alone
		t.head.Header["X-Should-Retry"] = []string{"false"}
	}
}
