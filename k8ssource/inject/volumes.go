package inject

// objectVolume is a Secret or a ConfigMap with manifests.
type objectVolume struct{ kind, object string }

func (v objectVolume) volume() string { return "llm-gateway-" + v.kind }
func (v objectVolume) folder() string { return objectDir + "/" + v.kind }

// objectVolumes are those of the source files. A later one may replace objects of
// an earlier one.
func (o *Options) objectVolumes() []objectVolume {
	var out []objectVolume
	if o.ConfigMap != "" {
		out = append(out, objectVolume{"configmap", o.ConfigMap})
	}
	if o.Secret != "" {
		out = append(out, objectVolume{"secret", o.Secret})
	}
	return out
}

// newVolume has its name first, as manifests do.
type newVolume struct {
	Name        string `json:"name"`
	DownwardAPI any    `json:"downwardAPI,omitempty"`
	EmptyDir    any    `json:"emptyDir,omitempty"`
	ConfigMap   any    `json:"configMap,omitempty"`
	Secret      any    `json:"secret,omitempty"`
	Projected   any    `json:"projected,omitempty"`
}

type downwardFile struct {
	Path     string            `json:"path"`
	FieldRef map[string]string `json:"fieldRef"`
}

// volumes are what the gateway's container mounts. Of a Secret or a ConfigMap that
// is not there, Kubernetes says so, and the pod waits: no call goes out past a
// gateway that knows nothing.
func (o *Options) volumes() []any {
	out := []any{
		newVolume{Name: configVolume, DownwardAPI: map[string]any{"items": []downwardFile{
			{"Caddyfile", map[string]string{"fieldPath": "metadata.annotations['" + annotationCaddyfile + "']"}},
			{"labels", map[string]string{"fieldPath": "metadata.labels"}},
		}}},
		newVolume{Name: stateVolume, EmptyDir: map[string]string{"sizeLimit": "64Mi"}},
	}
	if o.Source == SourceKubernetes {
		// Of the gateway's own, so that the pod can keep the token from its other
		// containers with automountServiceAccountToken: false.
		type m = map[string]any
		out = append(out, newVolume{Name: tokenVolume, Projected: m{"sources": []m{
			{"serviceAccountToken": m{"path": "token", "expirationSeconds": 3600}},
			{"configMap": m{"name": "kube-root-ca.crt", "items": []m{{"key": "ca.crt", "path": "ca.crt"}}}},
			{"downwardAPI": m{"items": []downwardFile{{"namespace", map[string]string{"fieldPath": "metadata.namespace"}}}}},
		}}})
	}
	for _, v := range o.objectVolumes() {
		if v.kind == "secret" {
			out = append(out, newVolume{Name: v.volume(), Secret: map[string]string{"secretName": v.object}})
		} else {
			out = append(out, newVolume{Name: v.volume(), ConfigMap: map[string]string{"name": v.object}})
		}
	}
	return out
}
