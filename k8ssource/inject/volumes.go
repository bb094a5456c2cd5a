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

// volumes are what the gateway's container mounts. Of a Secret or a ConfigMap that
// is not there, Kubernetes says so, and the pod waits: no call goes out past a
// gateway that knows nothing.
func (o *Options) volumes() []any {
	type m = map[string]any
	out := []any{
		m{"name": configVolume, "downwardAPI": m{"items": []m{
			{"path": "Caddyfile", "fieldRef": m{"fieldPath": "metadata.annotations['" + annotationCaddyfile + "']"}},
			{"path": "labels", "fieldRef": m{"fieldPath": "metadata.labels"}},
		}}},
		m{"name": stateVolume, "emptyDir": m{"sizeLimit": "64Mi"}},
	}
	for _, v := range o.objectVolumes() {
		if v.kind == "secret" {
			out = append(out, m{"name": v.volume(), "secret": m{"secretName": v.object}})
		} else {
			out = append(out, m{"name": v.volume(), "configMap": m{"name": v.object}})
		}
	}
	return out
}
