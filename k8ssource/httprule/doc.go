// Package httprule turns the rules of HTTPRoutes into the gateway's configuration: their matches into
// matchers (Matchers), and their filters into what is done with requests and responses (Filters).
//
// It may import gatewayapi, which has the types, object for the form of names and hosts, and the
// packages of llmroute whose configuration it makes.
//
// Start with Matchers in match.go.
package httprule
