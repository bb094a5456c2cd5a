//go:build linux

package sidecar_test

import (
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"sigs.k8s.io/yaml"

	"github.com/caddy-llm/gateway/integration/gateway"
)

// kubelet runs the containers of a pod as a manifest says, in the order that
// Kubernetes does: init containers one after the other, those that stay until their
// startup probe succeeds, then the others. Each sees a root file system of its own.
type kubelet struct {
	*pod
	manifest manifest
	secrets  map[string]map[string]string // files, by the name of the Secret
	ran      []string                     // containers, in order
	sidecar  *process
}

// manifest is what is heeded of a pod.
type manifest struct {
	Metadata struct {
		Name        string            `json:"name"`
		Labels      map[string]string `json:"labels"`
		Annotations map[string]string `json:"annotations"`
	} `json:"metadata"`
	Spec struct {
		InitContainers []container `json:"initContainers"`
		Containers     []container `json:"containers"`
		Volumes        []volume    `json:"volumes"`
	} `json:"spec"`
}

type container struct {
	Name          string   `json:"name"`
	Command       []string `json:"command"`
	RestartPolicy string   `json:"restartPolicy"`
	Env           []struct {
		Name      string `json:"name"`
		Value     string `json:"value"`
		ValueFrom struct {
			FieldRef struct {
				FieldPath string `json:"fieldPath"`
			} `json:"fieldRef"`
		} `json:"valueFrom"`
	} `json:"env"`
	Ports []struct {
		Name          string `json:"name"`
		ContainerPort int    `json:"containerPort"`
	} `json:"ports"`
	StartupProbe *struct {
		HTTPGet struct{ Path, Port string } `json:"httpGet"`
	} `json:"startupProbe"`
	SecurityContext struct {
		RunAsUser                int   `json:"runAsUser"`
		RunAsGroup               int   `json:"runAsGroup"`
		AllowPrivilegeEscalation *bool `json:"allowPrivilegeEscalation"`
		ReadOnlyRootFilesystem   bool  `json:"readOnlyRootFilesystem"`
		Capabilities             struct {
			Add, Drop []string
		} `json:"capabilities"`
	} `json:"securityContext"`
	VolumeMounts []struct {
		Name      string `json:"name"`
		MountPath string `json:"mountPath"`
		ReadOnly  bool   `json:"readOnly"`
	} `json:"volumeMounts"`
}

type volume struct {
	Name     string `json:"name"`
	EmptyDir *struct{}
	Secret   *struct {
		SecretName string `json:"secretName"`
	} `json:"secret"`
	DownwardAPI *struct {
		Items []struct {
			Path     string
			FieldRef struct{ FieldPath string }
		}
	} `json:"downwardAPI"`
}

const podNamespace = "default"

// newKubelet has a pod injected by the command, as its users call it.
func newKubelet(t testing.TB, p *pod, text string, args ...string) *kubelet {
	t.Helper()
	cmd := exec.Command(gateway.Binary(t), append([]string{"llm", "inject", "-f", "-", "--image", "registry.example.com/llm-gateway:test"}, args...)...)
	cmd.Stdin = strings.NewReader(text)
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("injecting: %v", err)
	}
	k := &kubelet{pod: p, secrets: make(map[string]map[string]string)}
	if err := yaml.Unmarshal(out, &k.manifest); err != nil {
		t.Fatal(err)
	}
	return k
}

// startUp runs the init containers. between is called after each of them.
func (k *kubelet) startUp(between func(name string)) {
	k.t.Helper()
	for _, c := range k.manifest.Spec.InitContainers {
		k.ran = append(k.ran, c.Name)
		cmd := k.command(c)
		if c.RestartPolicy != "Always" {
			k.run(cmd)
			between(c.Name)
			continue
		}
		k.sidecar = startProcess(k.t, cmd)
		if c.StartupProbe != nil {
			port := 0
			for _, p := range c.Ports {
				if p.Name == c.StartupProbe.HTTPGet.Port {
					port = p.ContainerPort
				}
			}
			// As the kubelet does, from outside of the pod.
			url := fmt.Sprintf("http://%s:%d%s", podIP4, port, c.StartupProbe.HTTPGet.Path)
			probe := func() bool {
				return exec.Command("ip", "netns", "exec", k.world, "curl", "-sf", "-m", "3", "-o", "/dev/null", url).Run() == nil
			}
			for end := time.Now().Add(time.Minute); !probe(); time.Sleep(20 * time.Millisecond) {
				if time.Now().After(end) {
					k.t.Fatalf("after a minute the startup probe of %s still fails", c.Name)
				}
			}
		}
		between(c.Name)
	}
}

// app is the command of the application.
func (k *kubelet) app() *exec.Cmd { return k.command(k.manifest.Spec.Containers[0]) }

// command is a container: a process with its user, capabilities, files and environment.
func (k *kubelet) command(c container) *exec.Cmd {
	k.t.Helper()
	root := filepath.Join(k.dir, "roots", fmt.Sprintf("%s-%d", c.Name, time.Now().UnixNano()))
	if err := os.MkdirAll(root, 0o755); err != nil {
		k.t.Fatal(err)
	}
	user := c.SecurityContext.RunAsUser
	if user == 0 && len(c.SecurityContext.Capabilities.Drop) == 0 {
		user = appUID // no container of an application is root here
	}
	var script strings.Builder
	line := func(format string, args ...any) { fmt.Fprintf(&script, format+"\n", args...) }
	line("set -e\nmount -t tmpfs -o mode=755 tmpfs %s\ncd %s\nmkdir image etc", root, root)
	line("for d in usr bin sbin lib lib64 proc dev; do if [ -L /$d ]; then cp -a /$d $d; elif [ -e /$d ]; then mkdir $d; mount --rbind /$d $d; fi; done")
	line("cp /etc/hosts /etc/passwd etc/; cp -r /etc/alternatives etc/ 2>/dev/null || true")
	line("touch image/caddy; mount --bind %s image/caddy", gateway.Binary(k.t))
	for _, m := range c.VolumeMounts {
		line("mkdir -p .%s; mount --bind %s .%s", m.MountPath, k.volume(m.Name), m.MountPath)
		if m.ReadOnly {
			line("mount -o remount,bind,ro .%s", m.MountPath)
		}
	}
	if c.SecurityContext.ReadOnlyRootFilesystem {
		line("mount -o remount,ro %s", root)
	}
	capabilities := "-all"
	for _, name := range c.SecurityContext.Capabilities.Add {
		capabilities += ",+" + strings.ToLower(name)
	}
	privileges := ""
	if allow := c.SecurityContext.AllowPrivilegeEscalation; allow == nil || !*allow {
		privileges = "--no-new-privs"
	}
	line(`exec chroot . setpriv --reuid %d --regid %d --clear-groups --inh-caps=-all --bounding-set=%s %s --pdeathsig KILL "$@"`, user, user, capabilities, privileges)
	cmd := k.inPod(append([]string{"sh", "-c", script.String(), "sh"}, c.Command...)...)
	cmd.Env = k.environment(c)
	return cmd
}

func (k *kubelet) environment(c container) []string {
	env := []string{"PATH=/image:/usr/sbin:/usr/bin:/sbin:/bin"}
	fields := map[string]string{"": "", "metadata.namespace": podNamespace, "metadata.name": k.manifest.Metadata.Name}
	for _, e := range c.Env {
		value, ok := fields[e.ValueFrom.FieldRef.FieldPath]
		if !ok {
			k.t.Fatalf("variable %s: %s", e.Name, e.ValueFrom.FieldRef.FieldPath)
		}
		env = append(env, e.Name+"="+e.Value+value)
	}
	return env
}

// volume makes the folder of a volume, if it is not there.
func (k *kubelet) volume(name string) string {
	k.t.Helper()
	dir := filepath.Join(k.dir, "volumes", name)
	if _, err := os.Stat(dir); err == nil {
		return dir
	}
	i := slices.IndexFunc(k.manifest.Spec.Volumes, func(v volume) bool { return v.Name == name })
	if i < 0 {
		k.t.Fatalf("there is no volume %s", name)
	}
	files := make(map[string]string)
	switch v := k.manifest.Spec.Volumes[i]; {
	case v.Secret != nil:
		files = k.secrets[v.Secret.SecretName]
		if files == nil {
			k.t.Fatalf("there is no Secret %s", v.Secret.SecretName)
		}
	case v.DownwardAPI != nil:
		for _, item := range v.DownwardAPI.Items {
			files[item.Path] = k.field(item.FieldRef.FieldPath)
		}
	}
	mode := os.FileMode(0o755)
	if k.manifest.Spec.Volumes[i].EmptyDir != nil {
		mode = 0o777
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		k.t.Fatal(err)
	}
	if err := os.Chmod(dir, mode); err != nil {
		k.t.Fatal(err)
	}
	for file, content := range files {
		k.write(filepath.Join("volumes", name, file), content)
	}
	return dir
}

// field is what the downward API makes of a field.
func (k *kubelet) field(path string) string {
	if name, ok := strings.CutPrefix(path, "metadata.annotations['"); ok {
		return k.manifest.Metadata.Annotations[strings.TrimSuffix(name, "']")]
	}
	if path != "metadata.labels" {
		k.t.Fatalf("a volume has the field %s", path)
	}
	text := ""
	for _, name := range slices.Sorted(maps.Keys(k.manifest.Metadata.Labels)) {
		text += fmt.Sprintf("%s=%q\n", name, k.manifest.Metadata.Labels[name])
	}
	return text
}
