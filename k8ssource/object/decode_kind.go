package object

import (
	"encoding/json"
	"maps"
	"reflect"
	"slices"
	"strconv"
	"sync"

	"github.com/caddy-llm/gateway/k8ssource/api/v1beta1"
	"github.com/caddy-llm/gateway/llmprovider/kind"
)

// newSchemas returns the schemas of objects, with the fields for kinds of providers
// that are not part of the gateway itself.
func newSchemas() Schemas {
	out := make(Schemas)
	if others := otherFields(); len(others) > 0 {
		config := reflect.TypeFor[v1beta1.ProviderConfig]()
		fields := fieldsOf(config)
		for _, field := range others {
			fields[field] = otherKind(kind.ByManifestField()[field])
		}
		out[config] = fields
	}
	return out
}

// otherFields are the fields of configs for kinds that are not part of the gateway
// itself.
var otherFields = sync.OnceValue(func() []string {
	typed := fieldsOf(reflect.TypeFor[v1beta1.ProviderConfig]())
	var out []string
	for field := range kind.ByManifestField() {
		if _, ok := typed[field]; !ok {
			out = append(out, field)
		}
	}
	return out
})

// otherKind is the type of the settings for a kind: those that all kinds have, and its
// own.
func otherKind(name string) reflect.Type {
	fields := fieldsOf(reflect.TypeFor[v1beta1.KindConfig]())
	if module, err := kind.New(name); err == nil {
		for option, to := range module.(kind.Kind).Traits().ManifestOptions {
			fields[option] = reflect.TypeOf(to).Elem()
		}
	}
	var list []reflect.StructField
	for _, field := range slices.Sorted(maps.Keys(fields)) {
		tag := reflect.StructTag(`json:` + strconv.Quote(field))
		list = append(list, reflect.StructField{Name: "F" + strconv.Itoa(len(list)), Type: fields[field], Tag: tag})
	}
	return reflect.StructOf(list)
}

// readOthers fills in the settings for kinds that are not part of the gateway itself.
func readOthers(data []byte, p *v1beta1.LLMProvider) {
	if p.Spec.Configs == nil {
		return
	}
	others := otherFields()
	if len(others) == 0 {
		return
	}
	var object struct {
		Spec struct {
			Configs struct {
				DefaultConfig        map[string]json.RawMessage            `json:"defaultConfig"`
				RouteSpecificConfigs map[string]map[string]json.RawMessage `json:"routeSpecificConfigs"`
			} `json:"configs"`
		} `json:"spec"`
	}
	_ = json.Unmarshal(data, &object) // what does not fit is reported by checkSchema
	if p.Spec.Configs.DefaultConfig != nil {
		p.Spec.Configs.DefaultConfig.Others = otherConfigs(object.Spec.Configs.DefaultConfig, others)
	}
	for rule, config := range p.Spec.Configs.RouteSpecificConfigs {
		config.Others = otherConfigs(object.Spec.Configs.RouteSpecificConfigs[rule], others)
		p.Spec.Configs.RouteSpecificConfigs[rule] = config
	}
}

func otherConfigs(fields map[string]json.RawMessage, names []string) map[string]v1beta1.KindConfig {
	common := fieldsOf(reflect.TypeFor[v1beta1.KindConfig]())
	var out map[string]v1beta1.KindConfig
	for _, name := range names {
		raw, ok := fields[name]
		var config *v1beta1.KindConfig
		if !ok || json.Unmarshal(raw, &config) != nil || config == nil {
			continue
		}
		_ = json.Unmarshal(raw, &config.Options) // an object, as was just seen
		for field := range common {
			delete(config.Options, field)
		}
		if out == nil {
			out = make(map[string]v1beta1.KindConfig)
		}
		out[name] = *config
	}
	return out
}
