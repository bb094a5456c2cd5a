package source_test

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/caddy-llm/gateway/integration/gateway"
	"github.com/caddy-llm/gateway/integration/internal/host"
	"github.com/caddy-llm/gateway/integration/kubernetes/cluster"
)

// lightPicker runs the light endpoint picker of the Inference Extension, built from its module,
// for a pool of the namespace.
func (w *world) lightPicker(pool string, port int) *exec.Cmd {
	w.t.Helper()
	program := filepath.Join(w.t.TempDir(), "lwepp")
	if _, err := host.Go("../lightpicker", "build", "-o", program, "sigs.k8s.io/gateway-api-inference-extension/cmd/lwepp"); err != nil {
		if os.Getenv("CI") != "" {
			w.t.Fatalf("building the light picker: %v", err)
		}
		w.t.Skipf("NOT TESTED: the light picker cannot be built: %v", err)
	}
	log, err := os.Create(filepath.Join(w.t.TempDir(), "log"))
	if err != nil {
		w.t.Fatal(err)
	}
	cmd := exec.Command(program, "--pool-name="+pool, "--pool-namespace="+w.ns, fmt.Sprint("--grpc-port=", port), fmt.Sprint("--grpc-health-port=", gateway.FreePort(w.t)),
		fmt.Sprint("--metrics-port=", gateway.FreePort(w.t)), "--health-checking")
	cmd.Env = append(os.Environ(), "KUBECONFIG="+w.Kubeconfig(w.AdminToken))
	cmd.Stdout, cmd.Stderr = log, log
	if err := host.Start(cmd, func(error) {}); err != nil {
		w.t.Fatal(err)
	}
	w.t.Cleanup(func() {
		_ = cmd.Process.Kill()
		if text, _ := os.ReadFile(log.Name()); w.t.Failed() {
			w.t.Logf("the light picker said:\n%s", text[max(0, len(text)-4000):])
		}
	})
	return cmd
}

// TestLightPicker has the Inference Extension's own light picker choose among the pods of a
// pool: the gateway follows its choice, tells it who served, and does what failureMode says
// when it is gone. Its Service's address is one of this machine's.
func TestLightPicker(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("NOT TESTED: the address of a Service is given to this machine by root alone")
	}
	c := cluster.Shared(t)
	c.InstallCRDs(crds)
	c.InstallInferenceCRDs()
	w := newWorld(t, c)
	pickerPort := gateway.FreePort(t)
	w.apply(fmt.Sprintf("apiVersion: v1\nkind: Service\nmetadata: {name: epp}\nspec: {selector: {app: epp}, ports: [{port: %d}]}\n", pickerPort))
	ip := w.Kubectl("get", "service", "epp", "-n", w.ns, "-o", "jsonpath={.spec.clusterIP}").Stdout
	if out, err := exec.Command("ip", "address", "add", ip+"/32", "dev", "lo").CombinedOutput(); err != nil {
		t.Skipf("NOT TESTED: this machine cannot have the Service's address %s: %s", ip, out)
	}
	t.Cleanup(func() { _ = exec.Command("ip", "address", "del", ip+"/32", "dev", "lo").Run() })
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	_, number, _ := net.SplitHostPort(l.Addr().String())
	_ = l.Close()
	port, _ := strconv.Atoi(number)
	at := make(map[string]string)
	for name, ip := range map[string]string{"a": "127.0.0.1", "b": "127.0.0.2", "c": "127.0.0.3"} {
		at[name] = ip + ":" + number
		modelServer(t, name, at[name])
		w.pod(name, "vllm")
		w.ready(name, ip, true)
	}
	models := "models." + w.ns
	pool := func(mode string) string {
		return strings.Replace(poolObject("vllm", port), "endpointPickerRef: {name: nobody, port: {number: 9002}, failureMode: FailOpen}",
			fmt.Sprintf("endpointPickerRef: {name: epp, port: {number: %d}, failureMode: %s}", pickerPort, mode), 1)
	}
	w.apply(pool("FailClose"), poolRoute("r", models, "vllm"))
	picker := w.lightPicker("vllm", pickerPort)
	g := w.start(settings{})
	ask := func(selection string) (status int, body, served string) {
		r, err := http.NewRequest(http.MethodPost, g.url+"/", strings.NewReader(`{"messages":[{"role":"user","content":"hello"}]}`))
		if err != nil {
			t.Fatal(err)
		}
		r.Host = models
		r.Header.Set("Content-Type", "application/json")
		r.Header.Set("Test-Epp-Endpoint-Selection", selection)
		res, err := g.client.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		defer res.Body.Close()
		text, _ := io.ReadAll(res.Body)
		return res.StatusCode, string(text), res.Header.Get("X-Conformance-Test-Served-Endpoint")
	}
	until(t, "a choice of the picker", func() (bool, string) {
		status, body, served := ask(at["b"])
		return status == 200 && served == at["b"], fmt.Sprint(status, body)
	})
	for name, address := range at {
		for range 5 {
			status, body, served := ask(address)
			if status != 200 || !strings.Contains(body, `"model":"`+name+`"`) || served != address {
				t.Fatalf("selected %s: %d %s, served by %s", address, status, body, served)
			}
		}
	}
	until(t, "choices in turn", func() (bool, string) {
		seen := make(map[string]bool)
		for range 6 {
			_, _, served := ask("")
			seen[served] = true
		}
		return len(seen) == 3, fmt.Sprint(seen)
	})
	if status, body, _ := ask("10.255.255.1:80"); status != 503 || !strings.Contains(body, "endpoint_picker_unavailable") {
		t.Errorf("no such endpoint: %d %s", status, body)
	}
	own := "LLMRoute r istio.alibabacloud.com/llm-gateway/" + w.ns + "/gw Accepted "
	w.awaitsParents("vllm", own+"ResolvedRefs")

	_ = picker.Process.Kill()
	until(t, "503 without the picker", func() (bool, string) {
		status, body, _ := ask("")
		return status == 503 && strings.Contains(body, "endpoint_picker_unavailable"), fmt.Sprint(status, body)
	})
	w.apply(pool("FailOpen"))
	g.answersAny(models)
	w.Kubectl("delete", "service", "epp", "-n", w.ns)
	w.awaitsParents("vllm", own+"InvalidExtensionRef")
	g.answersAny(models)
}

// answersAny waits until a host is answered with 200.
func (g *running) answersAny(name string) {
	g.t.Helper()
	until(g.t, name+" answered", func() (bool, string) {
		a := g.post(name)
		return a.status == 200, fmt.Sprint(a.status, a.body)
	})
}
