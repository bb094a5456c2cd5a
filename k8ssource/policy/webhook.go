package policy

import (
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"strings"

	"golang.org/x/net/http/httpguts"

	"github.com/caddy-llm/gateway/k8ssource/api/v1alpha1"
	"github.com/caddy-llm/gateway/k8ssource/header"
	"github.com/caddy-llm/gateway/k8ssource/object"
	"github.com/caddy-llm/gateway/llmprovider/headername"
	"github.com/caddy-llm/gateway/llmprovider/upstream"
	"github.com/caddy-llm/gateway/llmroute/guard/decide"
)

// webhook fills in a service. Its URL may hold a token, and is not repeated.
func (b *builder) webhook(path string, w *v1alpha1.GuardWebhook) *decide.Webhook {
	out := &decide.Webhook{
		URL: w.URL, Format: w.Format, Timeout: b.timeout(path, w.Timeout), OnFailure: b.word(path+".onFailure", string(w.OnFailure)),
		ForwardHeaders: w.ForwardHeaders, Guarded: !b.in.AllowAnyHost,
	}
	u, err := url.Parse(w.URL)
	switch {
	case err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" || u.User != nil || len(w.URL) > object.MaxWebhookURL:
		b.wrong("%s.url: this is not a URL that can be called; write http://HOST:PORT/PATH or https://HOST/PATH, and credentials under secretHeaders", path)
	case out.Guarded:
		port, _ := strconv.Atoi(u.Port())
		if what := upstream.InternalHost(u.Hostname(), port); what != "" {
			b.fault(object.ReasonHostNotAllowed, "%s.url: this is %s, which manifests may not name; write the service's own address", path, what)
		}
	}
	if w.Format != decide.FormatAgentgateway && w.Format != decide.FormatLiteLLM {
		b.wrong("%s.format: this format is unknown; write agentgateway or litellm", path)
	}
	if len(w.ForwardHeaders) > object.MaxForwarded {
		b.wrong("%s.forwardHeaders: "+object.TooMany, path, object.MaxForwarded)
	}
	for i, name := range w.ForwardHeaders {
		switch {
		case !httpguts.ValidHeaderFieldName(name):
			b.wrong("%s.forwardHeaders[%d]: this is not a header name", path, i)
		case headername.IsHidden(name):
			// A client's key may be good for what the policy's writer may not use.
			b.wrong("%s.forwardHeaders[%d]: the header may be a credential of the client, which the service must not get; leave it out", path, i)
		}
	}
	if len(w.SecretHeaders) > object.MaxSecretHeaders {
		b.wrong("%s.secretHeaders: "+object.TooMany, path, object.MaxSecretHeaders)
	}
	for i := range w.SecretHeaders {
		b.secretHeader(fmt.Sprintf("%s.secretHeaders[%d]", path, i), &w.SecretHeaders[i], out)
	}
	return out
}

func (b *builder) secretHeader(path string, h *v1alpha1.SecretHeader, to *decide.Webhook) {
	switch {
	case !httpguts.ValidHeaderFieldName(h.Name), header.WrittenByGateway(http.CanonicalHeaderKey(h.Name)):
		b.wrong("%s.name: this is not a header name, or one that the gateway writes itself", path)
		return
	case h.SecretRef == nil || h.SecretRef.Key == "":
		b.wrong("%s.secretRef: a Secret is required; write its name and the key of the value in it", path)
		return
	}
	value, secret, faults := b.in.Secrets.Value(b.object.Namespace, path+".secretRef", h.SecretRef, "")
	b.out.Faults = append(b.out.Faults, faults...)
	b.out.Secrets[b.object.Namespace+"/"+h.SecretRef.Name] = secret
	if object.Refusal(faults) != "" {
		return
	}
	switch value = strings.TrimSpace(value); {
	case object.TemplateForm(value) != "":
		b.fault(object.ReasonInvalidKey, "%s.secretRef: this is a template nobody has filled in (%s), and placeholders are not expanded in objects; write the value into the Secret", path, object.TemplateForm(value))
		return
	case value == "" || len(value) > object.MaxKeySize || !httpguts.ValidHeaderFieldValue(value):
		b.fault(object.ReasonInvalidKey, "%s.secretRef: the value is empty, too long, or has a control character inside; correct it in the Secret", path)
		return
	}
	if to.FixedHeaders == nil {
		to.FixedHeaders = make(map[string]string)
	}
	to.FixedHeaders[h.Name] = value
}
