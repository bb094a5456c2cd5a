package pool

import (
	"hash/maphash"
	"math/bits"
	"sync/atomic"

	"github.com/caddy-llm/gateway/internal/jsonscan"
)

const (
	// maxBlocks is how many places of a conversation's beginning are remembered.
	maxBlocks = 32
	// maxHashed is how much of a conversation is looked at, in bytes.
	maxHashed = 256 << 10
	// firstBlock is the first length, in bytes, after which a long text is remembered
	// before its end; the others are its multiples by powers of two.
	firstBlock = 1 << 10
)

// Prefix is the beginning of a conversation as hashes: one after each message, and
// some inside long ones. What two conversations have in common at their beginning,
// byte for byte, has the same hashes.
type Prefix struct {
	n      int
	hashes [maxBlocks]uint64
	sizes  [maxBlocks]uint32 // bytes up to there
}

// prefixSeed is of this process alone, so that no client can choose which
// conversations have the same hash.
var prefixSeed = maphash.MakeSeed()

// Read reads the prefix of a request's body, a JSON object that is known to be valid.
// Servers cache by model, so the model is part of it.
func (p *Prefix) Read(body []byte, model string) {
	p.n = 0
	w := prefixWriter{Prefix: p, hash: maphash.String(prefixSeed, model), next: firstBlock}
	for name, value := range jsonscan.Members(body) {
		switch string(name) {
		case `"system"`, `"instructions"`, `"systemInstruction"`:
			w.add(value)
		case `"messages"`, `"input"`, `"contents"`, `"prompt"`:
			if value[0] != '[' {
				w.add(value)
				return
			}
			for element := range jsonscan.Elements(value) {
				if !w.add(element) {
					return
				}
			}
			return
		}
	}
}

// prefixWriter adds to a Prefix.
type prefixWriter struct {
	*Prefix
	hash uint64
	size int
	next int // the length at which the next block inside a text ends
}

// add adds one message and reports whether there is room for more.
func (w *prefixWriter) add(text []byte) bool {
	for w.size+len(text) > w.next {
		n := w.next - w.size
		w.block(text[:n])
		text = text[n:]
		if w.next *= 2; w.next > maxHashed || w.n == maxBlocks {
			return false
		}
	}
	w.block(text)
	return w.n < maxBlocks
}

func (w *prefixWriter) block(text []byte) {
	if w.n == maxBlocks {
		return
	}
	w.hash = mix(bits.RotateLeft64(w.hash, 23) ^ maphash.Bytes(prefixSeed, text))
	w.size += len(text)
	w.hashes[w.n], w.sizes[w.n] = w.hash, uint32(w.size)
	w.n++
}

// affinitySlots is the size of the table that remembers where conversations were, in
// entries of eight bytes. The newest stays where two of them meet.
const affinitySlots = 1 << 16

// affinity remembers which endpoint had a conversation last: the hash of its beginning
// but for the 16 lowest bits, which are the endpoint's number.
type affinity struct{ slots [affinitySlots]atomic.Uint64 }

func (a *affinity) slot(hash uint64) *atomic.Uint64 { return &a.slots[hash>>48&(affinitySlots-1)] }

// last returns the number of the endpoint that had the longest part of the
// conversation, and how long that part is in bytes; 0 if none had any.
func (a *affinity) last(p *Prefix) (id uint16, size uint32) {
	for i := p.n - 1; i >= 0; i-- {
		if v := a.slot(p.hashes[i]).Load(); v>>16 == p.hashes[i]>>16 && uint16(v) != 0 {
			return uint16(v), p.sizes[i]
		}
	}
	return 0, 0
}

// note remembers that the endpoint has the conversation.
func (a *affinity) note(p *Prefix, id uint16) {
	for i := range p.n {
		slot, v := a.slot(p.hashes[i]), p.hashes[i]&^0xffff|uint64(id)
		if slot.Load() != v { // do not write what all conversations have in common again and again
			slot.Store(v)
		}
	}
}

// forget forgets all conversations that the endpoint had.
func (a *affinity) forget(id uint16) {
	for i := range a.slots {
		if v := a.slots[i].Load(); uint16(v) == id {
			a.slots[i].CompareAndSwap(v, 0)
		}
	}
}

// hashString is a hash that all replicas of the gateway share (FNV-1a, finished by
// mix), so that a session is at the same endpoint whichever of them is asked.
func hashString(s string) uint64 {
	h := uint64(14695981039346656037)
	for i := range len(s) {
		h = (h ^ uint64(s[i])) * 1099511628211
	}
	return mix(h)
}

// mix spreads a number's bits over all of it (the finalizer of SplitMix64).
func mix(h uint64) uint64 {
	h = (h ^ h>>30) * 0xbf58476d1ce4e5b9
	h = (h ^ h>>27) * 0x94d049bb133111eb
	return h ^ h>>31
}
