// Package cache keeps whole responses of providers, and gives them to equal requests in
// place of asking the provider again. A response is found by a key that has everything in
// it that may change the response, and who is calling: a client never gets the response to
// another client unless the configuration says so.
//
// It imports llmprovider with the names of headers, jsonscan, and its neighbour filter.
// Begin with Filter, then key.go for what makes two requests equal, bypass.go for those
// that are never cached, and reader.go for the responses that are stored. Stores are
// modules; the memory of the process is the one here.
package cache
