package headername

import "bytes"

// nameKind is what the name of a header says about its value.
type nameKind uint8

const (
	// plainName says nothing.
	plainName nameKind = iota
	// credentialName is that of a secret: a key, a token, a cookie.
	credentialName
	// identityName is that of a proxy's statement about who is calling.
	identityName
)

// maxName is the longest name that is taken apart, in bytes. Nothing is known of longer ones,
// which nobody uses: their values are hidden.
const maxName = 256

// IsCredential reports whether a header of this name carries a credential,
// so that its value is not written into a configuration. The name may have any
// case, and `_` or `.` in place of `-`.
func IsCredential(name string) bool { return kindOfName(name) == credentialName }

// IsHidden reports whether a header of this name carries a credential or a
// proxy's statement about who is calling. Logs do not show its value, and no
// provider gets it from a client unless `forward_headers` names it.
func IsHidden(name string) bool { return kindOfName(name) != plainName }

// kindOfName judges a name by its words, in any case, rather than by a list of
// names: every proxy has others, and so has every API.
func kindOfName(name string) nameKind {
	if len(name) > maxName {
		return credentialName
	}
	var text [64]byte
	var starts [16]int
	w := splitName(text[:0], starts[:0], name)
	return w.kind()
}

// nameWords are the words of a name, in lower case.
type nameWords struct {
	text   []byte
	starts []int // of the words, and of one more at the end
}

// splitName takes a name apart. It appends to text and starts, so that a name of
// usual length needs no memory of its own.
func splitName(text []byte, starts []int, name string) nameWords {
	starts = append(starts, 0)
	for i := range len(name) {
		c := name[i]
		switch {
		case 'A' <= c && c <= 'Z':
			c += 'a' - 'A'
		case c == '-' || c == '_' || c == '.':
			starts = append(starts, i+1)
		}
		text = append(text, c)
	}
	return nameWords{text, append(starts, len(name)+1)}
}

func (w *nameWords) len() int { return len(w.starts) - 1 }

// at returns a word, nil outside of the name.
func (w *nameWords) at(i int) []byte {
	if i < 0 || i >= w.len() {
		return nil
	}
	return w.text[w.starts[i] : w.starts[i+1]-1]
}

// is reports whether the word at i is this one.
func (w *nameWords) is(i int, word string) bool { return string(w.at(i)) == word }

func (w *nameWords) kind() nameKind {
	kind := w.kindOfParts()
	for i := 0; i < w.len() && kind != credentialName; i++ {
		switch {
		case w.isCredential(i):
			return credentialName
		case kind == plainName && w.isIdentity(i):
			kind = identityName
		}
	}
	return kind
}

// kindOfParts finds what tells of a credential or an identity inside of words as
// well, such as in xauthtoken, in one pass over the name.
func (w *nameWords) kindOfParts() nameKind {
	kind := plainName
	for i, c := range w.text {
		rest := w.text[i:]
		credential, identity := false, false
		switch c {
		case 'a':
			credential = tellsOfAuth(rest) || bytes.HasPrefix(rest, []byte("apikey"))
			identity = bytes.HasPrefix(rest, []byte("assertion"))
		case 'b':
			credential = bytes.HasPrefix(rest, []byte("bearer"))
		case 'c':
			credential = bytes.HasPrefix(rest, []byte("cookie")) || bytes.HasPrefix(rest, []byte("credential")) || bytes.HasPrefix(rest, []byte("csrf"))
		case 'j':
			identity = bytes.HasPrefix(rest, []byte("jwt"))
		case 'k':
			identity = bytes.HasPrefix(rest, []byte("kerberos"))
		case 'o':
			identity = bytes.HasPrefix(rest, []byte("oidc")) || bytes.HasPrefix(rest, []byte("openid"))
		case 'p':
			credential = bytes.HasPrefix(rest, []byte("password")) || bytes.HasPrefix(rest, []byte("passphrase"))
			identity = bytes.HasPrefix(rest, []byte("principal"))
		case 's':
			credential = bytes.HasPrefix(rest, []byte("secret"))
			identity = bytes.HasPrefix(rest, []byte("saml")) || bytes.HasPrefix(rest, []byte("spiffe")) || bytes.HasPrefix(rest, []byte("shibboleth"))
		case 't':
			credential = bytes.HasPrefix(rest, []byte("token")) && w.isToken(w.wordAt(i))
		case 'x':
			credential = bytes.HasPrefix(rest, []byte("xsrf"))
		}
		switch {
		case credential:
			return credentialName
		case identity:
			kind = identityName
		}
	}
	return kind
}

// wordAt returns the number of the word that the byte at i is in.
func (w *nameWords) wordAt(i int) int {
	n := 0
	for w.starts[n+1] <= i {
		n++
	}
	return n
}

// isCredential reports whether the word at i makes the name that of a credential.
func (w *nameWords) isCredential(i int) bool {
	word := w.at(i)
	switch string(word) {
	case "pass":
		return !w.is(i+1, "through")
	case "key", "keys":
		return !notSecretKey(w.at(i - 1))
	case "protocol": // where browsers put the key of a WebSocket
		return i == 2 && w.is(0, "sec") && w.is(1, "websocket")
	case "pw", "pwd", "passwd", "passcode", "otp", "totp", "cred", "creds", "dpop":
		return true
	}
	return isJoinedKey(word)
}

// notSecretKey reports whether "key" after this word means no secret.
func notSecretKey(before []byte) bool {
	switch string(before) {
	case "idempotency", "cache", "partition", "routing", "affinity", "shard", "sort", "surrogate", "dedup", "deduplication", "correlation", "websocket":
		return true
	}
	return false
}

// isJoinedKey finds keys in words such as accesskey.
func isJoinedKey(word []byte) bool {
	word = bytes.TrimSuffix(word, []byte("s"))
	before, ok := bytes.CutSuffix(word, []byte("key"))
	if !ok {
		return false
	}
	switch string(before) {
	case "access", "account", "admin", "app", "application", "client", "encryption", "function", "functions", "host", "license", "login", "master",
		"private", "service", "session", "shared", "signing", "storage", "subscription", "team", "user", "virtual":
		return true
	}
	return false
}

// tellsOfAuth finds auth, oauth2, authorization, authenticated and the like, but
// neither author nor authority.
func tellsOfAuth(text []byte) bool {
	after, found := bytes.CutPrefix(text, []byte("auth"))
	if !found {
		return false
	}
	rest, isAuthor := bytes.CutPrefix(after, []byte("or"))
	return !isAuthor || bytes.HasPrefix(rest, []byte("iz")) || bytes.HasPrefix(rest, []byte("is"))
}

// isToken reports whether the word at i is a token that lets its bearer in, and
// not one of those that models count.
func (w *nameWords) isToken(i int) bool {
	before, after, found := bytes.Cut(w.at(i), []byte("token"))
	if !found || bytes.HasPrefix(after, []byte("iz")) || bytes.HasPrefix(after, []byte("is")) {
		return false // a tokenizer
	}
	many := bytes.HasPrefix(after, []byte("s"))
	if many {
		after = after[1:]
	}
	if isCount(before, many) || isCount(after, many) {
		return false
	}
	for j := range w.len() {
		if j != i && isCount(w.at(j), many) {
			return false
		}
	}
	return true
}

// isCount reports whether a word beside token, or tokens, says that they are
// counted.
func isCount(word []byte, many bool) bool {
	switch string(word) {
	case "max", "maximum", "min", "minimum", "limit", "count", "counter", "budget":
		return true
	case "num", "number", "total", "used", "usage", "remaining", "ratelimit", "reset", "input", "output", "prompt", "completion", "cached", "reasoning",
		"thinking", "per":
		return many
	}
	return false
}

// isIdentity reports whether the word at i makes the name that of a statement
// about who is calling, in the words of the proxies that make them.
func (w *nameWords) isIdentity(i int) bool {
	word := w.at(i)
	switch string(word) {
	case "user":
		return i == w.len()-1 || isOfUser(w.at(i+1))
	case "remote":
		return isOfUser(w.at(i + 1))
	case "access":
		return w.is(i-1, "cf") // Cloudflare Access
	case "client":
		return w.is(i-1, "ssl") || w.is(i-1, "tls") || isOfCertificate(w.at(i+1))
	case "cert", "certs", "certificate", "certificates", "clientcert", "clientcertificate", "sslcert", "peercert", "mtls", "dn",
		"username", "userid", "useremail", "usergroups", "userinfo", "remoteuser", "email", "emails", "groups", "login", "upn",
		"jws", "jwe", "claim", "claims", "sso", "iap", "identity", "impersonate", "consumer", "ldap", "krb", "krb5", "shib",
		"pomerium", "tailscale", "teleport", "vouch":
		return true
	}
	return false
}

// isOfUser reports whether a word names something that a proxy says about a user.
// It leaves User-Agent and User-Type alone.
func isOfUser(word []byte) bool {
	switch string(word) {
	case "user", "id", "uid", "name", "fullname", "displayname", "email", "login", "group", "groups", "role", "roles", "permissions", "claims", "info",
		"dn", "principal", "identity", "profile", "extra", "subject", "sub", "data", "context", "attributes":
		return true
	}
	return false
}

// isOfCertificate reports whether a word after "client" is about its certificate.
func isOfCertificate(word []byte) bool {
	switch string(word) {
	case "dn", "verify", "verified", "subject", "issuer", "san", "serial", "fingerprint", "chain", "leaf":
		return true
	}
	return false
}
