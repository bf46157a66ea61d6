//go:build !unix

package wire

import "syscall"

// Elsewhere a connection waits with a buffer of its own.
func (c *Conn) tryRead(uintptr) bool { c.failed = syscall.EINVAL; return true }
func (c *Conn) tryOnce(uintptr)      { c.failed = syscall.EINVAL }
func peekFD(uintptr) bool            { return true }
