package limit

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"math/bits"
	"time"

	"github.com/caddy-llm/gateway/llmroute/limit/tuple"
)

// record is what one counter may have used, as it is stored. It is written before
// it is used: after a crash, what was leased counts as used.
type record struct {
	// Key is the hash of the combination of values.
	Key string `json:"key"`
	// At is the beginning of the calendar window, or when Units was so, in
	// nanoseconds since 1970.
	At int64 `json:"at"`
	// Units are those that the window may have used, or what the bucket holds.
	Units int64 `json:"units"`
}

// shardFile is a part of a meter's counters in storage.
type shardFile struct {
	Version  int      `json:"version"`
	Meter    string   `json:"meter"` // its id
	Counters []record `json:"counters"`
}

const shardVersion = 1

// parseShard reads what Storage has. The meter must be the one that wrote it.
func parseShard(data []byte, meter string) (map[tuple.Hash]record, error) {
	var f shardFile
	d := json.NewDecoder(bytes.NewReader(data))
	if err := d.Decode(&f); err != nil {
		return nil, err
	}
	if d.More() {
		return nil, errors.New("something follows the JSON object")
	}
	if f.Version != shardVersion || f.Meter != meter {
		return nil, errors.New("it was written for another limit, or by another version")
	}
	out := make(map[tuple.Hash]record, len(f.Counters))
	for i, r := range f.Counters {
		var h tuple.Hash
		if n, err := hex.Decode(h[:], []byte(r.Key)); err != nil || n != len(h) || len(r.Key) != 2*len(h) {
			return nil, fmt.Errorf("counter %d: the key is no hash", i+1)
		}
		if r.At < 0 || r.Units > 2*maxUnits || r.Units < -2*maxUnits {
			return nil, fmt.Errorf("counter %d: a number is out of range", i+1)
		}
		if _, twice := out[h]; twice {
			return nil, fmt.Errorf("counter %d: the key is there twice", i+1)
		}
		out[h] = r
	}
	return out, nil
}

// record returns what is to be stored for the counter if more is leased to it.
func (c *counter) record(more int64, now time.Time) record {
	r := record{Key: c.hash.String(), At: c.start * int64(time.Second)}
	lease := max(c.left+more, 0)
	if c.m.bucket() {
		r.At, r.Units = now.UnixNano(), clipSigned(c.level-lease)
		return r
	}
	r.Units = clipSigned(c.spent + c.reserved + lease)
	return r
}

// expired reports whether the record says nothing any more.
func (r record) expired(m *meter, now time.Time, n *numbers) bool {
	if m.bucket() {
		return r.level(m, now, n) >= n.burst && r.Units <= n.burst
	}
	start, _ := m.bounds(now)
	return r.At < start*int64(time.Second) || r.Units == 0
}

// level returns what the bucket of the record holds now.
func (r record) level(m *meter, now time.Time, n *numbers) int64 {
	since := now.UnixNano() - r.At
	if since <= 0 || r.Units >= n.burst {
		return r.Units
	}
	hi, lo := bits.Mul64(uint64(since), uint64(n.amount))
	every := uint64(m.window.Every)
	if hi >= every {
		return n.burst
	}
	gained, _ := bits.Div64(hi, lo, every)
	if gained >= uint64(n.burst-r.Units) {
		return n.burst
	}
	return r.Units + int64(gained)
}

// restore adds what an earlier process used to the counter. The caller has brought
// it to the time now.
func (c *counter) restore(r record, now time.Time, n *numbers) {
	switch {
	case r.expired(c.m, now, n):
	case c.m.bucket():
		c.level = clipSigned(c.level - (n.burst - r.level(c.m, now, n)))
	default:
		c.spent = clipSigned(c.spent + r.Units)
	}
}
