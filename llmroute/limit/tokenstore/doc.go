// Package tokenstore is the limit store token_service: gateways share a limit of tokens in a service of the
// documented system's token protocol, which is asked whether a key may go on, and told what it
// used. It speaks HTTP alone, so small builds have it.
//
// It imports the neighbours limit and grant, whose interfaces Store it implements, countup and
// internal/options and internal/service. Begin with Store.
package tokenstore
