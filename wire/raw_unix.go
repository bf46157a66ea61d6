//go:build unix

package wire

import (
	"syscall"
)

// tryRead is called by the runtime when the connection may have bytes. The
// buffer is taken only now, so that a connection that waits holds none; where
// there are no bytes it goes back, and false makes the runtime wait.
func (c *Conn) tryRead(fd uintptr) bool {
	w := c.srv.works.Get().(*work)
	n, err := readFD(fd, w.in[:c.srv.opt.Head])
	if err == syscall.EAGAIN {
		c.srv.works.Put(w)
		return false
	}
	c.w, c.got, c.failed = w, max(n, 0), err
	return true
}

// tryOnce is tryRead for a connection that is not going to wait any more.
func (c *Conn) tryOnce(fd uintptr) {
	if !c.tryRead(fd) {
		c.w, c.got, c.failed = nil, 0, syscall.EAGAIN
	}
}

func readFD(fd uintptr, p []byte) (n int, err error) {
	for {
		if n, err = syscall.Read(int(fd), p); err != syscall.EINTR {
			return n, err
		}
	}
}

// peekFD reports whether nothing can be read from a connection: no byte, no
// end, no error.
func peekFD(fd uintptr) bool {
	var b [1]byte
	for {
		_, _, err := syscall.Recvfrom(int(fd), b[:], syscall.MSG_PEEK|syscall.MSG_DONTWAIT)
		if err != syscall.EINTR {
			return err == syscall.EAGAIN
		}
	}
}
