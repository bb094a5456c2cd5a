package limit

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/caddy-llm/gateway/llmroute/limit/tuple"
)

// Change is what an operator changes of a limit's counters.
type Change struct {
	// Key has the values of all of the limit's keys, such as {"client": "alice"}.
	// Without it, all counters of the limit are meant.
	Key map[string]string `json:"key,omitempty"`
	// Unit is the unit whose counters are meant, in all windows. Without it, all are.
	Unit Unit `json:"unit,omitempty"`
	// Amount is how much is credited: what may be used beyond the limit in the running
	// window. It has no meaning for a reset.
	Amount json.Number `json:"amount,omitempty"`
}

// ErrNoLimit is the error for a limit that the set has not.
var ErrNoLimit = errors.New("there is no such limit")

// Reset forgets what was used in the running windows. Open requests of before do not
// count any more; how many are open at once stays as it is.
func (s *Set) Reset(name string, ch Change) (counters int, err error) {
	if ch.Amount != "" {
		return 0, errors.New("a reset has no amount; leave it out, or use credit")
	}
	return s.change(name, ch, edit{reset: true})
}

// Credit adds an amount to what may be used in the running windows. It needs the
// unit.
func (s *Set) Credit(name string, ch Change) (counters int, err error) {
	if ch.Unit == "" {
		return 0, errors.New("a credit needs the unit that it is for, such as \"unit\": \"tokens\"")
	}
	amount, err := ch.Unit.readAmount(string(ch.Amount))
	if err != nil {
		return 0, err
	}
	return s.change(name, ch, edit{credit: amount})
}

// edit is what is done to counters: they begin again, or get a credit.
type edit struct {
	reset  bool
	credit int64
}

func (e edit) counter(c *counter, n *numbers) {
	if !e.reset {
		c.spent = clipSigned(c.spent - e.credit)
		c.level = clipSigned(c.level + e.credit)
		return
	}
	c.gen++ // what is open counts no more
	c.spent, c.reserved = 0, 0
	c.level, c.rest = n.burst, 0
	if c.m.stored {
		c.left = 0
	}
}

// dormant does the same to what an earlier process left in storage.
func (e edit) dormant(s *shard) {
	for h, r := range s.dormant {
		switch {
		case e.reset:
			delete(s.dormant, h)
			continue
		case s.m.bucket():
			r.Units = clipSigned(r.Units + e.credit)
		default:
			r.Units = clipSigned(r.Units - e.credit)
		}
		s.dormant[h] = r
	}
}

// change edits the counters that are meant, and stores them.
func (s *Set) change(name string, ch Change, e edit) (counters int, err error) {
	var l *compiled
	for _, one := range s.limits {
		if one.Name == name {
			l = one
		}
	}
	if l == nil {
		return 0, fmt.Errorf("%w: %q", ErrNoLimit, name)
	}
	var combination []byte
	if ch.Key != nil {
		if combination, err = l.combination(ch.Key); err != nil {
			return 0, err
		}
	}
	found := false
	for _, m := range l.meters {
		if m.unit == UnitConcurrent || ch.Unit != "" && m.unit != ch.Unit {
			continue
		}
		found = true
		n, failed := s.e.changeMeter(m, combination, ch.Key != nil, e)
		counters += n
		err = errors.Join(err, failed)
	}
	if !found {
		return 0, fmt.Errorf("the limit %q counts no %q in a window; name one of its units, or none for all", name, string(ch.Unit))
	}
	return counters, err
}

// combination returns the text of the values, of which all must be there.
func (l *compiled) combination(values map[string]string) ([]byte, error) {
	var out []byte
	for _, k := range l.Key {
		value, ok := values[string(k)]
		if !ok {
			return nil, fmt.Errorf("the key lacks %q; the limit has: %s", string(k), l.keyNames())
		}
		out = tuple.Append(out, value)
	}
	if len(values) != len(l.Key) {
		for _, name := range slices.Sorted(maps.Keys(values)) {
			if !slices.Contains(l.Key, Key(name)) {
				return nil, fmt.Errorf("the key has %q, which the limit does not; it has: %s", name, l.keyNames())
			}
		}
	}
	return out, nil
}

func (l *compiled) keyNames() string {
	if len(l.Key) == 0 {
		return "none"
	}
	names := make([]string, len(l.Key))
	for i, k := range l.Key {
		names[i] = fmt.Sprintf("%q", string(k))
	}
	return strings.Join(names, ", ")
}

// changeMeter edits one counter of the meter or all, those that an earlier process
// left in storage included.
func (e *Engine) changeMeter(m *meter, combination []byte, one bool, ed edit) (counters int, err error) {
	if m.sharing != nil {
		return m.sharing.change(m, combination, one, ed)
	}
	now, k := e.now(), e.checkpoint
	if one || len(m.keys) == 0 {
		m.find(combination, now) // so that it is there
	}
	var shards []*shard
	for _, s := range m.shards {
		if !one || s == m.shardOf(&counter{hash: tuple.HashOf(string(combination))}) {
			shards = append(shards, s)
		}
	}
	for _, s := range shards { // reads what is stored, first of all
		err = errors.Join(err, k.writeNow(s))
		if !one {
			k.writing.Lock()
			ed.dormant(s)
			k.writing.Unlock()
		}
	}
	m.each(now, func(c *counter, n *numbers) {
		if !one || c.combination == string(combination) {
			ed.counter(c, n)
			counters++
		}
	})
	for _, s := range shards {
		err = errors.Join(err, k.writeNow(s))
	}
	return counters, err
}
