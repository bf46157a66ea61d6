package guard

import (
	"bytes"
	"compress/zlib"
	"errors"
	"io"

	"github.com/andybalholm/brotli"
	"github.com/klauspost/compress/flate"
	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"

	"github.com/sallyport/sallyport/exchange"
)

// codings are the reasons that stand for what can be wrong with a content
// coding, one set for each door.
type codings struct{ unknown, tooLarge, broken exchange.Reason }

var (
	requestCodings = codings{exchange.RequestCoding, exchange.RequestTooLarge, exchange.RequestTruncated}
	answerCodings  = codings{exchange.ResponseCoding, exchange.ResponseTooLarge, exchange.ResponseCoding}
)

// maxRatio is how many bytes one byte of a coded body may become, beyond a
// first 64 KiB: text that people write stays far below, bombs far above.
const maxRatio = 200

// decode takes one content coding off a body. A chain of codings is refused,
// since readers disagree on it; so is a result that is larger than limit or
// that no honest text comes to.
func (p *Pass) decode(coding []byte, fields int, body []byte, limit int, r *codings) ([]byte, exchange.Reason) {
	if fields > 1 || bytes.IndexByte(coding, ',') >= 0 {
		return nil, r.unknown
	}
	var src io.Reader
	var err error
	in := bytes.NewReader(body)
	switch {
	case exchange.EqualFold(coding, "identity"):
		return body, exchange.OK
	case exchange.EqualFold(coding, "gzip"), exchange.EqualFold(coding, "x-gzip"):
		src, err = gzip.NewReader(in)
	case exchange.EqualFold(coding, "deflate"):
		// RFC 9110 section 8.4.1.2 means zlib; some senders leave it out.
		if len(body) >= 2 && body[0]&15 == 8 && (int(body[0])<<8|int(body[1]))%31 == 0 {
			src, err = zlib.NewReader(in)
		} else {
			src = flate.NewReader(in)
		}
	case exchange.EqualFold(coding, "br"):
		src = brotli.NewReader(in)
	case exchange.EqualFold(coding, "zstd"):
		var z *zstd.Decoder
		z, err = zstd.NewReader(in, zstd.WithDecoderConcurrency(1), zstd.WithDecoderMaxMemory(uint64(max(limit, 1<<20))), zstd.WithDecoderMaxWindow(8<<20))
		if err == nil {
			defer z.Close()
			src = z
		}
	default:
		return nil, r.unknown
	}
	if err != nil {
		return nil, r.broken
	}
	most := min(limit, 64<<10+maxRatio*len(body))
	out := p.decodeBuf[:0]
	for {
		if len(out) == cap(out) {
			out = append(out, 0)[:len(out)]
		}
		n, err := src.Read(out[len(out):min(cap(out), most+1)])
		out = out[:len(out)+n]
		if len(out) > most {
			return nil, r.tooLarge
		}
		switch {
		case err == io.EOF:
			p.decodeBuf = out
			if in.Len() > 0 { // some readers would go on behind the end
				return nil, r.broken
			}
			return out, exchange.OK
		case errors.Is(err, zstd.ErrDecoderSizeExceeded), errors.Is(err, zstd.ErrWindowSizeExceeded):
			return nil, r.tooLarge
		case err != nil:
			return nil, r.broken
		}
	}
}
