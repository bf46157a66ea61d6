package jsonschema

import (
	"bytes"
	"encoding/binary"
	"math/bits"
	"math/rand/v2"
	"unicode/utf8"
)

// A token is a name, a value, or the beginning of a container. The tape of a
// document is its tokens in order: a member is its name followed by its
// value, a container is followed by what it holds. There is no closing token.
type token struct {
	start, end uint32 // bytes in the document, with quotes and brackets
	// aux is the index of the token after the container's last one; of a
	// name it is the hash, of a value that is no container it is 0.
	aux  uint32
	meta uint32 // bits below
}

const (
	// The low seven bits are the type, one of Types: an integer that is
	// written with a point or exponent is an Integer too, except in draft 4.
	tokMark = 1 << 7 // of a name: the member is cut out; of a value: redacted, or the element is cut out

	// Strings and names.
	tokEscaped  = 1 << 8
	tokNonASCII = 1 << 9
	tokQuiet    = 1 << 10 // the plan rules detectors out
	tokName     = 1 << 11 // a name, not a value

	tokTrue  = 1 << 8 // booleans
	tokPlain = 1 << 8 // numbers: an optional minus, then at most 18 digits

	countShift = 8 // containers: the rest of meta is the number of members or elements
	maxCount   = 1<<24 - 1
)

func (t *token) types() Types { return Types(t.meta & 0x7f) }
func (t *token) count() int   { return int(t.meta >> countShift) }

// A frame is an object or array that is not closed yet.
type frame struct {
	tok   uint32
	count uint32
	// bloom has a bit for each name seen, chosen by its hash. Where the bit
	// was clear the name is new; most objects need no more than that.
	bloom [4]uint64
	// set is the hash set of the names of a large object, in parser.sets.
	setAt, setCap uint32
	object        bool
}

// setFrom is the number of names from which an object gets a hash set.
const setFrom = 32

// A parser turns bytes into a tape. It belongs to one call at a time.
type parser struct {
	doc    []byte
	tape   []token
	frames []frame
	sets   []uint64 // hash sets of open objects: hash<<32 | token+1
	buf    []byte   // for decoded names
	fault  fault
	draft4 bool
	strict bool // numbers
	// numbered are the strings that have as many digits as that, as far as
	// can be said without decoding them. 0: nobody asks.
	digits   int
	numbered []uint32
	// unicode is set where a string or name has an escape like \u0040.
	unicode bool
	escapes bool // some value has an escape
}

// A fault says why a document cannot be read.
type fault struct {
	keyword string // syntax, duplicate or limit
	msg     string
	off     int
	tok     uint32 // for duplicate: the name that stands again
}

const (
	lsb    = 0x0101010101010101
	msb    = 0x8080808080808080
	slash  = '\\' * lsb
	spaces = ' ' * lsb
)

func (p *parser) fail(off int, msg string) bool {
	p.fault = fault{"syntax", msg, min(off, len(p.doc)), 0}
	return false
}

func (p *parser) limit(off int, msg string) bool {
	p.fault = fault{"limit", msg, off, 0}
	return false
}

func (p *parser) grow() []token {
	t := make([]token, max(64, 2*len(p.tape)))
	copy(t, p.tape)
	p.tape = t
	return t
}

// parse fills the tape. It returns false where the document is not strict
// JSON, or crosses a limit, and sets p.fault.
func (p *parser) parse(doc []byte, lim *Limits) bool {
	p.doc = doc
	p.sets = p.sets[:0]
	p.unicode, p.escapes = false, false
	p.numbered = p.numbered[:0]
	if len(doc) > lim.Bytes {
		return p.limit(lim.Bytes, "the document is larger than the limit")
	}
	var (
		i     int // next byte
		c     byte
		tape  = p.tape
		n     int // tokens
		depth = -1
		cur   *frame
	)

value:
	if i >= len(doc) {
		return p.fail(i, "unexpected end, want a value")
	}
	c = doc[i]
	if c <= ' ' {
		if i = skipSpace(doc, i); i >= len(doc) {
			return p.fail(i, "unexpected end, want a value")
		}
		c = doc[i]
	}
valueAt:
	if n >= len(tape) {
		tape = p.grow()
	}
	if c == '"' {
		var end int
		var flags uint32
		if p.digits == 0 {
			end, flags = scanString(doc, i+1)
		} else {
			var digits int
			if end, flags, digits = scanDigits(doc, i+1); digits >= p.digits {
				p.numbered = append(p.numbered, uint32(n))
			}
		}
		if end < 0 {
			return p.badString(i)
		}
		if end-i > lim.String {
			return p.limit(i, "a string is longer than the limit")
		}
		if flags&tokEscaped != 0 {
			p.escapes = true
			p.unicode = p.unicode || bytes.Contains(doc[i:end], []byte(`\u`))
		}
		tape[n] = token{uint32(i), uint32(end), 0, uint32(String) | flags}
		n++
		i = end
		goto after
	}
	switch c {
	case '-', '0', '1', '2', '3', '4', '5', '6', '7', '8', '9':
		start := i
		if c == '-' {
			i++
			if i >= len(doc) {
				return p.fail(i, "unexpected end in a number")
			}
			c = doc[i]
		}
		digits := i
		if c-'0' > 9 {
			return p.fail(i, "a number needs a digit here")
		}
		i++
		if c != '0' {
			for i < len(doc) && doc[i]-'0' <= 9 {
				i++
			}
		}
		meta := uint32(Integer)
		if i-digits <= 18 {
			meta |= tokPlain
		}
		if i < len(doc) {
			switch c = doc[i]; {
			case c == '.' || c == 'e' || c == 'E':
				var end int
				if end = scanFraction(doc, i); end < 0 {
					return p.fail(^end, "a number needs a digit here")
				}
				i = end
				meta = uint32(Number)
				if i-start <= lim.Number && !p.draft4 && integral(doc[start:i]) {
					meta = uint32(Integer)
				}
			case c-'0' <= 9:
				return p.fail(i, "a number must not begin with 0 and another digit")
			}
		}
		if i-start > lim.Number {
			return p.limit(start, "a number is longer than the limit")
		}
		if p.strict && (i-start > 15 || meta&tokPlain == 0) && !roundTrips(doc[start:i]) {
			return p.limit(start, "other readers would round this number")
		}
		tape[n] = token{uint32(start), uint32(i), 0, meta}
		n++

	case '{', '[':
		if depth++; depth >= len(p.frames) {
			if depth >= lim.Depth {
				return p.limit(i, "too many objects and arrays inside each other")
			}
			p.frames = append(p.frames, frame{})
			p.frames = p.frames[:cap(p.frames)]
		}
		if depth >= lim.Depth {
			return p.limit(i, "too many objects and arrays inside each other")
		}
		cur = &p.frames[depth]
		cur.tok, cur.count = uint32(n), 0
		meta := uint32(Array)
		object := c == '{'
		cur.object = object
		if object {
			meta = uint32(Object)
			cur.bloom = [4]uint64{}
			cur.setCap = 0
		}
		tape[n] = token{uint32(i), 0, 0, meta}
		n++
		i++
		if i < len(doc) {
			c = doc[i]
			if c <= ' ' {
				if i = skipSpace(doc, i); i < len(doc) {
					c = doc[i]
				}
			}
		}
		if i >= len(doc) {
			return p.fail(i, "unexpected end in an object or array")
		}
		if object {
			if c == '}' {
				goto closing
			}
			goto name
		}
		if c == ']' {
			goto closing
		}
		goto valueAt

	case 't':
		if len(doc)-i < 4 || string(doc[i:i+4]) != "true" {
			return p.fail(i, "want a value")
		}
		tape[n] = token{uint32(i), uint32(i + 4), 0, uint32(Boolean) | tokTrue}
		n++
		i += 4
	case 'f':
		if len(doc)-i < 5 || string(doc[i:i+5]) != "false" {
			return p.fail(i, "want a value")
		}
		tape[n] = token{uint32(i), uint32(i + 5), 0, uint32(Boolean)}
		n++
		i += 5
	case 'n':
		if len(doc)-i < 4 || string(doc[i:i+4]) != "null" {
			return p.fail(i, "want a value")
		}
		tape[n] = token{uint32(i), uint32(i + 4), 0, uint32(Null)}
		n++
		i += 4
	default:
		return p.fail(i, "want a value")
	}

after:
	if depth < 0 {
		if i < len(doc) {
			if i = skipSpace(doc, i); i < len(doc) {
				return p.fail(i, "something stands after the value")
			}
		}
		p.tape = tape
		p.tape[0].aux = max(p.tape[0].aux, 1)
		return true
	}
	cur.count++
	if i < len(doc) {
		c = doc[i]
		if c <= ' ' {
			if i = skipSpace(doc, i); i < len(doc) {
				c = doc[i]
			}
		}
	}
	if i >= len(doc) {
		return p.fail(i, "unexpected end in an object or array")
	}
	if c == ',' {
		if int(cur.count) >= lim.Members {
			return p.limit(i, "too many members or elements")
		}
		i++
		if !cur.object {
			goto value
		}
		if i < len(doc) {
			c = doc[i]
			if c <= ' ' {
				if i = skipSpace(doc, i); i < len(doc) {
					c = doc[i]
				}
			}
		}
		if i >= len(doc) {
			return p.fail(i, "unexpected end, want a name")
		}
		goto name
	}
closing:
	if cur.object {
		if c != '}' {
			return p.fail(i, "want a comma or }")
		}
		if cur.setCap != 0 {
			p.sets = p.sets[:cur.setAt]
		}
	} else if c != ']' {
		return p.fail(i, "want a comma or ]")
	}
	i++
	{
		t := &tape[cur.tok]
		t.end = uint32(i)
		t.aux = uint32(n)
		t.meta |= cur.count << countShift
	}
	if depth--; depth >= 0 {
		cur = &p.frames[depth]
	}
	goto after

name:
	if c != '"' {
		return p.fail(i, "want a name in quotes")
	}
	{
		end, flags := scanString(doc, i+1)
		if end < 0 {
			return p.badString(i)
		}
		var h uint32
		if size := end - i - 2; flags&tokEscaped == 0 {
			if size <= 16 && i+17 <= len(doc) {
				m := &masks[size]
				h = hash16(binary.LittleEndian.Uint64(doc[i+1:])&m[0], binary.LittleEndian.Uint64(doc[i+9:])&m[1], size)
			} else {
				h = hashBytes(doc[i+1 : end-1])
			}
		} else {
			p.buf = appendDecoded(p.buf[:0], doc[i+1:end-1])
			h = hashBytes(p.buf)
		}
		if end-i > lim.String {
			return p.limit(i, "a name is longer than the limit")
		}
		if n >= len(tape) {
			tape = p.grow()
		}
		tape[n] = token{uint32(i), uint32(end), h, uint32(String) | tokName | flags}
		word, bit := h>>30, uint64(1)<<(h>>24&63)
		if cur.bloom[word]&bit != 0 || cur.count >= setFrom {
			if p.seen(cur, uint32(n)) {
				p.fault = fault{"duplicate", "the name stands twice in its object", i, 0}
				return false
			}
		}
		cur.bloom[word] |= bit
		n++
		i = end
	}
	if i < len(doc) {
		c = doc[i]
		if c <= ' ' {
			if i = skipSpace(doc, i); i < len(doc) {
				c = doc[i]
			}
		}
	}
	if i >= len(doc) || c != ':' {
		return p.fail(i, "want a colon")
	}
	i++
	if i < len(doc) && doc[i] == ' ' {
		i++
	}
	goto value
}

// seen reports whether the name at token t stands in the frame's object
// already, and remembers it.
func (p *parser) seen(f *frame, t uint32) bool {
	h := p.tape[t].aux
	if f.count < setFrom {
		for k, left := f.tok+1, f.count; left > 0; left-- {
			if p.tape[k].aux == h && p.sameName(k, t) {
				return true
			}
			k = p.skip(k + 1)
		}
		return false
	}
	if f.setCap == 0 || 2*f.count >= f.setCap {
		size := uint32(8 * setFrom)
		if f.setCap == 0 {
			f.setAt = uint32(len(p.sets))
		} else {
			size = 4 * f.setCap
		}
		f.setCap = size
		// What lies behind belongs to this object only: others are closed.
		need := int(f.setAt + size)
		if need > cap(p.sets) {
			s := make([]uint64, need, 2*need)
			copy(s, p.sets[:f.setAt])
			p.sets = s
		}
		p.sets = p.sets[:need]
		clear(p.sets[f.setAt:])
		for k, left := f.tok+1, f.count; left > 0; left-- {
			p.insert(f, k, p.tape[k].aux)
			k = p.skip(k + 1)
		}
	}
	return p.insert(f, t, h)
}

// insert adds the name at t to the frame's set, and reports whether an equal
// one was there.
func (p *parser) insert(f *frame, t, h uint32) bool {
	set := p.sets[f.setAt : f.setAt+f.setCap]
	mask := f.setCap - 1
	for i := h & mask; ; i = (i + 1) & mask {
		e := set[i]
		if e == 0 {
			set[i] = uint64(h)<<32 | uint64(t+1)
			return false
		}
		if uint32(e>>32) == h && p.sameName(uint32(e)-1, t) {
			return true
		}
	}
}

// sameName compares two names of the document.
func (p *parser) sameName(a, b uint32) bool {
	x, y := &p.tape[a], &p.tape[b]
	xs, ys := p.doc[x.start+1:x.end-1], p.doc[y.start+1:y.end-1]
	if (x.meta|y.meta)&tokEscaped == 0 {
		return string(xs) == string(ys)
	}
	p.buf = appendDecoded(p.buf[:0], xs)
	n := len(p.buf)
	p.buf = appendDecoded(p.buf, ys)
	return string(p.buf[:n]) == string(p.buf[n:])
}

// skip returns the token after the value at i.
func (p *parser) skip(i uint32) uint32 {
	if t := &p.tape[i]; t.meta&uint32(Array|Object) != 0 {
		return t.aux
	}
	return i + 1
}

// skipSpace returns the first byte from i on that is not white space.
func skipSpace(doc []byte, i int) int {
	for i < len(doc) {
		switch doc[i] {
		case ' ':
			for i+8 <= len(doc) && binary.LittleEndian.Uint64(doc[i:]) == spaces {
				i += 8
			}
			for i < len(doc) && doc[i] == ' ' {
				i++
			}
		case '\n', '\r', '\t':
			i++
		default:
			return i
		}
	}
	return i
}

// special returns a word in which a byte's top bit is set where x has a quote,
// a backslash, a control, or what is not ASCII. A borrow may set bits above the
// first one only. The quote, 0x22, becomes 0x20 by the exclusive or, and so the
// neighbour of the controls; a space becomes 0x22.
func special(x uint64) uint64 {
	return (((x ^ 0x02*lsb) - 0x21*lsb) | ((x ^ slash) - lsb) | x) & msb
}

// scanString returns the place after the closing quote of the string whose
// first byte after the opening quote is at i, or -1.
func scanString(doc []byte, i int) (end int, flags uint32) {
	if i+16 > len(doc) {
		return scanRest(doc, i)
	}
	// Which of two words it is must not be a branch: strings have all lengths.
	m, at := special(binary.LittleEndian.Uint64(doc[i:])), i
	if m == 0 {
		m, at = special(binary.LittleEndian.Uint64(doc[i+8:])), i+8
	}
	for m == 0 {
		i += 16
		if i+32 > len(doc) {
			return scanRest(doc, i)
		}
		s := doc[i : i+32 : i+32]
		a, b := special(binary.LittleEndian.Uint64(s)), special(binary.LittleEndian.Uint64(s[8:]))
		c, d := special(binary.LittleEndian.Uint64(s[16:])), special(binary.LittleEndian.Uint64(s[24:]))
		if a|b|c|d == 0 {
			i += 16
			continue
		}
		m, at = a, i
		if a == 0 {
			m, at = b, i+8
		}
		if a|b == 0 {
			m, at = c, i+16
		}
		if a|b|c == 0 {
			m, at = d, i+24
		}
	}
	at += bits.TrailingZeros64(m) >> 3
	if doc[at] == '"' {
		return at + 1, 0
	}
	return scanRest(doc, at)
}

// scanDigits is scanString and counts decimal digits; what has escapes, or is
// not ASCII, is counted as if it were nothing but digits.
func scanDigits(doc []byte, i int) (end int, flags uint32, digits int) {
	for i+16 <= len(doc) {
		x, y := binary.LittleEndian.Uint64(doc[i:]), binary.LittleEndian.Uint64(doc[i+8:])
		mx, my := special(x), special(y)
		if mx|my == 0 {
			digits += bits.OnesCount64(digitsOf(x)) + bits.OnesCount64(digitsOf(y))
			i += 16
			continue
		}
		m, w := mx, x
		if mx == 0 {
			digits += bits.OnesCount64(digitsOf(x))
			m, w = my, y
			i += 8
		}
		// Those before the byte that was found.
		digits += bits.OnesCount64(digitsOf(w) & (m&-m - 1))
		i += bits.TrailingZeros64(m) >> 3
		if doc[i] == '"' {
			return i + 1, 0, digits
		}
		break
	}
	from := i
	end, flags = scanRest(doc, i)
	return end, flags, digits + max(0, end-from)
}

// digitsOf has the top bit of each byte that is a decimal digit, in a word of
// ASCII.
func digitsOf(x uint64) uint64 {
	x ^= '0' * lsb
	return ^((x + 0x76*lsb) | x) & msb
}

// scanRest is scanString for what is not plain ASCII, and for the last bytes
// of a document.
func scanRest(doc []byte, i int) (end int, flags uint32) {
	for i < len(doc) {
		c := doc[i]
		switch {
		case c == '"':
			return i + 1, flags
		case c == '\\':
			flags |= tokEscaped
			if i+1 < len(doc) && simpleEscape[doc[i+1]] {
				i += 2
				continue
			}
			n := escapeLen(doc[i:])
			if n == 0 {
				return -1, 0
			}
			i += n
			continue
		case c < ' ':
			return -1, 0
		case c < utf8.RuneSelf:
			i++
			for i+8 <= len(doc) {
				x := binary.LittleEndian.Uint64(doc[i:])
				m := special(x)
				if m != 0 {
					i += bits.TrailingZeros64(m) >> 3
					break
				}
				i += 8
			}
			continue
		}
		flags |= tokNonASCII
		// Two and three bytes are nearly all there is.
		switch {
		case c >= 0xC2 && c < 0xE0 && i+1 < len(doc) && doc[i+1]&0xC0 == 0x80:
			i += 2
		case c > 0xE0 && c < 0xED && i+2 < len(doc) && doc[i+1]&0xC0 == 0x80 && doc[i+2]&0xC0 == 0x80:
			i += 3
		default:
			r, n := utf8.DecodeRune(doc[i:])
			if r == utf8.RuneError && n < 2 {
				return -1, 0
			}
			i += n
		}
	}
	return -1, 0
}

// simpleEscape are the characters that make an escape of two bytes.
var simpleEscape = [256]bool{'"': true, '\\': true, '/': true, 'b': true, 'f': true, 'n': true, 'r': true, 't': true}

// escapeLen returns the length of the escape that s begins with; a surrogate
// pair is one. It returns 0 where the escape is not valid, or a lone surrogate.
func escapeLen(s []byte) int {
	if len(s) < 2 {
		return 0
	}
	switch s[1] {
	case '"', '\\', '/', 'b', 'f', 'n', 'r', 't':
		return 2
	case 'u':
		r := hex4(s[2:])
		if r < 0 || r&0xFC00 == 0xDC00 {
			return 0
		}
		if r&0xFC00 != 0xD800 {
			return 6
		}
		if len(s) < 12 || s[6] != '\\' || s[7] != 'u' || hex4(s[8:])&^0x3FF != 0xDC00 {
			return 0
		}
		return 12
	}
	return 0
}

// hex4 reads four hexadecimal digits. It returns -1 where there are fewer.
func hex4(s []byte) (r rune) {
	if len(s) < 4 {
		return -1
	}
	for _, c := range s[:4] {
		switch {
		case c-'0' <= 9:
			c -= '0'
		case c|0x20 >= 'a' && c|0x20 <= 'f':
			c = c | 0x20 - 'a' + 10
		default:
			return -1
		}
		r = r<<4 | rune(c)
	}
	return r
}

// badString finds what is wrong with the string that begins at i.
func (p *parser) badString(i int) bool {
	for i++; i < len(p.doc); {
		switch c := p.doc[i]; {
		case c < ' ':
			return p.fail(i, "a control character in a string; write it as an escape")
		case c == '\\':
			n := escapeLen(p.doc[i:])
			if n == 0 {
				if i+2 > len(p.doc) {
					return p.fail(i, "unexpected end in a string")
				}
				if p.doc[i+1] == 'u' && hex4(p.doc[i+2:]) >= 0 {
					return p.fail(i, "half of a surrogate pair")
				}
				return p.fail(i, "not an escape that JSON knows")
			}
			i += n
		default:
			r, n := utf8.DecodeRune(p.doc[i:])
			if r == utf8.RuneError && n < 2 {
				return p.fail(i, "invalid UTF-8")
			}
			i += n
		}
	}
	return p.fail(len(p.doc), "unexpected end in a string")
}

// appendDecoded appends the text of a valid string without its quotes.
func appendDecoded(dst, s []byte) []byte {
	for i := 0; i < len(s); {
		if s[i] != '\\' {
			from := i
			for i < len(s) && s[i] != '\\' {
				i++
			}
			dst = append(dst, s[from:i]...)
			continue
		}
		i += 2
		switch c := s[i-1]; c {
		case 'b':
			dst = append(dst, '\b')
		case 'f':
			dst = append(dst, '\f')
		case 'n':
			dst = append(dst, '\n')
		case 'r':
			dst = append(dst, '\r')
		case 't':
			dst = append(dst, '\t')
		case 'u':
			r := hex4(s[i:])
			i += 4
			if r&0xFC00 == 0xD800 {
				r = (r&0x3FF<<10 | hex4(s[i+2:])&0x3FF) + 0x10000
				i += 6
			}
			dst = utf8.AppendRune(dst, r)
		default:
			dst = append(dst, c)
		}
	}
	return dst
}

// scanFraction reads the fraction and exponent of a number. It returns the
// place after it, or the complement of the place where a digit is missing.
func scanFraction(doc []byte, i int) int {
	if doc[i] == '.' {
		i++
		from := i
		for i < len(doc) && doc[i]-'0' <= 9 {
			i++
		}
		if i == from {
			return ^i
		}
	}
	if i < len(doc) && doc[i]|0x20 == 'e' {
		i++
		if i < len(doc) && (doc[i] == '+' || doc[i] == '-') {
			i++
		}
		from := i
		for i < len(doc) && doc[i]-'0' <= 9 {
			i++
		}
		if i == from {
			return ^i
		}
	}
	return i
}

// The keys of the hash of names. They differ in each process, so that nobody
// can prepare names that collide.
var seed0, seed1, seed2 = rand.Uint64(), rand.Uint64() | 1, rand.Uint64()

// masks keep the first n of sixteen bytes.
var masks = func() (m [17][2]uint64) {
	for n := range m {
		for k := range n {
			m[n][k>>3] |= 0xff << (k & 7 * 8)
		}
	}
	return m
}()

// pack returns the bytes of a string of up to 16 in two words, with zeros
// behind. Together with its length they are the string.
func pack(s []byte) (a, b uint64) {
	var w [16]byte
	copy(w[:], s)
	return binary.LittleEndian.Uint64(w[:]), binary.LittleEndian.Uint64(w[8:])
}

// hash16 hashes a name of n bytes, at most 16.
func hash16(a, b uint64, n int) uint32 {
	hi, lo := bits.Mul64(a^seed0, b^seed1^uint64(n)<<56)
	x := hi ^ lo
	return uint32(x>>32) ^ uint32(x)
}

// hashBytes hashes a decoded name or string.
func hashBytes(s []byte) uint32 {
	x := hash64(s)
	return uint32(x>>32) ^ uint32(x)
}

func hash64(s []byte) uint64 {
	if len(s) > 16 {
		return hashLong(s)
	}
	a, b := pack(s)
	hi, lo := bits.Mul64(a^seed0, b^seed1^uint64(len(s))<<56)
	return hi ^ lo
}

func hashLong(s []byte) uint64 {
	h := seed2 ^ uint64(len(s))
	for len(s) > 16 {
		hi, lo := bits.Mul64(binary.LittleEndian.Uint64(s)^seed0^h, binary.LittleEndian.Uint64(s[8:])^seed1)
		h = hi ^ lo
		s = s[16:]
	}
	var a, b uint64
	switch n := len(s); {
	case n >= 8:
		a = binary.LittleEndian.Uint64(s)
		b = binary.LittleEndian.Uint64(s[n-8:])
	case n >= 4:
		a = uint64(binary.LittleEndian.Uint32(s))
		b = uint64(binary.LittleEndian.Uint32(s[n-4:]))
	default:
		a = uint64(s[0]) | uint64(s[n>>1])<<8 | uint64(s[n-1])<<16
	}
	hi, lo := bits.Mul64(a^seed0^h, b^seed1)
	return hi ^ lo
}
