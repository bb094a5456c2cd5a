// Package source is what all sources of Kubernetes objects have in common, wherever they read them:
// Settings, which say for which workload the gateway acts and become the Options of
// k8ssource.Translate, and FindingLog, which logs what is wrong with objects.
//
// It may import k8ssource, and of llmroute spec, capture and listen. Package files follows files,
// cluster an API server; both embed Settings. Start with settings.go.
package source
