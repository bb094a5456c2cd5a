// Command platforms checks that packages compile for other platforms, in a tenth of the
// time that compiling takes: it type-checks them and all that they depend on, and makes
// no code.
//
//	go run ./integration/platforms darwin/arm64,windows/amd64 ./cmd/...
//
// What it does not see: mistakes in assembly, and anything that the linker finds.
package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"go/types"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
)

func main() {
	if len(os.Args) < 3 {
		fmt.Fprintln(os.Stderr, "usage: platforms OS/ARCH[,OS/ARCH...] PACKAGE...")
		os.Exit(2)
	}
	var all sync.WaitGroup
	var failed error
	var mu sync.Mutex
	slots := make(chan struct{}, runtime.NumCPU())
	for platform := range strings.SplitSeq(os.Args[1], ",") {
		all.Go(func() {
			slots <- struct{}{}
			defer func() { <-slots }()
			n, err := check(platform, ".", os.Args[2:]...)
			mu.Lock()
			defer mu.Unlock()
			if err == nil {
				fmt.Printf("%s: %d packages\n", platform, n)
				return
			}
			failed = errors.Join(failed, fmt.Errorf("%s: %w", platform, err))
		})
	}
	all.Wait()
	if failed != nil {
		fmt.Fprintln(os.Stderr, failed)
		os.Exit(1)
	}
}

// listed is what go list says of a package.
type listed struct {
	ImportPath string
	Dir        string
	GoFiles    []string
	ImportMap  map[string]string
	Standard   bool
	Module     *struct{ GoVersion string }
	Error      *struct{ Err string }
}

// check type-checks the packages and their dependencies as they are on the platform, without
// cgo, and returns how many there are. The error has the first mistakes of the first package
// that has some.
func check(platform, dir string, patterns ...string) (int, error) {
	system, arch, found := strings.Cut(platform, "/")
	sizes := types.SizesFor("gc", arch)
	if !found || sizes == nil {
		return 0, errors.New("not a platform: want OS/ARCH, such as darwin/arm64")
	}
	list := exec.Command("go", append([]string{"list", "-deps", "-e", "-json=ImportPath,Dir,GoFiles,ImportMap,Standard,Module,Error", "--"}, patterns...)...)
	list.Dir = dir
	list.Env = append(os.Environ(), "GOOS="+system, "GOARCH="+arch, "CGO_ENABLED=0")
	var said bytes.Buffer
	list.Stderr = &said
	out, err := list.Output()
	if err != nil {
		return 0, fmt.Errorf("go list: %w\n%s", err, said.Bytes())
	}
	c := checker{sizes: sizes, packages: map[string]*types.Package{"unsafe": types.Unsafe}}
	for packages := json.NewDecoder(bytes.NewReader(out)); ; { // dependencies come first
		var p listed
		switch err := packages.Decode(&p); {
		case err == io.EOF:
			return len(c.packages), nil
		case err != nil:
			return 0, fmt.Errorf("go list: %w", err)
		case p.Error != nil:
			return 0, errors.New(p.Error.Err)
		case p.ImportPath == "unsafe":
			continue
		}
		if err := c.add(&p); err != nil {
			return 0, fmt.Errorf("%s: %w", p.ImportPath, err)
		}
	}
}

// checker has the packages that were checked, by path.
type checker struct {
	sizes    types.Sizes
	packages map[string]*types.Package
}

// add checks a package whose dependencies were added before it.
func (c *checker) add(p *listed) error {
	const most = 10 // mistakes of a package
	fset := token.NewFileSet()
	files := make([]*ast.File, 0, len(p.GoFiles))
	for _, name := range p.GoFiles {
		file, err := parser.ParseFile(fset, filepath.Join(p.Dir, name), nil, parser.SkipObjectResolution)
		if err != nil {
			return err
		}
		files = append(files, file)
	}
	var mistakes []error
	config := types.Config{
		Importer: importer{c, p.ImportMap}, Sizes: c.sizes, IgnoreFuncBodies: p.Standard,
		Error: func(err error) {
			if len(mistakes) < most {
				mistakes = append(mistakes, err)
			}
		},
	}
	if p.Module != nil && p.Module.GoVersion != "" {
		config.GoVersion = "go" + p.Module.GoVersion
	}
	checked, err := config.Check(p.ImportPath, fset, files, nil)
	if err != nil {
		return errors.Join(mistakes...)
	}
	c.packages[p.ImportPath] = checked
	return nil
}

// importer finds what a package imports under the paths that it writes.
type importer struct {
	*checker
	paths map[string]string
}

func (i importer) Import(path string) (*types.Package, error) {
	if other, mapped := i.paths[path]; mapped {
		path = other
	}
	if p := i.packages[path]; p != nil {
		return p, nil
	}
	return nil, fmt.Errorf("no package %s", path)
}
