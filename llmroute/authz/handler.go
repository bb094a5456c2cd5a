package authz

import (
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
	"go.uber.org/zap"

	"github.com/caddy-llm/gateway/internal/placeholder"
	"github.com/caddy-llm/gateway/llmprovider"
	"github.com/caddy-llm/gateway/llmroute/authz/jwt"
)

func init() {
	caddy.RegisterModule(new(Handler))
}

// ErrorCode is what a request that may not pass is logged and counted as.
const ErrorCode = "access_denied"

// tokenVar is the request variable with the verified token.
const tokenVar = "llm_token"

// Recorder counts the requests that may not pass. The llm app is one.
type Recorder interface {
	RecordDenial(*http.Request, *Decision)
}

// Handler lets only those requests pass that policies allow. Put it before
// `llm_route`.
//
// The policies, tokens and external services are those that Istio has as
// AuthorizationPolicy, RequestAuthentication and external authorizer, with the
// same meaning. What may not pass is answered with `RBAC: access denied` and the
// status 403, with 401 if its token is invalid, or with the response of the external
// service. The log says which policy and rule decided, and nothing of a token.
//
// Where Caddy's own matchers and `forward_auth` suffice, they may be simpler.
type Handler struct {
	Config

	set    *Set
	logger *zap.Logger
	// The llm app as each of these, nil without one.
	recorder  Recorder
	providers Providers
}

// CaddyModule returns the Caddy module information.
func (*Handler) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{
		ID:  "http.handlers.llm_authz",
		New: func() caddy.Module { return new(Handler) },
	}
}

// Provision resolves placeholders such as `{env.ISSUER}` and `{file./jwks.json}`
// in what tokens and external services are configured with, and sets up the
// policies. It makes no connections.
func (h *Handler) Provision(ctx caddy.Context) error {
	h.logger = ctx.Logger()
	if err := h.resolve(caddy.NewReplacer()); err != nil {
		return err
	}
	app, err := ctx.AppIfConfigured("llm")
	if err != nil && !errors.Is(err, caddy.ErrNotConfigured) {
		return fmt.Errorf("getting the llm app: %w", err)
	}
	h.recorder, _ = app.(Recorder)
	h.providers, _ = app.(Providers)
	if v, ok := app.(interface{ VerifiesTokens() }); ok && len(h.JWT) > 0 {
		v.VerifiesTokens()
	}
	if err := placeholder.RefuseIn(&h.Config); err != nil { // in all that resolve left
		return err
	}
	if h.HasGateways() {
		return errors.New("gateways in a policy or a token rule are for those of sources; leave them out")
	}
	var problems []Problem
	h.set, problems = New(&h.Config, h.logger)
	if b, ok := app.(interface{ StrangerBodies() *llmprovider.Budget }); ok {
		h.set.UseBodies(b.StrangerBodies())
	}
	var errs []error
	for _, p := range problems {
		errs = append(errs, p.Error())
	}
	return errors.Join(errs...)
}

// Error is the problem as an error.
func (p Problem) Error() error {
	switch {
	case p.Policy == "":
		return fmt.Errorf("%s: %s", p.Path, p.Message)
	case p.Path == "":
		return fmt.Errorf("%s: %s", p.Policy, p.Message)
	}
	return fmt.Errorf("%s: %s: %s", p.Policy, p.Path, p.Message)
}

func (h *Handler) resolve(repl *caddy.Replacer) error {
	var fields []*string
	for _, rule := range h.JWT {
		fields = append(fields, &rule.Issuer, &rule.JWKSURI, &rule.JWKSCA)
		if !json.Valid([]byte(rule.JWKS)) { // its braces would pass for placeholders
			fields = append(fields, &rule.JWKS)
		}
		for i := range rule.Audiences {
			fields = append(fields, &rule.Audiences[i])
		}
	}
	for _, e := range h.ExtAuthz {
		fields = append(fields, &e.Service)
	}
	for _, field := range fields {
		value, err := repl.ReplaceOrErr(*field, true, true)
		if err != nil {
			return fmt.Errorf("a setting has a placeholder that has no value: %w", err)
		}
		*field = value
	}
	for _, e := range h.ExtAuthz {
		for name, value := range e.IncludeAdditionalHeadersInCheck {
			value, err := repl.ReplaceOrErr(value, true, true)
			if err != nil {
				return fmt.Errorf("header %s: %w", name, err)
			}
			e.IncludeAdditionalHeadersInCheck[name] = value
		}
	}
	return nil
}

// ServeHTTP implements caddyhttp.MiddlewareHandler.
func (h *Handler) ServeHTTP(w http.ResponseWriter, r *http.Request, next caddyhttp.Handler) error {
	if refused := llmprovider.Prepare(r); refused != nil {
		logError(r, refused.Code)
		return refused.Write(w)
	}
	decide := h.set.Authorize
	if HasSlashesInRow(r.URL.Path) { // what follows may read several slashes as one
		decide = h.set.AuthorizeMerged
	}
	d := decide(w.Header(), r, h.providers)
	if d.Refusal != nil {
		logError(r, ErrorCode, d.LogFields()...)
		if h.recorder != nil {
			h.recorder.RecordDenial(r, &d)
		}
		d.Log(h.logger, r)
		return d.Refusal.Write(w)
	}
	if d.Token != nil {
		caddyhttp.SetVar(r.Context(), tokenVar, d.Token)
	}
	return next.ServeHTTP(w, r)
}

// logError adds why a request is refused to its line in the access log.
func logError(r *http.Request, code string, more ...zap.Field) {
	if extra, ok := r.Context().Value(caddyhttp.ExtraLogFieldsCtxKey).(*caddyhttp.ExtraLogFields); ok {
		for _, field := range append(more, zap.String("llm_error", code)) {
			extra.Set(field)
		}
	}
}

// Log logs that the request may not pass, and what decided.
func (d *Decision) Log(logger *zap.Logger, r *http.Request) {
	if c := logger.Check(zap.InfoLevel, "request denied"); c != nil {
		c.Write(append(d.LogFields(), zap.Int("status", d.Refusal.Status), zap.String("remote_ip", PeerOf(r)))...)
	}
}

// LogFields say in a log what decided.
func (d *Decision) LogFields() []zap.Field {
	fields := []zap.Field{zap.String("authz_reason", d.Reason)}
	if d.Policy != "" {
		fields = append(fields, zap.String("authz_policy", d.Policy), zap.Int("authz_rule", d.Rule))
	}
	return fields
}

// TokenOf is the token that Handler verified for the request, nil without one.
func TokenOf(r *http.Request) *jwt.Token {
	token, _ := caddyhttp.GetVar(r.Context(), tokenVar).(*jwt.Token)
	return token
}

// PeerOf is the address of the other end of a request's connection.
func PeerOf(r *http.Request) string {
	host, _, err := net.SplitHostPort(r.RemoteAddr)
	if err != nil {
		return r.RemoteAddr
	}
	return host
}

// Interface guards
var (
	_ caddy.Provisioner           = (*Handler)(nil)
	_ caddyhttp.MiddlewareHandler = (*Handler)(nil)
)
