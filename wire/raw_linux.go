//go:build !race

package wire

import (
	"syscall"
	"unsafe"
)

// A descriptor that does not block is read and written without telling the
// scheduler, which otherwise takes the processor away from a call that lasts
// longer than a few microseconds, and hands it to another thread: a switch that
// costs as much as the call.

func readFD(fd uintptr, p []byte) (int, error)  { return transfer(syscall.SYS_READ, fd, p) }
func writeFD(fd uintptr, p []byte) (int, error) { return transfer(syscall.SYS_WRITE, fd, p) }

func transfer(call, fd uintptr, p []byte) (int, error) {
	if len(p) == 0 {
		return 0, nil
	}
	for {
		n, _, errno := syscall.RawSyscall(call, fd, uintptr(unsafe.Pointer(unsafe.SliceData(p))), uintptr(len(p)))
		switch errno {
		case 0:
			return int(n), nil
		case syscall.EINTR:
		default:
			return 0, errno
		}
	}
}
