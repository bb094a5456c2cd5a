package jwt

import (
	"context"
	"encoding/pem"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
	"weak"

	"github.com/caddyserver/caddy/v2"
	"github.com/go-jose/go-jose/v4"
	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"
)

// keyServer is an issuer's server.
type keyServer struct {
	*httptest.Server
	ca     string
	asked  atomic.Int32
	answer atomic.Pointer[http.HandlerFunc]
}

func newKeyServer(t *testing.T, keys ...jose.JSONWebKey) *keyServer {
	t.Helper()
	s := &keyServer{ca: filepath.Join(t.TempDir(), "ca.pem")}
	s.Server = httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s.asked.Add(1)
		(*s.answer.Load())(w, r)
	}))
	s.Config.ErrorLog = zap.NewStdLog(zap.NewNop())
	t.Cleanup(s.Close)
	certificate := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: s.Certificate().Raw})
	if err := os.WriteFile(s.ca, certificate, 0o600); err != nil {
		t.Fatal(err)
	}
	s.serve(keys...)
	return s
}

func (s *keyServer) handle(answer http.HandlerFunc) { s.answer.Store(&answer) }

func (s *keyServer) serve(keys ...jose.JSONWebKey) {
	s.handle(func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, jwks(keys...)) })
}

func (s *keyServer) rule() *Rule {
	return &Rule{Issuer: testIssuer, JWKSURI: s.URL + "/keys?secret=hidden", JWKSCA: s.ca}
}

// start compiles the rule, with a clock for its keys that the function moves.
func start(t *testing.T, rule *Rule) (tokens *Verifier, forward func(time.Duration), logs *observer.ObservedLogs) {
	t.Helper()
	core, logs := observer.New(zap.InfoLevel)
	tokens = compile(t, rule)
	tokens.logger = zap.New(core)
	var ahead atomic.Int64
	tokens.rules[0].source.now = func() time.Time { return time.Now().Add(time.Duration(ahead.Load())) }
	return tokens, func(d time.Duration) { ahead.Add(int64(d)) }, logs
}

// idle waits until nothing is fetched.
func (s *keySource) idle() {
	s.mu.Lock()
	done := s.running
	s.mu.Unlock()
	if done != nil {
		<-done
	}
}

func (s *keyServer) expectAsked(t *testing.T, want int32) {
	t.Helper()
	if got := s.asked.Load(); got != want {
		t.Errorf("the key server was asked %d times, want %d", got, want)
	}
}

func expectLogs(t *testing.T, logs *observer.ObservedLogs, want ...string) {
	t.Helper()
	var got []string
	for _, entry := range logs.TakeAll() {
		got = append(got, entry.Message)
		if text := fmt.Sprint(entry.ContextMap()); strings.Contains(text, "hidden") {
			t.Errorf("logged %s", text)
		}
	}
	if strings.Join(got, "|") != strings.Join(want, "|") {
		t.Errorf("logged %q, want %q", got, want)
	}
}

const (
	logFetched = "fetched a token issuer's keys"
	logKept    = "cannot fetch a token issuer's keys; keeping the last ones"
	logNone    = "cannot fetch a token issuer's keys; its tokens are refused"
)

func TestKeysAreFetchedOnceAndAgain(t *testing.T) {
	server := newKeyServer(t, jwk(testKeys().rsa, "rsa", ""))
	tokens, forward, logs := start(t, server.rule())
	source := tokens.rules[0].source
	server.expectAsked(t, 0)
	for range 3 {
		expect(t, tokens, bearer(good(t, nil)), "")
	}
	server.expectAsked(t, 1)
	expectLogs(t, logs, logFetched)

	forward(keysMaxAge + time.Second) // in the background, with the old ones meanwhile
	set := source.current.Load().set
	expect(t, tokens, bearer(good(t, nil)), "")
	source.idle()
	expect(t, tokens, bearer(good(t, nil)), "")
	server.expectAsked(t, 2)
	if source.current.Load().set != set {
		t.Error("the same keys are taken for others")
	}
	expectLogs(t, logs)
}

func TestKeysChange(t *testing.T) {
	keys := testKeys()
	server := newKeyServer(t, jwk(keys.rsa, "rsa", ""))
	tokens, forward, _ := start(t, server.rule())
	old := good(t, nil)
	expect(t, tokens, bearer(old), "")

	// A token with a new key has the keys fetched.
	server.serve(jwk(keys.rsa, "rsa", ""), jwk(keys.p256, "new", ""))
	newer := sign(t, jose.ES256, keys.p256, "new", claims(nil), nil)
	expect(t, tokens, bearer(newer), "")
	server.expectAsked(t, 2)
	unknown := sign(t, jose.ES256, keys.p256, "unknown", claims(nil), nil)

	// A key that is withdrawn verifies nothing, not even tokens that it verified.
	expect(t, tokens, bearer(old), "")
	server.serve(jwk(keys.p256, "new", ""))
	forward(keysBurst * keysOnDemand)
	expect(t, tokens, bearer(unknown), string(errNoKeyFits))
	expect(t, tokens, bearer(old), string(errNoKeyFits))
	expect(t, tokens, bearer(newer), "")
}

// TestMadeUpKeysUseNothingUp holds that tokens with made-up keys have the keys
// fetched at a bounded rate, and that a token with a new key is accepted all the
// same: after the first rotation, after a second one at once, and when a key is
// replaced under its name.
func TestMadeUpKeysUseNothingUp(t *testing.T) {
	keys := testKeys()
	server := newKeyServer(t, jwk(keys.rsa, "rsa", ""))
	tokens, _, _ := start(t, server.rule())
	expect(t, tokens, bearer(good(t, nil)), "")
	began := time.Now()
	madeUp := func() {
		var wg sync.WaitGroup
		for i := range 30 {
			token := sign(t, jose.ES256, keys.p256, fmt.Sprint("made-up-", i), claims(nil), nil)
			wg.Go(func() { expect(t, tokens, bearer(token), string(errNoKeyFits)) })
		}
		wg.Wait()
	}
	madeUp()
	for range keysBurst {
		expect(t, tokens, bearer(sign(t, jose.ES256, keys.p256, "made-up", claims(nil), nil)), string(errNoKeyFits))
	}
	server.serve(jwk(keys.rsa, "rsa", ""), jwk(keys.p256, "second", ""))
	expect(t, tokens, bearer(sign(t, jose.ES256, keys.p256, "second", claims(nil), nil)), "")
	madeUp()
	server.serve(jwk(keys.p384, "third", ""))
	expect(t, tokens, bearer(sign(t, jose.ES384, keys.p384, "third", claims(nil), nil)), "")
	server.serve(jwk(keys.otherRSA, "rsa", ""))
	expect(t, tokens, bearer(sign(t, jose.RS256, keys.otherRSA, "rsa", claims(nil), nil)), "")
	server.serve(jwk(keys.rsa, "rsa", "")) // under the same name
	expect(t, tokens, bearer(good(t, nil)), "")
	expect(t, tokens, bearer(sign(t, jose.RS256, keys.otherRSA, "rsa", claims(nil), nil)), string(errSignature))
	if most := keysBurst + int(time.Since(began)/keysOnDemand) + 2; int(server.asked.Load()) > most {
		t.Errorf("asked %d times in %s, want at most %d", server.asked.Load(), time.Since(began), most)
	}
}

// TestAFetchThatBeganTooEarly has a key change while a fetch for another token is
// under way: the token with the new key waits for the next one.
func TestAFetchThatBeganTooEarly(t *testing.T) {
	keys := testKeys()
	server := newKeyServer(t, jwk(keys.rsa, "rsa", ""))
	tokens, _, _ := start(t, server.rule())
	expect(t, tokens, bearer(good(t, nil)), "")
	asked, release := make(chan struct{}), make(chan struct{})
	server.handle(func(w http.ResponseWriter, _ *http.Request) {
		close(asked)
		<-release
		fmt.Fprint(w, jwks(jwk(keys.rsa, "rsa", "")))
	})
	var wg sync.WaitGroup
	wg.Go(func() {
		expect(t, tokens, bearer(sign(t, jose.ES256, keys.p256, "made-up", claims(nil), nil)), string(errNoKeyFits))
	})
	<-asked
	server.serve(jwk(keys.p256, "new", ""))
	wg.Go(func() { expect(t, tokens, bearer(sign(t, jose.ES256, keys.p256, "new", claims(nil), nil)), "") })
	time.Sleep(20 * time.Millisecond)
	close(release)
	wg.Wait()
}

func TestKeyServerFails(t *testing.T) {
	for name, answer := range map[string]http.HandlerFunc{
		"500":     func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(500) },
		"no keys": func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, `{"keys":[]}`) },
		"no JSON": func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, `<html>`) },
		"huge": func(w http.ResponseWriter, _ *http.Request) {
			fmt.Fprint(w, strings.Repeat(" ", maxKeySet), jwks(jwk(testKeys().rsa, "rsa", "")))
		},
		"broken":   func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) },
		"redirect": func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, "http://"+r.Host, http.StatusFound) },
		"around":   func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, r.URL.Path, http.StatusFound) },
	} {
		t.Run(name, func(t *testing.T) {
			server := newKeyServer(t)
			server.handle(answer)
			tokens, forward, logs := start(t, server.rule())
			source := tokens.rules[0].source
			for range 3 {
				expect(t, tokens, bearer(good(t, nil)), string(errFetch))
			}
			each := server.asked.Load()
			if each > maxRedirects+1 {
				t.Errorf("asked %d times at once", each)
			}
			forward(2 * time.Second)
			for range 3 {
				expect(t, tokens, bearer(good(t, nil)), string(errFetch))
			}
			server.expectAsked(t, 2*each)
			forward(1500 * time.Millisecond) // the pause is twice as long now
			expect(t, tokens, bearer(good(t, nil)), string(errFetch))
			server.expectAsked(t, 2*each)
			expectLogs(t, logs, logNone)

			server.serve(jwk(testKeys().rsa, "rsa", ""))
			forward(time.Minute)
			expect(t, tokens, bearer(good(t, nil)), "")
			expectLogs(t, logs, logFetched)

			server.handle(answer)
			for range 3 {
				forward(keysMaxAge + time.Second)
				expect(t, tokens, bearer(good(t, nil)), "")
				source.idle()
				expect(t, tokens, bearer(good(t, nil)), "")
			}
			expectLogs(t, logs, logKept)
			server.serve(jwk(testKeys().rsa, "rsa", ""))
			forward(2 * time.Minute)
			expect(t, tokens, bearer(good(t, nil)), "")
			source.idle()
			expectLogs(t, logs, logFetched)
		})
	}
}

// Keys that anybody between could have replaced are not used.
func TestKeysStayEncrypted(t *testing.T) {
	plain := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		fmt.Fprint(w, jwks(jwk(testKeys().rsa, "rsa", "")))
	}))
	defer plain.Close()
	server := newKeyServer(t)
	server.handle(func(w http.ResponseWriter, r *http.Request) {
		if strings.HasSuffix(r.URL.Path, "/openid-configuration") {
			fmt.Fprintf(w, `{"jwks_uri":%q}`, plain.URL)
			return
		}
		http.Redirect(w, r, plain.URL, http.StatusFound)
	})
	expect(t, compile(t, &Rule{Issuer: testIssuer, JWKSURI: plain.URL}), bearer(good(t, nil)), "") // where that is said
	expect(t, compile(t, server.rule()), bearer(good(t, nil)), string(errFetch))
	discovered := compile(t, &Rule{Issuer: server.URL, JWKSCA: server.ca})
	expect(t, discovered, bearer(good(t, map[string]any{"iss": server.URL})), string(errFetch))
}

func TestSlowKeyServer(t *testing.T) {
	server := newKeyServer(t)
	release := make(chan struct{})
	server.handle(func(w http.ResponseWriter, _ *http.Request) {
		<-release
		fmt.Fprint(w, jwks(jwk(testKeys().rsa, "rsa", "")))
	})
	tokens, _, _ := start(t, server.rule())
	token := good(t, nil)
	var wg sync.WaitGroup
	for range 20 {
		wg.Go(func() { expect(t, tokens, bearer(token), "") })
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel() // who leaves does not wait, and stops nothing for the others
	expect(t, tokens, bearer(token).WithContext(ctx), string(errFetch))
	close(release)
	wg.Wait()
	server.expectAsked(t, 1)

	stuck := newKeyServer(t)
	stuck.handle(func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() })
	rule := stuck.rule()
	rule.Timeout = caddy.Duration(50 * time.Millisecond)
	tokens, _, logs := start(t, rule)
	expect(t, tokens, bearer(token), string(errFetch))
	expectLogs(t, logs, logNone)
}

func TestKeyServerNeedsACertificate(t *testing.T) {
	server := newKeyServer(t, jwk(testKeys().rsa, "rsa", ""))
	rule := server.rule()
	rule.JWKSCA = ""
	tokens, _, _ := start(t, rule)
	expect(t, tokens, bearer(good(t, nil)), string(errFetch))
}

func TestDiscovery(t *testing.T) {
	for name, test := range map[string]struct{ uri, want string }{
		"good":      {"SERVER/keys", ""},
		"no https":  {"http://127.0.0.1/keys", string(errFetch)},
		"none":      {"", string(errFetch)},
		"not a URL": {"keys", string(errFetch)},
	} {
		server := newKeyServer(t)
		server.handle(func(w http.ResponseWriter, r *http.Request) {
			switch r.URL.Path {
			case "/realm/.well-known/openid-configuration":
				fmt.Fprintf(w, `{"jwks_uri":%q}`, strings.Replace(test.uri, "SERVER", server.URL, 1))
			case "/keys":
				fmt.Fprint(w, jwks(jwk(testKeys().rsa, "rsa", "")))
			default:
				t.Errorf("%s: asked for %s", name, r.URL)
			}
		})
		issuer := server.URL + "/realm/"
		tokens, _, _ := start(t, &Rule{Issuer: issuer, JWKSCA: server.ca})
		expect(t, tokens, bearer(good(t, map[string]any{"iss": issuer})), test.want)
	}
}

// The next set takes over what this one fetched, and when nobody needs it any
// longer it is gone.
func TestKeysOutliveASet(t *testing.T) {
	server := newKeyServer(t, jwk(testKeys().rsa, "rsa", ""))
	source := func() weak.Pointer[keySource] {
		tokens := compile(t, server.rule())
		expect(t, tokens, bearer(good(t, nil)), "")
		next := compile(t, server.rule())
		runtime.KeepAlive(tokens)
		expect(t, next, bearer(good(t, nil)), "")
		server.expectAsked(t, 1)
		return weak.Make(next.rules[0].source)
	}()
	for range 100 {
		runtime.GC()
		if source.Value() == nil {
			return
		}
		time.Sleep(10 * time.Millisecond)
	}
	t.Error("the keys are still there")
}
