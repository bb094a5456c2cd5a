package jwt

import (
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
)

// b64 is for tokens that no library would make.
func b64(text string) string { return base64.RawURLEncoding.EncodeToString([]byte(text)) }

// signedParts signs a header and a payload that are taken as they are.
func signedParts(t *testing.T, header, payload string) string {
	t.Helper()
	return rawSign(t, b64(header)+"."+b64(payload))
}

func TestTokenRefusals(t *testing.T) {
	keys := testKeys()
	now := time.Now().Unix()
	public := pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: must(x509.MarshalPKIXPublicKey(&keys.rsa.PublicKey))})
	payload := string(must(json.Marshal(claims(nil))))
	rule := rsaRule()
	rule.Audiences = []string{"https://gateway.example/"}
	token := good(t, map[string]any{"aud": "gateway.example"})
	parts := strings.Split(token, ".")
	aud := func(changes map[string]any) string {
		changes["aud"] = "gateway.example"
		return good(t, changes)
	}
	// The last character has bits that mean nothing.
	respelled := parts[2][:len(parts[2])-1] + string(parts[2][len(parts[2])-1]+1)
	for name, test := range map[string]struct{ token, want string }{
		"another spelling": {parts[0] + "." + parts[1] + "." + respelled, "Jwt signature is an invalid Base64url encoded"},
		"good":             {token, ""},
		"empty":            {"", "Jwt is not in the form of Header.Payload.Signature with two dots and 3 sections"},
		"no dots":          {"sk-1234", "Jwt is not in the form of Header.Payload.Signature with two dots and 3 sections"},
		"two parts":        {"a.b", "Jwt is not in the form of Header.Payload.Signature with two dots and 3 sections"},
		"no signature":     {parts[0] + "." + parts[1] + ".", "Jwt is not in the form of Header.Payload.Signature with two dots and 3 sections"},
		"JWE":              {"a.b.c.d.e", "Jwt is not in the form of Header.Payload.Signature with two dots and 3 sections"},
		"too large":        {token + strings.Repeat("A", maxToken), "Jwt is too large"},
		"header base64":    {"!." + parts[1] + "." + parts[2], "Jwt header is an invalid Base64url encoded"},
		"padding":          {parts[0] + "=." + parts[1] + "." + parts[2], "Jwt header is an invalid Base64url encoded"},
		"header JSON":      {b64("alg") + "." + parts[1] + "." + parts[2], "Jwt header is an invalid JSON"},
		"header null":      {b64("null") + "." + parts[1] + "." + parts[2], "Jwt header is an invalid JSON"},
		"header twice":     {signedParts(t, `{"alg":"RS256","alg":"RS256"}`, payload), "Jwt header is an invalid JSON"},
		"no alg":           {b64(`{}`) + "." + parts[1] + "." + parts[2], "Jwt header [alg] field is required and must be a string"},
		"alg number":       {b64(`{"alg":1}`) + "." + parts[1] + "." + parts[2], "Jwt header [alg] field is required and must be a string"},
		"alg none":         {b64(`{"alg":"none"}`) + "." + parts[1] + "." + parts[2], "Jwt header [alg] is not supported"},
		"alg None":         {b64(`{"alg":"None"}`) + "." + parts[1] + "." + parts[2], "Jwt header [alg] is not supported"},
		"HS256 with the public key as the secret": {sign(t, jose.HS256, public, "rsa", claims(nil), nil), "Jwt header [alg] is not supported"},
		"kid number":      {b64(`{"alg":"RS256","kid":1}`) + "." + parts[1] + "." + parts[2], "Jwt header [kid] field is not a string"},
		"crit":            {signedParts(t, `{"alg":"RS256","crit":["exp"],"exp":1}`, payload), "Jwt header [crit] is not supported"},
		"b64":             {signedParts(t, `{"alg":"RS256","b64":false}`, payload), "Jwt header [crit] is not supported"},
		"payload base64":  {parts[0] + ".!." + parts[2], "Jwt payload is an invalid Base64url encoded"},
		"payload JSON":    {signedParts(t, `{"alg":"RS256"}`, "[]"), "Jwt payload is an invalid JSON"},
		"payload twice":   {signedParts(t, `{"alg":"RS256"}`, `{"iss":"a","iss":"b"}`), "Jwt payload is an invalid JSON"},
		"payload after":   {signedParts(t, `{"alg":"RS256"}`, payload+"{}"), "Jwt payload is an invalid JSON"},
		"payload UTF-8":   {signedParts(t, `{"alg":"RS256"}`, "{\"sub\":\"\xff\"}"), "Jwt payload is an invalid JSON"},
		"iss":             {aud(map[string]any{"iss": 1}), "Jwt payload [iss] field is not a string"},
		"sub":             {aud(map[string]any{"sub": true}), "Jwt payload [sub] field is not a string"},
		"jti":             {aud(map[string]any{"jti": 1}), "Jwt payload [jti] field is not a string"},
		"iat":             {aud(map[string]any{"iat": "1"}), "Jwt payload [iat] field is not an integer"},
		"nbf":             {aud(map[string]any{"nbf": -1}), "Jwt payload [nbf] field is not a positive 64 bit integer"},
		"exp":             {aud(map[string]any{"exp": 1e30}), "Jwt payload [exp] field is not a positive 64 bit integer"},
		"exp beyond all":  {signedParts(t, `{"alg":"RS256"}`, `{"exp":1e999}`), "Jwt payload is an invalid JSON"},
		"aud":             {good(t, map[string]any{"aud": 1}), "Jwt payload [aud] field is not a string or string list"},
		"aud list":        {good(t, map[string]any{"aud": []any{"gateway.example", 1}}), "Jwt payload [aud] field is not a string or string list"},
		"sig base64":      {parts[0] + "." + parts[1] + ".!", "Jwt signature is an invalid Base64url encoded"},
		"no issuer":       {aud(map[string]any{"iss": ""}), "Jwt issuer is not configured"},
		"other issuer":    {aud(map[string]any{"iss": "https://other.example"}), "Jwt issuer is not configured"},
		"issuer's slash":  {aud(map[string]any{"iss": testIssuer + "/"}), "Jwt issuer is not configured"},
		"issuer's line":   {aud(map[string]any{"iss": testIssuer + "\n"}), "Jwt issuer is not configured"},
		"expired":         {aud(map[string]any{"exp": now - 62}), "Jwt is expired"},
		"exp zero":        {aud(map[string]any{"exp": 0}), "Jwt is expired"},
		"within the skew": {aud(map[string]any{"exp": now - 50, "nbf": now + 50}), ""},
		"no exp":          {aud(map[string]any{"exp": nil}), ""},
		"not yet":         {aud(map[string]any{"nbf": now + 70}), "Jwt not yet valid"},
		"audience":        {good(t, map[string]any{"aud": []string{"a", "b"}}), "Audiences in Jwt are not allowed"},
		"no audience":     {good(t, nil), "Audiences in Jwt are not allowed"},
		"one audience":    {good(t, map[string]any{"aud": []string{"a", "http://gateway.example"}}), ""},
		"signature":       {parts[0] + "." + parts[1] + "." + strings.Repeat("A", len(parts[2])-1) + "A", "Jwt verification fails"},
		"another payload": {parts[0] + "." + b64(`{"iss":"`+testIssuer+`","aud":"gateway.example"}`) + "." + parts[2], "Jwt verification fails"},
		"another header":  {b64(`{"alg":"RS256"}`) + "." + parts[1] + "." + parts[2], "Jwt verification fails"},
		"other's key": {sign(t, jose.RS256, keys.otherRSA, "rsa", claims(map[string]any{"aud": "gateway.example"}), nil),
			"Jwt verification fails"},
		"other kid": {sign(t, jose.RS256, keys.rsa, "other", claims(map[string]any{"aud": "gateway.example"}), nil),
			"Jwks doesn't have key to match kid or alg from Jwt"},
		"no kid": {sign(t, jose.RS256, keys.rsa, "", claims(map[string]any{"aud": "gateway.example"}), nil), ""},
		"key's alg": {sign(t, jose.RS384, keys.rsa, "rsa", claims(map[string]any{"aud": "gateway.example"}), nil),
			"Jwks doesn't have key to match kid or alg from Jwt"},
		"another kind of key": {sign(t, jose.ES256, keys.p256, "rsa", claims(map[string]any{"aud": "gateway.example"}), nil),
			"Jwks doesn't have key to match kid or alg from Jwt"},
		"its own key": {sign(t, jose.RS256, keys.otherRSA, "", claims(map[string]any{"aud": "gateway.example"}),
			map[jose.HeaderKey]any{"jwk": jwk(keys.otherRSA, "", ""), "jku": "https://attacker.example", "x5u": "https://attacker.example"}),
			"Jwt verification fails"},
		"its own key means nothing": {sign(t, jose.RS256, keys.rsa, "", claims(map[string]any{"aud": "gateway.example"}),
			map[jose.HeaderKey]any{"jwk": jwk(keys.otherRSA, "", ""), "jku": "https://attacker.example", "x5u": "https://attacker.example"}), ""},
	} {
		t.Run(name, func(t *testing.T) {
			tokens := compile(t, rule)
			for range 2 { // the second time it may be remembered
				r := bearer(test.token)
				got, err := tokens.Verify(r)
				switch {
				case test.want == "" && (err != nil || got == nil || got.Subject != "alice"):
					t.Fatalf("refused: %v", err)
				case test.want == "":
					continue
				case err == nil || err.Error() != test.want:
					t.Fatalf("got %v, want %q", err, test.want)
				}
				status := http.StatusUnauthorized
				if test.want == "Audiences in Jwt are not allowed" {
					status = http.StatusForbidden
				}
				const header = `Bearer realm="http://gateway.example/v1/chat/completions", error="invalid_token"`
				if code, authenticate := Challenge(r, err); code != status || authenticate != header {
					t.Errorf("got %d %q", code, authenticate)
				}
			}
		})
	}
}

func TestTokenAlgorithms(t *testing.T) {
	keys := testKeys()
	set := jwks(jwk(keys.rsa, "rsa", ""), jwk(keys.p256, "p256", ""), jwk(keys.p384, "p384", ""), jwk(keys.p521, "p521", ""), jwk(keys.ed, "ed", ""))
	tokens := compile(t, &Rule{Issuer: testIssuer, JWKS: set})
	for alg, key := range map[jose.SignatureAlgorithm]any{
		jose.RS256: keys.rsa, jose.RS384: keys.rsa, jose.RS512: keys.rsa,
		jose.PS256: keys.rsa, jose.PS384: keys.rsa, jose.PS512: keys.rsa,
		jose.ES256: keys.p256, jose.ES384: keys.p384, jose.ES512: keys.p521,
		jose.EdDSA: keys.ed,
	} {
		expect(t, tokens, bearer(sign(t, alg, key, "", claims(nil), nil)), "")
	}
}

func TestTokenOfTheRequest(t *testing.T) {
	token := good(t, nil)
	other := sign(t, jose.ES256, testKeys().p256, "", claims(map[string]any{"iss": "other", "sub": "bob"}), nil)
	bad := other[:len(other)-8] + "AAAAAAAA"
	rule, otherRule := rsaRule(), &Rule{Issuer: "other", JWKS: jwks(jwk(testKeys().p256, "", ""))}
	custom := rsaRule()
	custom.FromHeaders = []*Header{{Name: "x-token", Prefix: "JWT "}, {Name: "authorization", Prefix: "Bearer "}}
	custom.FromParams = []string{"token"}
	custom.FromCookies = []string{"session"}
	lenient := rsaRule()
	lenient.IgnoreOtherTokens = true
	for name, test := range map[string]struct {
		rules         []*Rule
		header        http.Header
		query         string
		subject, want string
	}{
		"none":                        {rules: []*Rule{rule}},
		"no rules":                    {header: http.Header{"Authorization": {"Bearer x"}}},
		"Basic":                       {rules: []*Rule{rule}, header: http.Header{"Authorization": {"Basic YTpi"}}},
		"whatever its case":           {rules: []*Rule{rule}, header: http.Header{"Authorization": {"bearer " + token}}, subject: "alice"},
		"default parameter":           {rules: []*Rule{rule}, query: "a=1&access_token=" + token, subject: "alice"},
		"escaped parameter":           {rules: []*Rule{rule}, query: "access%5Ftoken=" + strings.ReplaceAll(token, ".", "%2e"), subject: "alice"},
		"wrong parameter":             {rules: []*Rule{rule}, query: "access_token=a", want: string(errTokenFormat)},
		"second parameter":            {rules: []*Rule{rule}, query: "access_token=" + token + "&access_token=a", want: string(errTokenFormat)},
		"second line":                 {rules: []*Rule{rule}, header: http.Header{"Authorization": {"Bearer " + token, "Bearer " + bad}}, want: string(errUnknownIssuer)},
		"two in a line":               {rules: []*Rule{rule}, header: http.Header{"Authorization": {"Bearer " + token + ", Bearer " + token}}, want: string(errTokenFormat)},
		"same token twice":            {rules: []*Rule{rule}, header: http.Header{"Authorization": {"Bearer " + token, "Bearer " + token}}, subject: "alice"},
		"custom header":               {rules: []*Rule{custom}, header: http.Header{"X-Token": {"JWT " + token}}, subject: "alice"},
		"without its prefix":          {rules: []*Rule{custom}, header: http.Header{"X-Token": {token}}},
		"prefix in the wrong case":    {rules: []*Rule{custom}, header: http.Header{"X-Token": {"jwt " + token}}},
		"custom parameter":            {rules: []*Rule{custom}, query: "token=" + token, subject: "alice"},
		"default parameter is off":    {rules: []*Rule{custom}, query: "access_token=" + token},
		"cookie":                      {rules: []*Rule{custom}, header: http.Header{"Cookie": {"a=b; session=" + token}}, subject: "alice"},
		"quoted cookie":               {rules: []*Rule{custom}, header: http.Header{"Cookie": {`session="` + token + `"`}}, subject: "alice"},
		"wrong second cookie":         {rules: []*Rule{custom}, header: http.Header{"Cookie": {"session=" + token, "session=a"}}, want: string(errTokenFormat)},
		"two rules":                   {rules: []*Rule{rule, otherRule}, header: http.Header{"Authorization": {"Bearer " + other}}, subject: "bob"},
		"two rules and a bad token":   {rules: []*Rule{rule, otherRule}, header: http.Header{"Authorization": {"Bearer " + bad}}, want: string(errSignature)},
		"another rule's place":        {rules: []*Rule{custom, otherRule}, query: "token=" + other, want: string(errUnknownIssuer)},
		"one place, two ways":         {rules: []*Rule{otherRule, custom}, header: http.Header{"Authorization": {"Bearer " + token}}, subject: "alice"},
		"two tokens":                  {rules: []*Rule{otherRule, custom}, header: http.Header{"Authorization": {"Bearer " + other}}, query: "token=" + token, subject: "bob"},
		"a good token and a bad one":  {rules: []*Rule{rule, otherRule}, header: http.Header{"Authorization": {"Bearer " + token}}, query: "access_token=" + bad, want: string(errSignature)},
		"virtual key":                 {rules: []*Rule{lenient}, header: http.Header{"Authorization": {"Bearer sk-1"}}},
		"token beside a virtual key":  {rules: []*Rule{lenient}, header: http.Header{"Authorization": {"Bearer sk-1"}}, query: "access_token=" + token, subject: "alice"},
		"wrong token, other tokens":   {rules: []*Rule{lenient}, header: http.Header{"Authorization": {"Bearer a.b.c"}}, want: string(errHeaderBase64)},
		"virtual key where none goes": {rules: []*Rule{rule}, header: http.Header{"Authorization": {"Bearer sk-1"}}, want: string(errTokenFormat)},
	} {
		t.Run(name, func(t *testing.T) {
			tokens := compile(t, test.rules...)
			for range 2 {
				r := httptest.NewRequest(http.MethodGet, "http://gateway.example/?"+test.query, nil)
				r.Header = test.header.Clone()
				got := expect(t, tokens, r, test.want)
				if subject := ""; got != nil && got.Subject != test.subject || got == nil && test.subject != subject {
					t.Errorf("got %+v, want %q", got, test.subject)
				}
			}
		})
	}
}

func TestPreflightPassesWithoutToken(t *testing.T) {
	r := bearer("wrong")
	tokens := compile(t, rsaRule())
	r.Method = http.MethodOptions
	expect(t, tokens, r, string(errTokenFormat))
	r.Header.Set("Origin", "https://app.example")
	expect(t, tokens, r, string(errTokenFormat))
	r.Header.Set("Access-Control-Request-Method", "POST")
	if token := expect(t, tokens, r, ""); token != nil {
		t.Error("there is an identity")
	}
}

func TestSameIssuerAnyRule(t *testing.T) {
	first, second := rsaRule(), &Rule{Issuer: testIssuer, JWKS: jwks(jwk(testKeys().p256, "p256", ""))}
	first.Audiences = []string{"a"}
	tokens := compile(t, first, second)
	expect(t, tokens, bearer(sign(t, jose.ES256, testKeys().p256, "p256", claims(nil), nil)), "")
	expect(t, tokens, bearer(good(t, map[string]any{"aud": "a"})), "")
	expect(t, tokens, bearer(good(t, nil)), string(errNoKeyFits))
}

func TestRefusalRepeatsNoToken(t *testing.T) {
	r := httptest.NewRequest(http.MethodGet, "https://gateway.example/"+strings.Repeat("x", 1000)+"?access_token=secret", nil)
	r.Host = "gateway.example\"\r\n"
	_, err := compile(t, rsaRule()).Verify(r)
	want := `Bearer realm="https://gateway.example/` + strings.Repeat("x", 255) + `", error="invalid_token"`
	if _, got := Challenge(r, err); got != want {
		t.Errorf("got %q", got)
	}
}

// What was verified for one place is not good in another.
func TestRememberedTokenInAnotherPlace(t *testing.T) {
	first, second := rsaRule(), rsaRule()
	first.FromHeaders, second.FromHeaders, second.Issuer = []*Header{{Name: "x-first"}}, []*Header{{Name: "x-second"}}, "second"
	tokens := compile(t, first, second)
	for name, want := range map[string]string{"X-First": "", "X-Second": string(errUnknownIssuer)} {
		token := good(t, nil)
		r := httptest.NewRequest(http.MethodGet, "/", nil)
		r.Header.Set("X-First", token)
		expect(t, tokens, r, "")
		r.Header = http.Header{name: {token}}
		expect(t, tokens, r, want)
	}
}
