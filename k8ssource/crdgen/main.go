// Command crdgen writes what is generated from the types in k8ssource/api: the
// CustomResourceDefinitions of the gateway's kinds into one folder, and the
// deepcopy functions into another, a folder for each version. It must be run in
// its own folder: "go generate ./k8ssource" does.
package main

import (
	"errors"
	"fmt"
	"io"
	"log"
	"os"
	"path/filepath"

	"golang.org/x/tools/go/packages"
	apiext "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"sigs.k8s.io/controller-tools/pkg/crd"
	crdmarkers "sigs.k8s.io/controller-tools/pkg/crd/markers"
	"sigs.k8s.io/controller-tools/pkg/deepcopy"
	"sigs.k8s.io/controller-tools/pkg/genall"
	"sigs.k8s.io/controller-tools/pkg/loader"
	"sigs.k8s.io/controller-tools/pkg/markers"
	"sigs.k8s.io/yaml"
)

// api is the kinds of a package below k8ssource/api.
type api struct {
	group string
	// storage is the version that the API server stores, and the name of the package:
	// the one that manifests are written in.
	storage string
	// other is a version with the same schema, so that nothing is converted; or empty.
	other string
	kinds []string
}

var apis = []api{
	{group: "istio.alibabacloud.com", storage: "v1beta1", other: "v1", kinds: []string{"LLMProvider", "LLMRoute"}},
	{group: "caddy-llm.github.io", storage: "v1alpha1", kinds: []string{"LLMLimit", "LLMPolicy"}},
}

const (
	header = "# Generated from the Go types in k8ssource/api. To change it, change those and run: go generate ./k8ssource\n---\n"
)

func main() {
	log.SetFlags(0)
	if len(os.Args) != 3 {
		log.Fatal("usage: crdgen CRDS API")
	}
	// The sources are loaded in the gateway's module, so that this one needs none
	// of its dependencies.
	source := &packages.Config{Dir: filepath.Join("..", "..")}
	if err := definitions(source, os.Args[1]); err != nil {
		log.Fatal("crdgen: ", err)
	}
	if err := deepcopies(source, os.Args[2]); err != nil {
		log.Fatal("crdgen: ", err)
	}
}

// definitions writes a file for each kind into dir.
func definitions(source *packages.Config, dir string) error {
	registry := new(markers.Registry)
	if err := crdmarkers.Register(registry); err != nil {
		return err
	}
	parser := &crd.Parser{Collector: &markers.Collector{Registry: registry}, Checker: &loader.TypeChecker{NodeFilters: []loader.NodeFilter{crd.Generator{}.CheckFilter()}}}
	crd.AddKnownTypes(parser)
	for _, a := range apis {
		if err := a.definitions(parser, source, dir); err != nil {
			return err
		}
	}
	return nil
}

func (a *api) definitions(parser *crd.Parser, source *packages.Config, dir string) error {
	roots, err := loader.LoadRootsWithConfig(source, "./k8ssource/api/"+a.storage)
	if err != nil {
		return err
	}
	parser.NeedPackage(roots[0])
	parser.GroupVersions[roots[0]] = schema.GroupVersion{Group: a.group, Version: a.storage}
	for _, kind := range a.kinds {
		kind := schema.GroupKind{Group: a.group, Kind: kind}
		parser.NeedCRDFor(kind, nil)
		if loader.PrintErrors(roots, packages.TypeError) {
			return errors.New("the types in k8ssource/api cannot be used")
		}
		definition, ok := parser.CustomResourceDefinitions[kind]
		if !ok {
			return fmt.Errorf("there is no type %s in k8ssource/api", kind.Kind)
		}
		if err := a.write(dir, &definition); err != nil {
			return err
		}
	}
	return nil
}

// deepcopies writes zz_generated.deepcopy.go for each version into the folder of
// that name below dir.
func deepcopies(source *packages.Config, dir string) error {
	var generator genall.Generator = deepcopy.Generator{}
	var roots []string
	for _, a := range apis {
		roots = append(roots, "./k8ssource/api/"+a.storage)
		if a.other != "" {
			roots = append(roots, "./k8ssource/api/"+a.other)
		}
	}
	run, err := genall.Generators{&generator}.ForRootsWithConfig(source, roots...)
	if err != nil {
		return err
	}
	run.OutputRules.Default = versionFolders(dir)
	if run.Run() {
		return errors.New("the deepcopy functions cannot be generated")
	}
	return nil
}

// versionFolders writes each package's files into the folder of its name.
type versionFolders string

// Open implements genall.OutputRule.
func (v versionFolders) Open(pkg *loader.Package, name string) (io.WriteCloser, error) {
	dir := filepath.Join(string(v), pkg.Name)
	if err := os.MkdirAll(dir, 0o755); err != nil { //nolint:gosec // a folder of the repository
		return nil, err
	}
	return os.Create(filepath.Join(dir, name))
}

func (a *api) write(dir string, definition *apiext.CustomResourceDefinition) error {
	first := &definition.Spec.Versions[0]
	// What an API server knows of metadata is more than any text here.
	first.Schema.OpenAPIV3Schema.Properties["metadata"] = apiext.JSONSchemaProps{Type: "object"}
	if a.other != "" {
		second := first.DeepCopy()
		second.Name, second.Storage = a.other, false
		definition.Spec.Versions = append(definition.Spec.Versions, *second)
	}

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
