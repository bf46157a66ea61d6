//go:build !unix

package wire

import (
	"errors"
	"syscall"
)

// Elsewhere connections wait with a buffer of their own, and nothing of this
// is called.

func readFD(uintptr, []byte) (int, error)  { return 0, errors.ErrUnsupported }
func writeFD(uintptr, []byte) (int, error) { return 0, errors.ErrUnsupported }
func again(error) bool                     { return false }
func peekFD(uintptr) bool                  { return true }
func rawConn(any) syscall.RawConn          { return nil }
