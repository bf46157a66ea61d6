package wire

import (
	"io"
	"net"
)

// Join passes bytes between two connections, both ways, until both have ended
// or one has failed, and then closes both. The end of one side's sending is
// passed on as such. It is what an exchange becomes after an upgrade.
func Join(a, b net.Conn) (fromA, fromB int64, err error) {
	done := make(chan error, 1)
	go func() {
		n, err := pass(b, a)
		fromA = n
		done <- err
	}()
	fromB, err = pass(a, b)
	if other := <-done; err == nil {
		err = other
	}
	a.Close()
	b.Close()
	return fromA, fromB, err
}

func pass(to, from net.Conn) (n int64, err error) {
	if n, err = io.Copy(to, from); err != nil {
		// Neither way can go on; closing wakes the other.
		to.Close()
		from.Close()
		return n, readFault(err)
	}
	closeWrite(to)
	return n, nil
}
