//go:build !linux

package gateway

import "time"

// Memory is known on Linux only; elsewhere the test is skipped.
func (g *Gateway) Memory() int64 { g.t.Skip("needs /proc"); return 0 }

// CPU is known on Linux only; elsewhere the test is skipped.
func (g *Gateway) CPU() time.Duration { g.t.Skip("needs /proc"); return 0 }

// OpenFiles is known on Linux only; elsewhere the test is skipped.
func (g *Gateway) OpenFiles() int { g.t.Skip("needs /proc"); return 0 }
