// Package limit counts what clients, teams and workloads use, and says who may use
// more: requests, tokens and money in a time, and open requests. It knows nothing of
// HTTP: llmroute tells it what a request needs, and what became of it.
//
// It imports Caddy and zap, and nothing of the gateway. Begin with Definition, which
// is the configuration; then Engine, Set.Reserve and Reservation.Settle, which are
// the life of a request; then counter and checkpoint.
//
// # How it holds
//
// A request reserves what it may need of all limits that apply in one move, before
// it is sent, and settles what it used exactly once. A counter admits a reservation
// only if what was used and what is reserved leave room for it, so that what is used
// exceeds a limit only by what single responses took beyond their reservations.
//
// Budgets are kept through restarts: a counter may use only what its lease allows,
// and a lease is stored as used before it is given. So whatever instant a process
// ends at, the next one finds at least what was used.
package limit
