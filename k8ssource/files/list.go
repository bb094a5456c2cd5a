package files

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// maxFiles is the most files that one path may stand for.
const maxFiles = 10_000

// ListPath returns the files that a path stands for, sorted. A pattern may
// match none, and a folder may be empty.
func ListPath(path string) ([]string, error) {
	info, err := os.Stat(path)
	switch {
	case err == nil && info.IsDir():
		return listFolder(path)
	case err == nil:
		return []string{path}, nil
	case errors.Is(err, fs.ErrNotExist) && isPattern(path):
		return listPattern(path)
	case errors.Is(err, fs.ErrNotExist):
		return nil, fmt.Errorf("there is no file or folder %s; write a file, a folder, or a pattern such as /etc/llm/*.yaml", path)
	}
	return nil, fmt.Errorf("looking for manifests: %w", err)
}

func isPattern(path string) bool { return strings.ContainsAny(path, "*?[") }

func listFolder(path string) ([]string, error) {
	entries, err := os.ReadDir(path)
	if err != nil {
		return nil, fmt.Errorf("looking for manifests: %w", err)
	}
	var out []string
	for _, entry := range entries {
		name := entry.Name()
		// A mounted ConfigMap has its content in hidden folders, and links to it.
		if strings.HasPrefix(name, ".") || !isManifest(name) {
			continue
		}
		full := filepath.Join(path, name)
		if info, err := os.Stat(full); err == nil && info.IsDir() {
			continue
		}
		out = append(out, full)
	}
	if len(out) > maxFiles {
		return nil, fmt.Errorf("the folder %s has %d manifests; at most %d are read", path, len(out), maxFiles)
	}
	slices.Sort(out)
	return out, nil
}

func isManifest(name string) bool {
	switch strings.ToLower(filepath.Ext(name)) {
	case ".yaml", ".yml", ".json":
		return true
	}
	return false
}

func listPattern(pattern string) ([]string, error) {
	matches, err := filepath.Glob(pattern)
	if err != nil {
		return nil, fmt.Errorf("%q is not a pattern; write one such as /etc/llm/*.yaml", pattern)
	}
	if len(matches) > maxFiles {
		return nil, fmt.Errorf("the pattern %s matches %d files; at most %d are read", pattern, len(matches), maxFiles)
	}
	out := slices.DeleteFunc(matches, func(name string) bool {
		if isHidden(pattern, name) {
			return true
		}
		info, err := os.Stat(name)
		return err == nil && info.IsDir()
	})
	slices.Sort(out)
	return out, nil
}

// isHidden reports whether a match has a name that begins with a dot where the pattern
// has none, such as the lock file of an editor. Shells leave it out, too.
func isHidden(pattern, match string) bool {
	wanted, names := strings.Split(pattern, string(filepath.Separator)), strings.Split(match, string(filepath.Separator))
	if len(wanted) != len(names) {
		return strings.HasPrefix(filepath.Base(match), ".")
	}
	for i, name := range names {
		if strings.HasPrefix(name, ".") && !strings.HasPrefix(strings.TrimPrefix(wanted[i], `\`), ".") {
			return true
		}
	}
	return false
}
