// Command crdgen writes the CustomResourceDefinitions of LLMProvider and
// LLMRoute into a folder. They are made from the types in k8ssource. It must be
// run in its own folder: "go generate ./k8ssource" does.
package main

import (
	"errors"
	"fmt"
	"log"
	"os"
	"path/filepath"

	"golang.org/x/tools/go/packages"
	apiext "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"sigs.k8s.io/controller-tools/pkg/crd"
	crdmarkers "sigs.k8s.io/controller-tools/pkg/crd/markers"
	"sigs.k8s.io/controller-tools/pkg/loader"
	"sigs.k8s.io/controller-tools/pkg/markers"
	"sigs.k8s.io/yaml"
)

const (
	group = "istio.alibabacloud.com"

	// storage is the version that the API server stores: the one that manifests
	// are written in. The other has the same schema, so nothing is converted.
	storage = "v1beta1"
	other   = "v1"

	header = "# Made from the Go types in k8ssource. To change it, change those and run: go generate ./k8ssource\n---\n"
)

func main() {
	log.SetFlags(0)
	if len(os.Args) != 2 {
		log.Fatal("usage: crdgen FOLDER")
	}
	if err := generate(os.Args[1]); err != nil {
		log.Fatal("crdgen: ", err)
	}
}

func generate(dir string) error {
	registry := new(markers.Registry)
	if err := crdmarkers.Register(registry); err != nil {
		return err
	}
	parser := &crd.Parser{Collector: &markers.Collector{Registry: registry}, Checker: &loader.TypeChecker{NodeFilters: []loader.NodeFilter{crd.Generator{}.CheckFilter()}}}
	crd.AddKnownTypes(parser)
	// Loaded in the gateway's module, so that this one needs none of its
	// dependencies.
	roots, err := loader.LoadRootsWithConfig(&packages.Config{Dir: filepath.Join("..", "..")}, "./k8ssource")
	if err != nil {
		return err
	}
	parser.NeedPackage(roots[0])
	parser.GroupVersions[roots[0]] = schema.GroupVersion{Group: group, Version: storage}
	for _, kind := range []string{"LLMProvider", "LLMRoute"} {
		kind := schema.GroupKind{Group: group, Kind: kind}
		parser.NeedCRDFor(kind, nil)
		if loader.PrintErrors(roots, packages.TypeError) {
			return errors.New("the types in k8ssource cannot be used")
		}
		definition, ok := parser.CustomResourceDefinitions[kind]
		if !ok {
			return fmt.Errorf("there is no type %s in k8ssource", kind.Kind)
		}
		if err := write(dir, &definition); err != nil {
			return err
		}
	}
	return nil
}

func write(dir string, definition *apiext.CustomResourceDefinition) error {
	first := &definition.Spec.Versions[0]
	// What an API server knows of metadata is more than any text here.
	first.Schema.OpenAPIV3Schema.Properties["metadata"] = apiext.JSONSchemaProps{Type: "object"}
	second := first.DeepCopy()
	second.Name, second.Storage = other, false
	definition.Spec.Versions = append(definition.Spec.Versions, *second)

	data, err := yaml.Marshal(map[string]any{
		"apiVersion": definition.APIVersion,
		"kind":       definition.Kind,
		"metadata":   map[string]string{"name": definition.Name},
		"spec":       definition.Spec,
	})
	if err != nil {
		return err
	}
	if err := os.MkdirAll(dir, 0o755); err != nil { //nolint:gosec // a folder of the repository
		return err
	}
	return os.WriteFile(filepath.Join(dir, definition.Spec.Names.Plural+".yaml"), append([]byte(header), data...), 0o644) //nolint:gosec // a file of the repository
}
