package cache

import (
	"context"
	"errors"
	"fmt"

	"github.com/caddyserver/caddy/v2"
)

// StoreNamespace is where modules are that keep responses.
const StoreNamespace = "llm.cache_stores"

// ErrClosed is the error of a store whose configuration has ended. It is no failure.
var ErrClosed = errors.New("this store's configuration was replaced")

// ErrCannotPurge is the error of a store that has no way to remove responses.
var ErrCannotPurge = errors.New("the store of cached responses has no way to remove them; they go when their time is over")

// Epoch is the time between two purges of a store, for all who share it. It is only compared.
type Epoch uint64

// Store is a module in the llm.cache_stores namespace: where responses are kept. It is
// safe for concurrent use, and is used by requests that have begun after the configuration
// that it comes from has ended: then it may fail.
type Store interface {
	caddy.Module

	// KeySecret is what keys are made with, so that a key tells nothing of the request. It is the same for
	// all who share the store.
	KeySecret() []byte

	// Get returns the entry, nil without one, and the epoch of the store.
	Get(ctx context.Context, key Key) (*Entry, Epoch, error)

	// Put stores the entry until it expires, or longer, if the epoch is still that of the
	// store: a response whose request began before a purge is not stored after it.
	Put(ctx context.Context, key Key, e *Entry, epoch Epoch) error

	// Purge removes the entries that the tags select, and returns how many. It begins another
	// epoch, or fails with ErrCannotPurge.
	Purge(ctx context.Context, tags Tags) (int, error)

	// Local reports whether the store answers at once, out of this process.
	Local() bool

	// Use returns how full the store is.
	Use() Use
}

// Use is how full a store is. A limit of 0 is not known to the gateway.
type Use struct {
	Entries    int64 `json:"entries"`
	MaxEntries int64 `json:"max_entries,omitempty"`
	Bytes      int64 `json:"bytes"`
	MaxBytes   int64 `json:"max_bytes,omitempty"`
	// Evicted is how many were removed to make room.
	Evicted int64 `json:"evicted"`
}

// LoadStore loads the configured store.
func (c *Config) LoadStore(ctx caddy.Context) (Store, error) {
	var module any
	var err error
	if c.StoreRaw == nil {
		module, err = ctx.LoadModuleByID(StoreNamespace+".memory", nil)
	} else {
		module, err = ctx.LoadModule(c, "StoreRaw")
	}
	if err != nil {
		return nil, fmt.Errorf("loading the store: %w", err)
	}
	return module.(Store), nil
}
