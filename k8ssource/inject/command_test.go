package inject

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// run runs `caddy llm inject` with these arguments.
func run(t *testing.T, stdin string, args ...string) (stdout, stderr string, err error) {
	t.Helper()
	cmd := newCommand()
	cmd.SilenceErrors = true
	var out, notes bytes.Buffer
	cmd.SetIn(strings.NewReader(stdin))
	cmd.SetOut(&out)
	cmd.SetErr(&notes)
	cmd.SetArgs(args)
	err = cmd.Execute()
	return out.String(), notes.String(), err
}

func file(t *testing.T, name, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

const barePod = "apiVersion: v1\nkind: Pod\nmetadata: {name: a}\nspec:\n  containers: [{name: a, image: a}]\n"

func TestCommand(t *testing.T) {
	config := file(t, "inject.yaml", "image: from-file\naccessLog: true\nsecret: keys\n")
	first, second := file(t, "a.yaml", strings.TrimSuffix(barePod, "\n")), file(t, "b.yaml", "# left\nkind: Secret\n")
	out, notes, err := run(t, "---\n"+barePod, "-f", first, "-f", second, "-f", "-", "--config", config, "--image", "from-flag", "--include-outbound-ports", "80,8080")
	if err != nil || notes != "" {
		t.Fatal(err, notes)
	}
	for what, times := range map[string]int{"image: from-flag": 4, "from-file": 0, "access_log": 2, "secretName: keys": 2, "80,8080": 2, "\n---\n": 2, "# left\nkind: Secret\n": 1} {
		if got := strings.Count(out, what); got != times {
			t.Errorf("%q is there %d times, not %d:\n%s", what, got, times, out)
		}
	}
}

func TestCommandErrors(t *testing.T) {
	pod := file(t, "pod.yaml", barePod)
	for args, want := range map[string]string{
		"":                          "there are no manifests; name a file with -f, or write -f - for standard input",
		"-f " + pod:                 "image is not set; write the image of the gateway",
		"-f missing --image a":      "reading manifests: open missing",
		"-f - --image a":            "standard input:1: this is not a Kubernetes object",
		"-f a --config missing":     "--config: open missing",
		"-f a --image a --mode b":   `mode is not known; write capture or http_proxy`,
		"-f a --image a --mode":     "flag needs an argument",
		"-f a --config " + pod:      "--config: " + pod + `: error unmarshaling JSON: while decoding JSON: json: unknown field "apiVersion"`,
		"a":                         `unknown command "a"`,
		"-f a --image a --secret A": `a name is not that of an object`,
		"-f a --image a --source kubernetes --secret a":           "secret and configMap are for the source files",
		"-f a --image a --image-pull-policy Sometimes":            `imagePullPolicy is not known; write Always, IfNotPresent or Never`,
		"-f a --image a --source etcd":                            `source is not known; write files or kubernetes`,
		"-f a --image a --outbound-traffic-policy DENY":           "DENY",
		"-f a --image a --include-outbound-ports http":            `includeOutboundPorts: "http" is not a port`,
		"-f a --image a --include-outbound-ports 15000-15010":     `includeOutboundPorts: "15000-15010" includes 15001`,
		"-f a --image a --exclude-outbound-ip-ranges 10.0.0.0/40": `excludeOutboundIPRanges: "10.0.0.0/40" is not a range`,
	} {
		out, _, err := run(t, "text", strings.Fields(args)...)
		if err == nil || !strings.Contains(err.Error(), want) || out != "" {
			t.Errorf("%s: %v\nwant %s", args, err, want)
		}
	}
}

func TestReadOptions(t *testing.T) {
	for text, want := range map[string]string{
		"image: a\nport: 80\n":                                 "port is 80; write a number from 1024 to 65535",
		"image: a\nport: 15021\n":                              "port and statusPort are both 15021",
		"image: a\nenv: [{value: a}]\n":                        "env: a variable has no name",
		"image: a\nimages: b\n":                                `unknown field "images"`,
		"image: a\nsource: kubernetes\nnamespaces: [., a.b]\n": `namespaces: "a.b" is not the name of a namespace`,
		"image: a\nsource: kubernetes\nnamespaces: [" + strings.Repeat("a", 64) + "]\n": `is not the name of a namespace`,
		"image: a\nnamespaces: [.]\n":            "namespaces is for the source kubernetes; leave it out with the source files",
		"image: a\nstatusPort: 9\nport: 15001\n": "statusPort is 9",
	} {
		if _, err := ReadOptions([]byte(text)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v\nwant %s", text, err, want)
		}
	}
	if o, err := ReadOptions([]byte("image: a\n")); err != nil || o.Secret != "llm-gateway" || o.CaptureImage != "a" {
		t.Errorf("%+v, %v", o, err)
	}
}
