// Package rlsstore has the limit stores that speak Envoy's rate limit messages over gRPC:
// envoy, for services of the protocol envoy.service.ratelimit.v3, and kuadrant, for Limitador.
// Both services only count up, so leases stay with their gateway until the window ends. Small
// builds do without them, since Envoy's messages are large.
//
// It imports the neighbours limit and grant, whose interfaces Store it implements, countup and
// internal/options. Begin with Envoy and Kuadrant; client is what they have in common.
package rlsstore
