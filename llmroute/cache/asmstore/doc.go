// Package asmstore is the cache store asm: gateways share responses in a cache service of the
// documented system's protocol, an HTTP service of your own that is asked for the response to a
// request, and told responses. It speaks HTTP alone, so small builds have it.
//
// It imports its neighbours cache, whose interface Store it implements, and sealed, and
// internal/options and internal/service. Begin with Store, then message.go for what the service is sent.
package asmstore
