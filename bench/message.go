package main

import (
	"bytes"
	"errors"
	"fmt"
)

// A message reads one HTTP/1.1 message after another from pieces of bytes. It
// understands just what proxies send: a head of at most maxHead bytes, and a
// body framed by Content-Length or chunks.
type message struct {
	partial []byte // a head that has not come whole
	phase   phase
	chunked bool
	close   bool // the message says Connection: close
	left    int  // bytes of the body or chunk still to come
	size    int  // a chunk's size while its line is read
}

type phase uint8

const (
	inHead phase = iota
	inBody
	inChunkSize
	inChunkExt // skips to the end of the size line
	inChunk
	inChunkEnd
	inTrailer
	inTrailerLine
)

const maxHead = 8 << 10

var endOfHead = []byte("\r\n\r\n")

// feed takes bytes and calls onHead once with the head and onBody with each
// piece of the body. It returns what follows the message, and whether the
// message is complete. After a complete message it is ready for the next.
func (m *message) feed(b []byte, onHead, onBody func([]byte) error) (rest []byte, done bool, err error) {
	if m.phase == inHead {
		var head []byte
		if len(m.partial) == 0 {
			if i := bytes.Index(b, endOfHead); i >= 0 {
				head, b = b[:i+4], b[i+4:]
			} else {
				m.partial = append(m.partial, b...)
			}
		} else {
			from := max(0, len(m.partial)-3)
			was := len(m.partial)
			m.partial = append(m.partial, b...)
			if i := bytes.Index(m.partial[from:], endOfHead); i >= 0 {
				n := from + i + 4
				head, b = m.partial[:n], b[n-was:]
			}
		}
		if head == nil {
			if len(m.partial) > maxHead {
				return nil, false, errors.New("head too long")
			}
			return nil, false, nil
		}
		if err := m.frame(head); err != nil {
			return nil, false, err
		}
		if err := onHead(head); err != nil {
			return nil, false, err
		}
		m.partial = m.partial[:0]
		switch {
		case m.chunked:
			m.phase, m.size = inChunkSize, 0
		case m.left > 0:
			m.phase = inBody
		default:
			return b, true, nil
		}
	}
	for len(b) > 0 {
		switch m.phase {
		case inBody, inChunk:
			n := min(m.left, len(b))
			if err := onBody(b[:n]); err != nil {
				return nil, false, err
			}
			b, m.left = b[n:], m.left-n
			if m.left > 0 {
				continue
			}
			if m.phase == inBody {
				m.phase = inHead
				return b, true, nil
			}
			m.phase = inChunkEnd
		default:
			c := b[0]
			b = b[1:]
			if done, err := m.chunkByte(c); done || err != nil {
				return b, done, err
			}
		}
	}
	return nil, false, nil
}

// chunkByte takes one byte of what stands between chunks.
func (m *message) chunkByte(c byte) (done bool, err error) {
	switch m.phase {
	case inChunkSize, inChunkExt:
		switch {
		case c == '\n':
			if m.left = m.size; m.left == 0 {
				m.phase = inTrailer
			} else {
				m.phase = inChunk
			}
			m.size = 0
		case c == '\r' || m.phase == inChunkExt:
		case c == ';':
			m.phase = inChunkExt
		default:
			d := unhex(c)
			if d < 0 || m.size > 1<<26 {
				return false, fmt.Errorf("bad chunk size byte %q", c)
			}
			m.size = m.size<<4 | d
		}
	case inChunkEnd:
		if c == '\n' {
			m.phase = inChunkSize
		}
	case inTrailer: // at the start of a line
		if c == '\n' {
			m.phase = inHead
			return true, nil
		}
		if c != '\r' {
			m.phase = inTrailerLine
		}
	case inTrailerLine:
		if c == '\n' {
			m.phase = inTrailer
		}
	}
	return false, nil
}

func unhex(c byte) int {
	switch {
	case '0' <= c && c <= '9':
		return int(c - '0')
	case 'a' <= c|0x20 && c|0x20 <= 'f':
		return int(c|0x20-'a') + 10
	}
	return -1
}

var (
	contentLength    = []byte("content-length:")
	transferEncoding = []byte("transfer-encoding:")
	connection       = []byte("connection:")
)

// frame learns from a head how its body is framed.
func (m *message) frame(head []byte) error {
	m.left, m.chunked, m.close = 0, false, false
	_, fields, _ := bytes.Cut(head, crlf)
	for len(fields) > 2 {
		i := bytes.IndexByte(fields, '\n')
		line := fields[:i]
		fields = fields[i+1:]
		switch line[0] | 0x20 {
		case 'c':
			if v, ok := value(line, contentLength); ok {
				n := 0
				for _, c := range v {
					if c < '0' || c > '9' || n > 1<<30 {
						return fmt.Errorf("bad Content-Length %q", v)
					}
					n = n*10 + int(c-'0')
				}
				m.left = n
			} else if v, ok := value(line, connection); ok {
				m.close = bytes.EqualFold(v, []byte("close"))
			}
		case 't':
			if v, ok := value(line, transferEncoding); ok {
				if !bytes.EqualFold(v, []byte("chunked")) {
					return fmt.Errorf("unexpected Transfer-Encoding %q", v)
				}
				m.chunked = true
			}
		}
	}
	return nil
}

var crlf = []byte("\r\n")

// value returns the value of a field line if it has the given lower-case name.
func value(line, name []byte) ([]byte, bool) {
	if len(line) < len(name) || !bytes.EqualFold(line[:len(name)], name) {
		return nil, false
	}
	return bytes.TrimSpace(line[len(name):]), true
}
