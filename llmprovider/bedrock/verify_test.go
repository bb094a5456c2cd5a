package bedrock

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"net/http"
	"slices"
	"strings"
)

// verify is an independent reading of AWS's Signature Version 4: it rebuilds the canonical
// request from what came over the wire, and returns what is wrong with the signature.
// https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_sigv-create-signed-request.html
func verify(r *http.Request, body []byte, id, secret, region string) error {
	const algorithm = "AWS4-HMAC-SHA256"
	rest, ok := strings.CutPrefix(r.Header.Get("Authorization"), algorithm+" ")
	if !ok {
		return fmt.Errorf("authorization is %q", r.Header["Authorization"])
	}
	fields := make(map[string]string)
	for part := range strings.SplitSeq(rest, ",") {
		name, value, _ := strings.Cut(strings.TrimSpace(part), "=")
		fields[name] = value
	}
	date := r.Header.Get("X-Amz-Date")
	if len(date) != len("20060102T150405Z") {
		return fmt.Errorf("date is %q", date)
	}
	service := "bedrock"
	if strings.HasPrefix(r.Host, "bedrock-mantle.") {
		service = "bedrock-mantle"
	}
	scope := date[:8] + "/" + region + "/" + service + "/aws4_request"
	if fields["Credential"] != id+"/"+scope {
		return fmt.Errorf("credential is %q", fields["Credential"])
	}

	path, query, _ := strings.Cut(r.RequestURI, "?")
	var canonical strings.Builder
	canonical.WriteString(r.Method + "\n")
	for i := range len(path) { // each byte once more, but for slashes
		switch c := path[i]; {
		case c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || strings.IndexByte("-._~/", c) >= 0:
			canonical.WriteByte(c)
		default:
			fmt.Fprintf(&canonical, "%%%02X", c)
		}
	}
	canonical.WriteString("\n" + query + "\n") // which has no parameters to sort here
	names := strings.Split(fields["SignedHeaders"], ";")
	if !slices.IsSorted(names) || !slices.Contains(names, "host") || !slices.Contains(names, "x-amz-date") {
		return fmt.Errorf("signed are %v", names)
	}
	if r.Header.Get("X-Amz-Security-Token") != "" && !slices.Contains(names, "x-amz-security-token") {
		return fmt.Errorf("the session's token is not signed: %v", names)
	}
	for _, name := range names {
		var value string
		switch name {
		case "host":
			value = r.Host
		case "content-length":
			value = fmt.Sprint(r.ContentLength)
		default:
			value = strings.Join(r.Header.Values(name), ",")
		}
		canonical.WriteString(name + ":" + strings.Join(strings.Fields(value), " ") + "\n")
	}
	sum := sha256.Sum256(body)
	canonical.WriteString("\n" + fields["SignedHeaders"] + "\n" + hex.EncodeToString(sum[:]))

	hashed := sha256.Sum256([]byte(canonical.String()))
	text := algorithm + "\n" + date + "\n" + scope + "\n" + hex.EncodeToString(hashed[:])
	key := []byte("AWS4" + secret)
	for _, part := range []string{date[:8], region, service, "aws4_request", text} {
		mac := hmac.New(sha256.New, key)
		mac.Write([]byte(part))
		key = mac.Sum(nil)
	}
	if got := hex.EncodeToString(key); got != fields["Signature"] {
		return fmt.Errorf("signature is %s, want %s for\n%s", fields["Signature"], got, canonical.String())
	}
	return nil
}
