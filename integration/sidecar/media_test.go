//go:build linux

package sidecar_test

import (
	"encoding/base64"
	"fmt"
	"net"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/caddy-llm/gateway/integration/fakemodel"
	"github.com/caddy-llm/gateway/integration/fakeprovider"
)

// publicIP4 is an address of the world that is one of the internet, unlike the others.
const publicIP4 = "93.184.215.14"

// mediaManifests are providers whose APIs take no URLs, and all but one of which fetch what
// they name.
const mediaManifests = `apiVersion: istio.alibabacloud.com/v1beta1
kind: LLMProvider
metadata: {name: gemini}
spec:
  host: generativelanguage.googleapis.com
  fetchMedia: {}
  configs: {defaultConfig: {geminiConfig: {model: gemini-3-pro, apiKey: key-of-google}}}
---
apiVersion: istio.alibabacloud.com/v1beta1
kind: LLMProvider
metadata: {name: small}
spec:
  host: small.googleapis.com
  fetchMedia: {maxSize: 100}
  configs: {defaultConfig: {geminiConfig: {model: gemini-3-pro, apiKey: key-of-google}}}
---
apiVersion: istio.alibabacloud.com/v1beta1
kind: LLMProvider
metadata: {name: without}
spec:
  host: without.googleapis.com
  configs: {defaultConfig: {geminiConfig: {model: gemini-3-pro, apiKey: key-of-google}}}
---
apiVersion: istio.alibabacloud.com/v1beta1
kind: LLMProvider
metadata: {name: bedrock}
spec:
  host: bedrock-runtime.eu-central-1.amazonaws.com
  fetchMedia: {maxSize: 100}
  configs: {defaultConfig: {bedrockConfig: {model: "amazon.nova-pro-v1:0", region: eu-central-1, apiKey: key-of-aws}}}
`

// TestMediaByURL holds that images by URL are fetched from the world's public address, and
// from no other, for providers that take content alone. It is here because it needs a
// world whose addresses it can choose.
func TestMediaByURL(t *testing.T) {
	const gemini, small, without, bedrock = "generativelanguage.googleapis.com", "small.googleapis.com", "without.googleapis.com", "bedrock-runtime.eu-central-1.amazonaws.com"
	p := &pod{site: newSite(t, worldIP4+" "+gemini+" "+small+" "+without, otherIP4+" "+bedrock, publicIP4+" images.example.com", otherIP4+" inside.example.com")}
	p.must("ip", "-n", p.world, "addr", "add", publicIP4+"/32", "dev", "eth0")

	google := p.server(net.JoinHostPort(worldIP4, "443"), fakeprovider.Names(gemini, small, without))
	google.Script(fakeprovider.Always(fakemodel.Gemini.Reply(false, fakemodel.Turn{Text: "a cat"})))
	aws := p.server(net.JoinHostPort(otherIP4, "443"), fakeprovider.Names(bedrock))
	aws.Script(fakeprovider.Always(fakemodel.Converse.Reply(false, fakemodel.Turn{Text: "a cat"})))

	image := []byte("\x89PNG\r\n\x1a\n what a decoder would read, which nothing here does")
	images := func(_ int, r *fakeprovider.Recorded) fakeprovider.Reply {
		switch r.Path {
		case "/cat.png":
			return fakeprovider.Bytes(http.StatusOK, "image/png", image)
		case "/large.png":
			return fakeprovider.Bytes(http.StatusOK, "image/png", slices.Concat(image, image))
		case "/moved.png":
			return fakeprovider.Bytes(http.StatusFound, "text/plain", nil).WithHeader("Location", "http://inside.example.com/cat.png")
		}
		return fakeprovider.Bytes(http.StatusNotFound, "text/plain", nil)
	}
	secure := p.server(net.JoinHostPort(publicIP4, "443"), fakeprovider.Names("images.example.com"))
	secure.Script(images)
	plain := p.server(net.JoinHostPort(publicIP4, "80"), fakeprovider.Plain())
	plain.Script(images)
	inside := countConnections(p.listen(net.JoinHostPort(otherIP4, "80")), p.listenIn(p.pod, "127.0.0.1:80"))

	p.makeDir(secure)
	p.write("llm.yaml", mediaManifests)
	p.start(gatewayUID, settings{})

	for _, test := range []struct {
		name, host, url string
		want            string // the error's code; empty if the image arrives
	}{
		{"gemini, https", gemini, "https://images.example.com/cat.png", ""},
		{"gemini, http", gemini, "http://images.example.com/cat.png", ""},
		{"gemini, by address", gemini, "http://" + publicIP4 + "/cat.png", ""},
		{"bedrock", bedrock, "https://images.example.com/cat.png", ""},
		{"over the size", small, "https://images.example.com/large.png", "media_not_accepted"},
		{"within another size", gemini, "https://images.example.com/large.png", ""},
		{"not there", gemini, "https://images.example.com/dog.png", "media_unavailable"},
		{"a name that stands for a private address", gemini, "http://inside.example.com/cat.png", "media_unavailable"},
		{"a private address", small, "http://" + otherIP4 + "/cat.png", "media_unavailable"},
		{"a private address in IPv6", gemini, "http://[::ffff:" + otherIP4 + "]/cat.png", "media_unavailable"},
		{"the pod itself", gemini, "http://localhost/cat.png", "media_unavailable"},
		{"a redirect inside", gemini, "http://images.example.com/moved.png", "media_unavailable"},
		{"not configured", without, "https://images.example.com/cat.png", "untranslatable_field"},
	} {
		t.Run(test.name, func(t *testing.T) {
			to, api := google, fakemodel.Gemini
			if test.host == bedrock {
				to, api = aws, fakemodel.Converse
			}
			calls, fetched := to.Count(), secure.Count()
			out := p.curl("-x", "http://127.0.0.1:15001", "-w", "\n%{http_code}", "http://"+test.host+"/v1/chat/completions", "-H", "Content-Type: application/json", "-d",
				fmt.Sprintf(`{"model":"gpt-5.4","messages":[{"role":"user","content":[{"type":"text","text":"what is this?"},{"type":"image_url","image_url":{"url":%q}}]}]}`, test.url))
			if test.want != "" {
				if !strings.HasSuffix(out, "\n400") || !strings.Contains(out, `"code":"`+test.want+`"`) || to.Count() != calls {
					t.Errorf("got %s, and %d calls of the provider", out, to.Count()-calls)
				}
				if strings.Contains(out, otherIP4+":") || strings.Contains(out, "example.com") {
					t.Errorf("the error tells of the network: %s", out)
				}
				if test.host == without && secure.Count() != fetched {
					t.Error("it was fetched")
				}
				return
			}
			if !strings.HasSuffix(out, "\n200") || !strings.Contains(out, "a cat") || to.Count() != calls+1 {
				t.Fatalf("got %s", out)
			}
			content := image
			if strings.Contains(test.url, "large") {
				content = slices.Concat(image, image)
			}
			asked, err := api.Read(to.Last())
			if err != nil {
				t.Fatal(err)
			}
			if want := []string{base64.StdEncoding.EncodeToString(content)}; !slices.Equal(asked.Images, want) {
				t.Errorf("the provider got the images %q", asked.Images)
			}
		})
	}
	t.Run("an error in the client's API", func(t *testing.T) {
		out := p.curl("-x", "http://127.0.0.1:15001", "-w", "\n%{http_code}", "http://"+gemini+"/v1/messages", "-H", "Content-Type: application/json", "-d",
			`{"model":"claude-sonnet-5","max_tokens":9,"messages":[{"role":"user","content":[{"type":"image","source":{"type":"url","url":"http://inside.example.com/cat.png"}}]}]}`)
		if !strings.HasPrefix(out, `{"type":"error","error":{"type":"invalid_request_error","message":"`) || !strings.HasSuffix(out, "\n400") {
			t.Errorf("got %s", out)
		}
	})
	n := inside.count()
	if n != 0 {
		t.Errorf("%d connections to servers without a public address", n)
	}
	// Or the counter would prove nothing.
	p.connect(net.JoinHostPort(otherIP4, "80"))
	until(t, "a connection is counted", func() bool { return inside.count() > n })
}
