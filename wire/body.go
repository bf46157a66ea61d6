package wire

import (
	"bytes"
	"io"
)

// A source gives the bytes of one connection. It returns faults of this
// package, and io.EOF at the end of the connection.
type source interface {
	read(p []byte) (int, error)
}

type bodyKind uint8

const (
	bodyNone bodyKind = iota
	bodyLength
	bodyChunked
	bodyUntilClose // of a response alone
)

// Bounds of what a chunked body may carry beside its data. They are on the
// whole body, since each chunk could bring a little (the attack is CPU and
// log, and hiding bytes from whoever skips extensions).
const (
	maxExtensions = 4 << 10
	maxChunkLine  = 1 << 10
	maxTrailers   = 8 << 10
	maxChunkHex   = 15 // digits, so that no size overflows an int64
)

// A body reads the body of one message: what the buffer holds of it already,
// then what the source gives. It never reads beyond the body's end, except
// into the buffer.
type body struct {
	src  source
	in   []byte // the connection's buffer
	base int    // where the head ends in it; what lies before is not overwritten
	r, w int    // in[r:w] has been read and not consumed

	kind  bodyKind
	left  int64 // bytes to come of the length, or of the chunk
	total int64 // bytes given out
	max   int64 // of total
	extra int   // bytes of extensions, then of trailers
	crlf  bool  // the chunk's data is over and its CRLF is not read
	done  bool  // the end has been seen
	err   error // stays
}

// start makes b read a new body, which begins at in[b.r].
func (b *body) start(kind bodyKind, length, max int64) {
	b.base, b.kind, b.max = b.r, kind, max
	b.left, b.total, b.extra, b.crlf, b.err = 0, 0, 0, false, nil
	b.done = kind == bodyNone || kind == bodyLength && length == 0
	if kind == bodyLength {
		b.left = length
	}
}

// Read implements io.Reader. At the end of a body that is whole it returns
// io.EOF, and else a fault of this package.
func (b *body) Read(p []byte) (int, error) {
	if len(p) == 0 {
		return 0, nil
	}
	limit, err := b.next()
	if err != nil {
		return 0, err
	}
	if int64(len(p)) > limit {
		p = p[:limit]
	}
	var n int
	if b.r < b.w {
		n = copy(p, b.in[b.r:b.w])
		b.r += n
	} else if n, err = b.src.read(p); err != nil {
		return 0, b.ended(err)
	}
	return n, b.took(int64(n))
}

// next returns how many bytes of data may be taken, which is at least one, or
// why there are none.
func (b *body) next() (limit int64, err error) {
	if b.err != nil {
		return 0, b.err
	}
	if b.kind == bodyChunked && b.left == 0 && !b.done {
		if b.err = b.nextChunk(); b.err != nil {
			return 0, b.err
		}
	}
	if b.done {
		return 0, io.EOF
	}
	if b.kind == bodyUntilClose {
		return 1 << 62, nil
	}
	return b.left, nil
}

// took counts n bytes of data that were taken.
func (b *body) took(n int64) error {
	b.total += n
	if b.kind != bodyUntilClose {
		b.left -= n
	}
	if b.total > b.max {
		b.err = ErrTooLarge
		return b.err
	}
	if b.left == 0 {
		switch b.kind {
		case bodyLength:
			b.done = true
		case bodyChunked:
			b.crlf = true
		}
	}
	return nil
}

// ready reports whether a chunked body has something, its next data or its end,
// in the buffer, so that Read need not wait.
func (b *body) ready() bool {
	buf := b.in[b.r:b.w]
	if b.left > 0 {
		return len(buf) > 0
	}
	if b.crlf {
		if len(buf) < 2 {
			return false
		}
		buf = buf[2:]
	}
	i := bytes.IndexByte(buf, '\n')
	return i > 0 && (buf[0] != '0' && len(buf) > i+1 || bytes.HasPrefix(buf, lastChunk))
}

var lastChunk = []byte("0\r\n\r\n")

// ended says what the end of the source, or its fault, means for the body.
func (b *body) ended(err error) error {
	if err == io.EOF && b.kind == bodyUntilClose {
		b.done = true
		return io.EOF
	}
	if err == io.EOF {
		err = ErrTruncated
	}
	b.err = err
	return err
}

// buffered returns the bytes of the body that are in the buffer. It is how a
// body is passed on without being copied; took must be called for them, after
// b.r is moved.
func (b *body) buffered() []byte {
	if b.r == b.w {
		return nil
	}
	limit, err := b.next()
	if err != nil {
		return nil
	}
	return b.in[b.r:min(b.w, b.r+int(min(limit, int64(b.w-b.r))))]
}

// fill reads more bytes into the buffer, behind those not consumed.
func (b *body) fill() error {
	if b.r == b.w {
		b.r, b.w = b.base, b.base
	} else if b.w == len(b.in) {
		b.w = b.base + copy(b.in[b.base:], b.in[b.r:b.w])
		b.r = b.base
	}
	if b.w == len(b.in) {
		return ErrMalformed // a line longer than the buffer
	}
	n, err := b.src.read(b.in[b.w:])
	b.w += n
	if err == io.EOF {
		err = ErrTruncated
	}
	return err
}

// readLine returns the next line, without its CRLF. It borrows the buffer
// until the next fill.
func (b *body) readLine(max int) ([]byte, error) {
	scan := 0
	for {
		if i := bytes.IndexByte(b.in[b.r+scan:b.w], '\n'); i >= 0 {
			line := b.in[b.r : b.r+scan+i]
			b.r += scan + i + 1
			if len(line) == 0 || line[len(line)-1] != '\r' || len(line) > max {
				return nil, ErrMalformed
			}
			return line[:len(line)-1], nil
		}
		if scan = b.w - b.r; scan > max {
			return nil, ErrMalformed
		}
		if err := b.fill(); err != nil {
			return nil, err
		}
	}
}

// nextChunk reads from the end of a chunk's data to the beginning of the next
// one's, or through the trailers to the end (RFC 9112 section 7.1).
func (b *body) nextChunk() error {
	if b.crlf {
		for b.w-b.r < 2 {
			if err := b.fill(); err != nil {
				return err
			}
		}
		if b.in[b.r] != '\r' || b.in[b.r+1] != '\n' {
			return ErrMalformed
		}
		b.r += 2
		b.crlf = false
	}
	line, err := b.readLine(maxChunkLine)
	if err != nil {
		return err
	}
	n := 0
	var size int64
	for n < len(line) && bytesOf[line[n]]&isHex != 0 {
		size = size<<4 | int64(hexValue(line[n]))
		n++
		if n > maxChunkHex {
			return ErrMalformed
		}
	}
	if n == 0 || !validExtensions(line[n:]) {
		return ErrMalformed
	}
	if b.extra += len(line) - n; b.extra > maxExtensions {
		return ErrMalformed
	}
	if size > 0 {
		if size > b.max-b.total {
			return ErrTooLarge
		}
		b.left = size
		return nil
	}
	// Trailers are read, as strictly as fields, and dropped: merged into the
	// head they would be fields that no control has seen.
	for b.extra = 0; ; {
		if line, err = b.readLine(maxTrailers); err != nil {
			return err
		}
		if len(line) == 0 {
			b.done = true
			return nil
		}
		if _, ok := parseField(line); !ok {
			return ErrMalformed
		}
		if b.extra += len(line); b.extra > maxTrailers {
			return ErrMalformed
		}
	}
}

func hexValue(c byte) byte {
	if c <= '9' {
		return c - '0'
	}
	return c&7 + 9
}

// validExtensions reports whether s is chunk extensions (RFC 9112 section
// 7.1.1), without the white space that the grammar calls bad.
func validExtensions(s []byte) bool {
	token := func() bool {
		i := 0
		for i < len(s) && bytesOf[s[i]]&isToken != 0 {
			i++
		}
		s = s[i:]
		return i > 0
	}
	for len(s) > 0 {
		if s[0] != ';' {
			return false
		}
		s = s[1:]
		if !token() {
			return false
		}
		if len(s) == 0 || s[0] != '=' {
			continue
		}
		s = s[1:]
		if len(s) == 0 || s[0] != '"' {
			if !token() {
				return false
			}
			continue
		}
		i := 1
		for i < len(s) && s[i] != '"' {
			if s[i] == '\\' {
				i++
				if i == len(s) || bytesOf[s[i]]&isValue == 0 {
					return false
				}
			} else if bytesOf[s[i]]&isQuoted == 0 {
				return false
			}
			i++
		}
		if i == len(s) {
			return false
		}
		s = s[i+1:]
	}
	return true
}

// readAll returns the whole body, of at most most bytes. Where the buffer has
// room for it, it stays there and nothing is copied; else it is appended to
// dst[:0].
func (b *body) readAll(dst []byte, most int64) ([]byte, error) {
	dst = dst[:0]
	switch {
	case b.err != nil:
		return nil, b.err
	case b.done:
		return dst, nil
	case most > b.max:
		most = b.max
	}
	if b.kind == bodyLength {
		if b.left > most {
			return nil, ErrTooLarge
		}
		if n := int(min(b.left, int64(len(b.in)))); int64(n) == b.left && b.r+n <= len(b.in) {
			for b.w-b.r < n {
				k, err := b.src.read(b.in[b.w:])
				b.w += k
				if err != nil && b.w-b.r < n {
					return nil, b.ended(err)
				}
			}
			whole := b.in[b.r : b.r+n : b.r+n]
			b.r += n
			return whole, b.took(int64(n))
		}
		if dst == nil {
			// What is declared is not yet sent: memory grows with bytes
			// that came.
			dst = make([]byte, 0, min(b.left, 64<<10))
		}
	}
	for {
		limit, err := b.next()
		if err == io.EOF {
			return dst, nil
		}
		if err != nil {
			return nil, err
		}
		if len(dst) == cap(dst) {
			dst = append(dst, make([]byte, max(512, len(dst), b.w-b.r))...)[:len(dst)]
		}
		room := dst[len(dst):cap(dst)]
		n, err := b.Read(room[:min(int64(len(room)), limit)])
		dst = dst[:len(dst)+n]
		if err == io.EOF {
			return dst, nil
		}
		if err != nil {
			return nil, err
		}
		if int64(len(dst)) > most {
			return nil, ErrTooLarge
		}
	}
}

// skip consumes what is left of the body, if no more than n bytes of it are to
// come, and reports whether the end was reached.
func (b *body) skip(n int64) bool {
	var scratch [2 << 10]byte
	for !b.done && b.err == nil && n >= 0 {
		k, err := b.Read(scratch[:])
		n -= int64(k)
		if err != nil && err != io.EOF {
			return false
		}
	}
	return b.done
}
