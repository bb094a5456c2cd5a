// Package redisstore is the limit store redis: several gateways share limits in a Redis
// or Valkey server. It speaks the protocol with valkey-go, which the smallest builds do
// without.
//
// It imports the neighbours limit and grant, whose interfaces Store it implements. Begin with Store,
// then counter.lua, which is every move there is on a counter.
package redisstore
