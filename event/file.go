package event

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"sync"
	"syscall"
)

// A File is a target of a [Writer] that a log rotator may move away: after
// [File.Reopen] lines go to a new file of the old name. Write is called by one
// goroutine at a time; the other methods may be called at once with it.
type File struct {
	path string

	mu   sync.Mutex // guards f and next
	f    *os.File   // nil where a FIFO has no reader yet
	next *os.File   // takes the place of f before the next write
}

// OpenFile opens path for appending, and creates it readable by its owner only
// (0600) where it is missing. An existing file keeps its mode. A FIFO that
// nobody reads yet is opened when somebody does.
func OpenFile(path string) (*File, error) {
	f, err := open(path)
	if err != nil && !errors.Is(err, errNoReader) {
		return nil, err
	}
	return &File{path: path, f: f}, nil
}

var errNoReader = errors.New("nobody reads the FIFO")

func open(path string) (*os.File, error) {
	flag := os.O_WRONLY | os.O_APPEND | os.O_CREATE
	if i, err := os.Stat(path); err == nil && i.Mode()&fs.ModeNamedPipe != 0 {
		// Without this, opening waits for a reader, and a blocked write
		// could not be ended.
		flag = os.O_WRONLY | syscall.O_NONBLOCK
	}
	f, err := os.OpenFile(path, flag, 0o600)
	if errors.Is(err, syscall.ENXIO) {
		return nil, fmt.Errorf("open %s: %w", path, errNoReader)
	}
	return f, err
}

// Write appends whole lines. Where a regular file takes only a part of them
// (a full disk), what it took of the line that was cut is removed again, so
// that no line is torn, also not by a rotation in between.
func (f *File) Write(p []byte) (int, error) {
	file, err := f.current()
	if err != nil {
		return 0, err
	}
	before, _ := file.Stat()
	n, err := file.Write(p)
	if err == nil || n <= 0 || n >= len(p) {
		return n, err
	}
	torn := n - (bytes.LastIndexByte(p[:n], '\n') + 1)
	after, serr := file.Stat()
	if torn == 0 || before == nil || serr != nil || !after.Mode().IsRegular() ||
		after.Size() != before.Size()+int64(n) { // somebody else writes here as well
		return n, err
	}
	if file.Truncate(after.Size()-int64(torn)) == nil {
		n -= torn
	}
	return n, err
}

// current returns the file to write to.
func (f *File) current() (*os.File, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.next != nil {
		if f.f != nil {
			f.f.Close()
		}
		f.f, f.next = f.next, nil
	}
	if f.f == nil {
		file, err := open(f.path)
		if err != nil {
			return nil, err
		}
		f.f = file
	}
	return f.f, nil
}

// Reopen opens the path again; the next write goes there. On an error the old
// file stays in use.
func (f *File) Reopen() error {
	file, err := open(f.path)
	if err != nil && !errors.Is(err, errNoReader) {
		return err
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.next != nil {
		f.next.Close()
	}
	f.next = file
	return nil
}

// Close closes the file, and ends a write that waits for the reader of a FIFO.
func (f *File) Close() error {
	f.mu.Lock()
	defer f.mu.Unlock()
	var err error
	for _, file := range []*os.File{f.f, f.next} {
		if file != nil {
			err = errors.Join(err, file.Close())
		}
	}
	return err
}
