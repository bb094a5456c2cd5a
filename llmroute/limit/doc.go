// Package limit counts what clients, teams and workloads use, and says who may use
// more: requests, tokens and money in a time, and open requests. It does not handle
// HTTP: package limithttp tells it what a request needs and what became of it.
//
// It imports Caddy and zap, and of the gateway the leaves below it: estimate, which reads
// what a request's body says of its size, grant, which is what stores implement, health, period
// and tuple. Begin with Definition, which is the configuration; then Engine, Set.Reserve and Reservation.End, which are the life of a
// request; then counter, and checkpoint or sharing.
//
// # How it holds
//
// A request reserves what it may need of all limits that apply in one move, before
// it is sent. What each of its attempts used is charged, and at its end what was
// reserved beyond that is free again. A counter admits a reservation only if what was
// used and what is reserved leave room for it, so that what is used exceeds a limit
// only by what single responses took beyond their reservations.
//
// Budgets are kept through restarts: a counter may use only what its lease allows,
// and a lease is stored as used before it is given. So whenever a process ends, the
// next one finds at least what was used.
//
// Several processes share limits through a grant.Store: it grants each a lease, in
// cumulative numbers, of which all together are never more than the limit. A process
// lowers its own number before the store's, believes only the reply to its newest call,
// and the store makes no call that is older than the last one: so calls may be lost, late
// or made twice. See sharing and lease; package redisstore is such a store.
package limit
