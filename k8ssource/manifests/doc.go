// Package manifests is what people and tools ask of manifests without a running gateway: the
// configuration adapter llm-manifests, and the commands caddy llm check and caddy llm translate.
//
// It may import object, k8ssource, source and files, and nothing imports it but the programs. Start
// with command.go; describe.go says of each object what it does.
package manifests
