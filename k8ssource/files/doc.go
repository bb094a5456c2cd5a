// Package files is the source llm.sources.files, which reads objects from YAML files and follows
// these as they change.
//
// It may import object, which decodes what is in a file, k8ssource, which translates it, and source.
// Start with files.go; follow.go finds out what has changed.
package files
