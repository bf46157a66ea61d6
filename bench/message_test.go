package main

import (
	"strings"
	"testing"
)

// However the bytes are cut, the same messages come out.
func TestMessageInPieces(t *testing.T) {
	stream := "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello" +
		"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5;x=y\r\nhello\r\nA\r\n, world 12\r\n0\r\nTrailer: x\r\n\r\n" +
		"HTTP/1.1 204 No Content\r\nConnection: close\r\n\r\n" +
		"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok"
	const want = "hello|hello, world 12||ok|"
	for step := 1; step <= len(stream); step++ {
		var m message
		var got strings.Builder
		for i := 0; i < len(stream); i += step {
			b := []byte(stream[i:min(i+step, len(stream))])
			for len(b) > 0 {
				rest, done, err := m.feed(b, func([]byte) error { return nil },
					func(p []byte) error { got.Write(p); return nil })
				if err != nil {
					t.Fatalf("in pieces of %d: %v", step, err)
				}
				if done {
					got.WriteByte('|')
				}
				b = rest
			}
		}
		if got.String() != want {
			t.Errorf("in pieces of %d: %q, want %q", step, got.String(), want)
		}
	}
}

func TestMessageRefusesBadFraming(t *testing.T) {
	for _, head := range []string{
		"HTTP/1.1 200 OK\r\nContent-Length: 5x\r\n\r\n",
		"HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n\r\n",
		"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
	} {
		var m message
		nothing := func([]byte) error { return nil }
		if _, _, err := m.feed([]byte(head), nothing, nothing); err == nil {
			t.Errorf("%q was taken", head)
		}
	}
}
