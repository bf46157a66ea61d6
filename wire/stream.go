package wire

import (
	"errors"
	"io"
	"net"
	"strconv"
	"time"

	"github.com/sallyport/sallyport/exchange"
)

// Stream writes the final answer with a body from r: of length bytes, or until
// r ends if length is -1. Each piece goes out as it comes. To HEAD, and with a
// status that has no body, r is not read and may be nil.
//
// If r fails or ends early, the connection is closed without the end of the
// message, so that the caller sees that it is not whole, and the error is r's
// or ErrTruncated. If that happens before the first byte, nothing has been
// written and another answer may be given.
func (c *Conn) Stream(status int, h exchange.Header, length int64, r io.Reader) error {
	now := time.Now()
	w := c.w
	head, err := c.head(status, h, length, now)
	if err != nil {
		return err
	}
	if w.req.Method == "HEAD" || bodiless(status) || length == 0 {
		return c.write(head, nil, now)
	}
	s := streamer{c: c, head: head, left: length, chunked: length < 0 && w.req.Proto == exchange.HTTP11}
	if err = s.copy(r, now); err != nil {
		w.close, w.linger = true, false
	}
	return err
}

// A streamer writes one body.
type streamer struct {
	c       *Conn
	head    []byte // not written yet
	left    int64  // of the length; negative where it is not known
	chunked bool
}

func (s *streamer) copy(r io.Reader, now time.Time) error {
	c := s.c
	b, _ := r.(*body)
	if b != nil && !s.chunked {
		// What came with the upstream's head goes out with ours.
		if first := b.buffered(); len(first) > 0 && (s.left < 0 || int64(len(first)) <= s.left) {
			b.r += len(first)
			if err := b.took(int64(len(first))); err != nil {
				return err
			}
			if s.left > 0 {
				s.left -= int64(len(first))
			}
			if err := c.write(s.head, first, now); err != nil {
				return err
			}
			s.head = nil
			if s.left == 0 {
				return nil
			}
		}
		if s.left >= spliceFrom && c.tls == nil {
			if done, err := s.splice(b, now); done || err != nil {
				return err
			}
		}
	}
	buf := pieces.Get().(*[pieceSize]byte)
	defer pieces.Put(buf)
	const before, after = 8, 7 // room for a chunk's size line, and for its end and the last chunk
	for {
		room := buf[before : pieceSize-after]
		if s.left > 0 && int64(len(room)) > s.left {
			room = room[:s.left]
		}
		n, err := r.Read(room)
		for b != nil && err == nil && n < len(room) && b.kind == bodyChunked && b.ready() {
			// Small chunks that are there already, and the end, go out
			// together.
			var k int
			k, err = b.Read(room[n:])
			n += k
		}
		ended := err == io.EOF
		if err != nil && !ended {
			return s.fail(err)
		}
		if s.left >= 0 {
			if s.left -= int64(n); s.left < 0 {
				return s.fail(errors.New("wire: reader gave more than it was asked for"))
			}
			if ended && s.left > 0 {
				return s.fail(ErrTruncated)
			}
			ended = s.left == 0
		}
		piece := buf[before : before+n]
		if s.chunked {
			piece = s.frame(buf, before, n, ended)
		}
		if len(piece)+len(s.head) > 0 {
			if now = time.Now(); len(s.head) == 0 {
				err = c.write(piece, nil, now)
				c.w.sent += int64(n)
			} else {
				err = c.write(s.head, piece, now)
				c.w.sent += int64(n - len(piece))
			}
			if err != nil && err != io.EOF {
				return err
			}
			s.head = nil
		}
		if ended {
			return nil
		}
	}
}

// frame puts a chunk's lines around the n bytes at buf[at:].
func (s *streamer) frame(buf *[pieceSize]byte, at, n int, last bool) []byte {
	start, end := at, at+n
	if n > 0 {
		var line [8]byte
		l := append(strconv.AppendInt(line[:0], int64(n), 16), "\r\n"...)
		start = at - len(l)
		copy(buf[start:], l)
		end += copy(buf[end:], "\r\n")
	}
	if last {
		end += copy(buf[end:], "0\r\n\r\n")
	}
	return buf[start:end]
}

// fail ends an answer that cannot be finished. If nothing of it is written,
// it is as if it had not been begun.
func (s *streamer) fail(err error) error {
	if len(s.head) > 0 {
		s.c.w.status = 0
	}
	return err
}

// splice has the kernel move the rest of the body, where both ends are its
// own. It reports done when nothing is left.
func (s *streamer) splice(b *body, now time.Time) (done bool, err error) {
	up, ok := b.src.(*upstreamConn)
	if !ok || b.kind != bodyLength || b.left != s.left || up.tls {
		return false, nil
	}
	to, ok := s.c.nc.(*net.TCPConn)
	if !ok {
		return false, nil
	}
	if len(s.head) > 0 {
		if err := s.c.write(s.head, nil, now); err != nil {
			return false, err
		}
		s.head = nil
	}
	w := s.c.w
	for s.left > 0 {
		now = time.Now()
		s.c.extendWriteBy(now)
		up.extendReadBy(now, up.c.opt.BodyTimeout)
		w.lim = io.LimitedReader{R: up.nc, N: min(s.left, 4*maxWrite)}
		n, err := to.ReadFrom(&w.lim)
		up.full = true // no more was asked for than belongs to the body
		w.sent += n
		s.left -= n
		if tookErr := b.took(n); tookErr != nil {
			return false, tookErr
		}
		if err == nil && n == 0 {
			err = io.EOF
		}
		if err != nil {
			return false, b.ended(readFault(err))
		}
	}
	return true, nil
}
