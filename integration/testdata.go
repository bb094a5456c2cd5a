// Package integration holds what the integration tests share: recorded shapes
// of provider answers. The tests themselves are in its subfolders.
package integration

import "embed"

// Providers is testdata/providers: a folder for each provider with a meta.json
// and the answers it describes. Package fixtures reads it. Embedded, so that
// modules elsewhere can use it too.
//
//go:embed testdata/providers
var Providers embed.FS
