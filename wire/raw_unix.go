//go:build unix

package wire

import "syscall"

// Reads and writes that never wait. A connection does them from within
// syscall.RawConn, where the runtime waits for it.

func again(err error) bool { return err == syscall.EAGAIN }

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

// rawConn returns the connection beneath c, or nil if it cannot be had.
func rawConn(c any) syscall.RawConn {
	if sc, ok := c.(syscall.Conn); ok {
		if raw, err := sc.SyscallConn(); err == nil {
			return raw
		}
	}
	return nil
}
