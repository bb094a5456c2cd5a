package jwt

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"math"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/go-jose/go-jose/v4"
	strictjson "github.com/go-jose/go-jose/v4/json"
)

// maxToken is the longest token that is looked at, in bytes.
const maxToken = 16 << 10

// clockSkew is how much an issuer's clock may differ, in seconds: Envoy's default.
const clockSkew = 60

// tokenError is why a token is refused. The texts are those of Envoy
// (https://github.com/google/jwt_verify_lib/blob/master/src/status.cc).
type tokenError string

func (e tokenError) Error() string { return string(e) }

const (
	errTokenFormat    tokenError = "Jwt is not in the form of Header.Payload.Signature with two dots and 3 sections"
	errHeaderBase64   tokenError = "Jwt header is an invalid Base64url encoded"
	errHeaderJSON     tokenError = "Jwt header is an invalid JSON"
	errHeaderAlg      tokenError = "Jwt header [alg] field is required and must be a string"
	errAlgUnsupported tokenError = "Jwt header [alg] is not supported"
	errHeaderKid      tokenError = "Jwt header [kid] field is not a string"
	errPayloadBase64  tokenError = "Jwt payload is an invalid Base64url encoded"
	errPayloadJSON    tokenError = "Jwt payload is an invalid JSON"
	errAudNotText     tokenError = "Jwt payload [aud] field is not a string or string list"
	errSigBase64      tokenError = "Jwt signature is an invalid Base64url encoded"
	errExpired        tokenError = "Jwt is expired"
	errNotYetValid    tokenError = "Jwt not yet valid"
	errUnknownIssuer  tokenError = "Jwt issuer is not configured"
	errAudience       tokenError = "Audiences in Jwt are not allowed"
	errSignature      tokenError = "Jwt verification fails"
	errNoKeyFits      tokenError = "Jwks doesn't have key to match kid or alg from Jwt"
	errNoKeys         tokenError = "Jwks doesn't have any valid public key"
	errFetch          tokenError = "Jwks remote fetch is failed"

	// Not among Envoy's, which has other limits and ignores these headers.
	errTokenSize  tokenError = "Jwt is too large"
	errHeaderCrit tokenError = "Jwt header [crit] is not supported"
)

// algorithms are those that a token may be signed with. None of them works with
// a shared secret.
var algorithms = []jose.SignatureAlgorithm{
	jose.RS256, jose.RS384, jose.RS512,
	jose.PS256, jose.PS384, jose.PS512,
	jose.ES256, jose.ES384, jose.ES512,
	jose.EdDSA,
}

// parsed is a token taken apart. Nothing in it is verified.
type parsed struct {
	alg, kid   string
	issuer     string
	subject    string
	audiences  []string
	notBefore  float64 // seconds since 1970, 0 without nbf
	expires    float64 // likewise, infinite without exp
	claims     map[string]any
	signed     *jose.JSONWebSignature
	rawPayload string // in base64url
}

// parse takes a token apart, in Envoy's order, so that a token with several
// mistakes gets the same response.
func parse(text string) (*parsed, error) {
	if !looksLikeToken(text) {
		return nil, errTokenFormat
	}
	if len(text) > maxToken {
		return nil, errTokenSize
	}
	parts := strings.Split(text, ".")
	p := &parsed{rawPayload: parts[1], expires: math.Inf(1)}
	data, err := decodePart(parts[0])
	if err != nil {
		return nil, errHeaderBase64
	}
	header, err := decodeObject(data)
	if err != nil {
		return nil, errHeaderJSON
	}
	if err := p.readHeader(header); err != nil {
		return nil, err
	}
	if data, err = decodePart(parts[1]); err != nil {
		return nil, errPayloadBase64
	}
	if p.claims, err = decodeObject(data); err != nil {
		return nil, errPayloadJSON
	}
	if err := p.readClaims(); err != nil {
		return nil, err
	}
	if _, err := decodePart(parts[2]); err != nil {
		return nil, errSigBase64
	}
	if p.signed, err = jose.ParseSignedCompact(text, algorithms); err != nil {
		return nil, errSignature
	}
	return p, nil
}

// looksLikeToken reports whether a text has three parts with dots between them.
func looksLikeToken(text string) bool {
	header, rest, _ := strings.Cut(text, ".")
	payload, signature, found := strings.Cut(rest, ".")
	return found && header != "" && payload != "" && signature != "" && !strings.Contains(signature, ".")
}

// base64url has one spelling for each text, so that a token does as well.
var base64url = base64.RawURLEncoding.Strict()

func decodePart(part string) ([]byte, error) {
	if strings.ContainsAny(part, "\r\n") { // which the decoder skips
		return nil, errors.New("line breaks")
	}
	return base64url.DecodeString(part)
}

// decodeObject reads a JSON object. A name that is there twice is a mistake:
// somebody else could read the other value.
func decodeObject(data []byte) (map[string]any, error) {
	if !utf8.Valid(data) {
		return nil, errors.New("not UTF-8")
	}
	var object map[string]any
	if err := strictjson.Unmarshal(data, &object); err != nil {
		return nil, err
	}
	object = nil
	decoder := json.NewDecoder(strings.NewReader(string(data)))
	decoder.UseNumber()
	if err := decoder.Decode(&object); err != nil {
		return nil, err
	}
	if object == nil {
		return nil, errors.New("null")
	}
	return object, nil
}

func (p *parsed) readHeader(header map[string]any) error {
	var ok bool
	if p.alg, ok = header["alg"].(string); !ok {
		return errHeaderAlg
	}
	if !slices.Contains(algorithms, jose.SignatureAlgorithm(p.alg)) {
		return errAlgUnsupported
	}
	if kid, there := header["kid"]; there {
		if p.kid, ok = kid.(string); !ok {
			return errHeaderKid
		}
	}
	// RFC 7515, 4.1.11, and RFC 7797, which is not for tokens.
	for _, name := range []string{"crit", "b64"} {
		if _, there := header[name]; there {
			return errHeaderCrit
		}
	}
	return nil
}

func (p *parsed) readClaims() error {
	var id string
	for _, claim := range []struct {
		name string
		into *string
	}{{"iss", &p.issuer}, {"sub", &p.subject}} {
		if err := p.text(claim.name, claim.into); err != nil {
			return err
		}
	}
	var issued float64
	for _, claim := range []struct {
		name string
		into *float64
	}{{"iat", &issued}, {"nbf", &p.notBefore}, {"exp", &p.expires}} {
		if err := p.time(claim.name, claim.into); err != nil {
			return err
		}
	}
	if err := p.text("jti", &id); err != nil {
		return err
	}
	switch aud := p.claims["aud"].(type) {
	case nil:
		if _, there := p.claims["aud"]; there {
			return errAudNotText
		}
	case string:
		p.audiences = []string{aud}
	case []any:
		for _, one := range aud {
			text, ok := one.(string)
			if !ok {
				return errAudNotText
			}
			p.audiences = append(p.audiences, text)
		}
	default:
		return errAudNotText
	}
	return nil
}

func (p *parsed) text(name string, into *string) error {
	value, there := p.claims[name]
	if !there {
		return nil
	}
	text, ok := value.(string)
	if !ok {
		return tokenError("Jwt payload [" + name + "] field is not a string")
	}
	*into = text
	return nil
}

func (p *parsed) time(name string, into *float64) error {
	value, there := p.claims[name]
	if !there {
		return nil
	}
	number, ok := value.(json.Number)
	if !ok {
		return tokenError("Jwt payload [" + name + "] field is not an integer")
	}
	seconds, err := number.Float64()
	if err != nil || seconds < 0 || seconds >= 1<<64 {
		return tokenError("Jwt payload [" + name + "] field is not a positive 64 bit integer")
	}
	*into = math.Floor(seconds)
	return nil
}

// checkTime reports whether a token with these claims is in force.
func checkTime(notBefore, expires, now float64) error {
	if now+clockSkew < notBefore {
		return errNotYetValid
	}
	if now > expires+clockSkew {
		return errExpired
	}
	return nil
}
