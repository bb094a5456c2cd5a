package upstream

import (
	"net"
	"sync"
	"sync/atomic"
)

// maxBatch is how much waits to be written to a connection before those who
// write to it wait as well, in bytes.
const maxBatch = 64 << 10

// batches holds the memory of what waits, so that silent connections hold none.
var batches = sync.Pool{New: func() any {
	b := make([]byte, 0, maxBatch)
	return &b
}}

// batchConn is a connection, below TLS, whose writes go out together where
// requests share it. Go's HTTP/2 client writes the head of a request and each
// part of its body by themselves, and TLS each record of 16 KiB; every one costs
// a system call here and a wake-up at the provider. Here another goroutine
// writes, and what comes meanwhile, from one request or from several, gathers
// for its next write.
//
// An error is then met by a later write, or by none. It closes the connection,
// which ends the requests on it as well.
type batchConn struct {
	net.Conn
	shared bool          // by requests, as HTTP/2 has it
	busy   *atomic.Int32 // requests whose response has not begun

	mu      sync.Mutex
	room    sync.Cond // pending has room again, or err is set
	work    sync.Cond // pending has something, or err is set
	pending *[]byte   // nil when nothing waits
	writing bool      // somebody does
	started bool      // the goroutine that writes
	err     error
}

func newBatchConn(conn net.Conn, busy *atomic.Int32) *batchConn {
	c := &batchConn{Conn: conn, busy: busy}
	c.room.L, c.work.L = &c.mu, &c.mu
	return c
}

// Write implements net.Conn.
func (c *batchConn) Write(p []byte) (int, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for c.err == nil && c.pending != nil && len(*c.pending)+len(p) > maxBatch {
		c.room.Wait()
	}
	if c.err != nil {
		return 0, c.err
	}
	if c.writing || c.pending != nil || c.shared && c.busy.Load() > 1 {
		c.gather(p)
		return len(p), nil
	}
	// One request alone: another goroutine would cost more than it saves.
	c.write(p)
	if c.err != nil {
		return 0, c.err
	}
	if c.pending != nil {
		c.work.Signal()
	}
	return len(p), nil
}

// gather lets p wait for the goroutine that writes. The caller holds mu.
func (c *batchConn) gather(p []byte) {
	if c.pending == nil {
		c.pending = batches.Get().(*[]byte)
	}
	*c.pending = append(*c.pending, p...)
	if !c.started {
		c.started = true
		go c.writeGathered()
	}
	c.work.Signal()
}

// writeGathered writes what is pending, until the connection fails or is closed.
func (c *batchConn) writeGathered() {
	c.mu.Lock()
	defer c.mu.Unlock()
	for {
		for c.err == nil && (c.pending == nil || c.writing) {
			c.work.Wait()
		}
		if c.err != nil {
			return
		}
		batch := c.pending
		c.pending = nil
		c.room.Broadcast()
		c.write(*batch)
		*batch = (*batch)[:0]
		batches.Put(batch)
	}
}

// write writes p, with mu let go meanwhile.
func (c *batchConn) write(p []byte) {
	c.writing = true
	c.mu.Unlock()
	_, err := c.Conn.Write(p)
	c.mu.Lock()
	c.writing = false
	if err != nil {
		c.fail(err)
		_ = c.Conn.Close()
	}
}

// fail has all that is written from now on end in err.
func (c *batchConn) fail(err error) {
	if c.err == nil {
		c.err = err
		c.room.Broadcast()
		c.work.Broadcast()
	}
}

// Close implements net.Conn.
func (c *batchConn) Close() error {
	c.mu.Lock()
	c.fail(net.ErrClosed)
	c.mu.Unlock()
	return c.Conn.Close()
}
