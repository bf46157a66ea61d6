package jsonschema

import (
	"bytes"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"math/bits"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"
)

// maxPointers is how many pointers a Named lists.
const maxPointers = 8

func (n *Named) reset() { n.Count, n.Pointers = 0, n.Pointers[:0] }

func (r *Report) reset() {
	r.Changed, r.Broken, r.Dropped = false, false, 0
	if r.Redacted.Count+r.Found.Count > 0 {
		r.ByClass = [64]int{}
	}
	r.Undeclared.reset()
	r.ReadOnly.reset()
	r.WriteOnly.reset()
	r.Redacted.reset()
	r.Found.reset()
	r.Captured = r.Captured[:0]
}

var noPolicy Policy

// Filter reads a document, judges it, and returns what of it may pass: doc
// itself where nothing changes, else dst with the changed document appended.
// p may be nil for the zero Policy, and r for nobody who wants to know.
//
// The error is an [*Error] or [ErrStopped], and there is no output then;
// except that with p.Lenient violations of the schema come together with it.
// The report is complete where there is output.
func (s *Schema) Filter(dst, doc []byte, p *Policy, r *Report) (out []byte, err error) {
	if p == nil {
		p = &noPolicy
	}
	if r != nil {
		r.reset()
	}
	e := newExec(s.eng)
	e.policy = p
	e.judging = p.Undeclared != Keep
	e.detecting = len(p.Detectors) > 0
	for i := range p.Detectors {
		if d := p.Detectors[i].Digits; d > 0 && (e.digits == 0 || d < e.digits) {
			e.digits = d
		}
	}
	for i := range p.Redact {
		if i < 64 {
			e.redactMask |= 1 << i
		}
	}
	e.marking = e.judging || e.detecting || e.redactMask != 0 || p.ReadOnly != Keep || p.WriteOnly != Keep
	out, err = e.filter(s, dst, doc, r)
	e.release()
	return out, err
}

func (e *exec) filter(s *Schema, dst, doc []byte, r *Report) ([]byte, error) {
	ok := e.check(s.root, doc)
	if e.fault.keyword != "" {
		return nil, e.failure()
	}
	for k := range e.pending {
		// In the order they were met. What is in a dropped member does no harm.
		if !e.settle(s.root, e.pending[k].tok, e.pending[k].at) {
			ok = false
		}
	}
	var err error
	if !ok {
		if failed := e.failure(); failed != nil {
			if !e.policy.Lenient || failed.denied() {
				return nil, failed
			}
			err = failed
		}
	}
	if e.detecting {
		e.detect()
	}
	if len(s.captures) > 0 && !e.capture(s.captures, r) {
		return nil, ErrStopped
	}
	if len(e.cuts) == 0 && len(e.redactions) == 0 {
		return doc, err
	}
	out, changed := e.rewrite(dst, r)
	if !changed {
		return doc, err
	}
	if r != nil {
		r.Changed = true
	}
	if e.policy.Recheck && r != nil {
		f := newExec(s.eng)
		f.verdict = 1
		r.Broken = !f.check(s.root, out[len(dst):])
		f.release()
	}
	return out, err
}

// denied reports whether the policy, and not the schema, said no.
func (e *Error) denied() bool {
	for i := range e.Violations {
		switch e.Violations[i].Keyword {
		case "undeclared", "readOnly", "writeOnly":
			return true
		}
	}
	return false
}

// note counts something and remembers its place.
func (e *exec) note(n *Named, tok uint32) {
	n.Count++
	if len(n.Pointers) < maxPointers {
		n.Pointers = append(n.Pointers, string(e.appendPointer(nil, tok)))
	}
}

// A capture is a JSON Pointer taken apart.
type capture struct {
	tokens []string
	hashes []uint32
	every  int // number of tokens that are "*"
}

// WithCaptures returns a schema that shares the plan of s and also captures
// the values at JSON Pointers, in which "*" stands for each element of an
// array. At most 64 are allowed.
func (s *Schema) WithCaptures(pointers []string) (*Schema, error) {
	if len(pointers) > 64 {
		return nil, errors.New("jsonschema: more than 64 captures")
	}
	t := &Schema{root: s.root, eng: s.eng}
	for _, p := range pointers {
		var c capture
		if p != "" {
			if p[0] != '/' {
				return nil, fmt.Errorf("jsonschema: %q is no JSON Pointer: it must begin with /", p)
			}
			for tok := range strings.SplitSeq(p[1:], "/") {
				for i := 0; i < len(tok); i++ {
					if tok[i] == '~' && (i+1 == len(tok) || tok[i+1] != '0' && tok[i+1] != '1') {
						return nil, fmt.Errorf("jsonschema: %q is no JSON Pointer: write ~ as ~0", p)
					}
				}
				if tok == "*" {
					c.every++
				}
				tok = strings.ReplaceAll(strings.ReplaceAll(tok, "~1", "/"), "~0", "~")
				c.tokens = append(c.tokens, tok)
				c.hashes = append(c.hashes, hashBytes([]byte(tok)))
			}
		}
		t.captures = append(t.captures, c)
	}
	return t, nil
}

// capture finds the values asked for. It returns false where the policy says
// Stop.
func (e *exec) capture(list []capture, r *Report) bool {
	for i := range list {
		if !e.walk(&list[i], i, 0, 0, 0, r) {
			return false
		}
	}
	return true
}

const noItem = 0 // the root is never an element

// walk follows a capture from token at on, of which depth tokens are done.
func (e *exec) walk(c *capture, index int, at uint32, depth int, item uint32, r *Report) bool {
	for ; depth < len(c.tokens); depth++ {
		t := &e.tape[at]
		name := c.tokens[depth]
		switch t.types() {
		case Object:
			found := false
			for j := at + 1; j < t.aux; j = e.skip(j + 1) {
				if e.tape[j].aux == c.hashes[depth] && string(e.decoded(j)) == name {
					at, found = j+1, true
					break
				}
			}
			if !found {
				return e.decide(index, nil, item, r)
			}
		case Array:
			if name == "*" {
				for j := at + 1; j < t.aux; j = e.skip(j) {
					if !e.walk(c, index, j, depth+1, j, r) {
						return false
					}
				}
				return true
			}
			want, err := strconv.Atoi(name)
			if err != nil || want < 0 || want >= t.count() || name != strconv.Itoa(want) {
				return e.decide(index, nil, item, r)
			}
			at++
			for ; want > 0; want-- {
				at = e.skip(at)
			}
		default:
			return e.decide(index, nil, item, r)
		}
	}
	t := &e.tape[at]
	if r != nil {
		got := Captured{Capture: index, Start: int(t.start), End: int(t.end)}
		if item != noItem {
			got.ItemStart, got.ItemEnd = int(e.tape[item].start), int(e.tape[item].end)
		}
		r.Captured = append(r.Captured, got)
	}
	return e.decide(index, e.doc[t.start:t.end], item, r)
}

func (e *exec) decide(index int, raw []byte, item uint32, r *Report) bool {
	if e.policy.Keep == nil {
		return true
	}
	switch e.policy.Keep(index, raw) {
	case KeepItem:
		return true
	case DropItem:
		if item != noItem {
			e.cut(item, cutItem)
			return true
		}
	}
	return false
}

// A wanted is a detector that may find something in the document at hand.
type wanted struct {
	*Detector
	length int
	anchor anchor
}

// An anchor says how the strings are found that a detector is asked about.
type anchor uint8

const (
	byDigits  anchor = iota // those that the parser noted
	byEscape                // those with escapes
	byNothing               // all
)

// detect runs the detectors over the strings that the plan does not rule out.
//
// Most documents hold nothing of what is looked for, and should not pay for
// it: strings with many digits are noted while they are read, and the rarest
// byte of the others is looked for in the document as a whole, by machine
// instructions made for that. An escape like \u0040 would hide them; with one
// of those each string is asked.
func (e *exec) detect() {
	e.wanted = e.wanted[:0]
	sweep, digits := false, false
	for i := range e.policy.Detectors {
		d := &e.policy.Detectors[i]
		if d.Find == nil {
			continue
		}
		w := wanted{d, max(d.Length, d.Digits, d.Run, len(d.Literal)), byNothing}
		if d.Digits > 0 {
			w.anchor = byDigits
			digits = true
		} else if d.escaped() {
			if !e.escapes {
				continue
			}
			w.anchor = byEscape
			sweep = true
		} else if rarest := d.rarest(); rarest != 0 && !e.unicode {
			e.occurrences(&w, rarest)
			continue
		} else {
			sweep = true
		}
		e.wanted = append(e.wanted, w)
	}
	if digits {
		for _, i := range e.numbered {
			if e.tape[i].meta&tokQuiet != 0 {
				continue
			}
			s := e.decoded(i)
			n := countDigits(s)
			for k := range e.wanted {
				if w := &e.wanted[k]; w.anchor == byDigits && n >= w.Digits {
					e.look(w, s, i)
				}
			}
		}
	}
	if !sweep {
		return
	}
	all := false
	for k := range e.wanted {
		all = all || e.wanted[k].anchor == byNothing
	}
	for i := range e.tape[:max(e.tape[0].aux, 1)] {
		if m := e.tape[i].meta; m&(0x7f|tokQuiet|tokName) != uint32(String) || !all && m&tokEscaped == 0 {
			continue
		}
		s := e.decoded(uint32(i))
		for k := range e.wanted {
			if w := &e.wanted[k]; w.anchor == byNothing || w.anchor == byEscape && e.tape[i].meta&tokEscaped != 0 {
				e.look(w, s, uint32(i))
			}
		}
	}
}

// occurrences asks a detector about the strings in which the rarest byte that
// it needs occurs.
func (e *exec) occurrences(w *wanted, rarest byte) {
	tok, n := uint32(0), max(e.tape[0].aux, 1)
	for at := 0; at < len(e.doc); {
		i := bytes.IndexByte(e.doc[at:], rarest)
		if i < 0 {
			return
		}
		at += i
		// The last token that begins before it.
		for tok+1 < n && int(e.tape[tok+1].start) <= at {
			tok++
		}
		t := &e.tape[tok]
		if int(t.end) <= at || t.meta&0x7f != uint32(String) {
			at++
			continue
		}
		if t.meta&(tokQuiet|tokName) == 0 {
			e.look(w, e.decoded(tok), tok)
		}
		at = int(t.end)
	}
}

// escaped reports whether the detector needs what JSON always writes as an
// escape.
func (d *Detector) escaped() bool {
	for i := range len(d.Literal) {
		if c := d.Literal[i]; c < ' ' || c == '"' || c == '\\' {
			return true
		}
	}
	return false
}

// rarest returns the byte that a detector needs and that is rarest in JSON; 0
// where each may be written as an escape, or there is none.
func (d *Detector) rarest() (best byte) {
	rank := func(b byte) int {
		switch {
		case b < ' ' || b == '"' || b == '\\' || b >= 0x7f:
			return 0
		case bytes.IndexByte([]byte(" ,:/._-"), b) >= 0 || b-'0' <= 9:
			return 1
		case bytes.IndexByte([]byte("etaoinsrhld"), b) >= 0:
			return 2
		case b >= 'a' && b <= 'z':
			return 3
		case b >= 'A' && b <= 'Z' && bytes.IndexByte([]byte("JKQVXYZ"), b) < 0:
			return 4
		}
		return 5
	}
	top := 0
	for k, b := range d.Bytes {
		if r := rank(b); k < 4 && r > top {
			best, top = b, r
		}
	}
	for i := range len(d.Literal) {
		if r := rank(d.Literal[i]); r > top {
			best, top = d.Literal[i], r
		}
	}
	return best
}

// look asks a detector about one string.
func (e *exec) look(w *wanted, s []byte, tok uint32) {
	if len(s) < w.length || !w.occurs(s) || w.Run > 0 && !hasRun(s, w.Run) {
		return
	}
	if _, _, ok := w.Find(s); ok {
		e.redactions = append(e.redactions, redaction{tok: tok, classes: 1 << (w.Class & 63), found: true})
	}
}

// occurs reports whether the detector's literal and bytes are in s.
func (d *Detector) occurs(s []byte) bool {
	for k, b := range d.Bytes {
		if k == 4 {
			break
		}
		if bytes.IndexByte(s, b) < 0 {
			return false
		}
	}
	return d.Literal == "" || bytes.Contains(s, []byte(d.Literal))
}

// countDigits counts decimal digits, eight bytes at a time.
func countDigits(s []byte) (n int) {
	for len(s) >= 8 {
		x := binary.LittleEndian.Uint64(s) ^ '0'*lsb
		n += 8 - bits.OnesCount64(((x&^uint64(msb)+0x76*lsb)|x)&msb)
		s = s[8:]
	}
	for _, c := range s {
		if c-'0' <= 9 {
			n++
		}
	}
	return n
}

// hasRun reports whether n letters, digits, '+', '/', '-' and '_' stand in a
// row. A run that long has a character at each n-th place, so most are skipped.
func hasRun(s []byte, n int) bool {
	for i := n - 1; i < len(s); {
		k := i
		for k > i-n && inRun[s[k]] != 0 {
			k--
		}
		if k == i-n {
			return true
		}
		i = k + n
	}
	return false
}

var inRun = func() (t [256]uint8) {
	for c := range t {
		b := byte(c)
		if b-'0' <= 9 || b|0x20 >= 'a' && b|0x20 <= 'z' || b == '+' || b == '/' || b == '-' || b == '_' {
			t[c] = 1
		}
	}
	return t
}()

// method returns what is to happen to a value of some classes: the strictest
// of what the policy says about each.
func (e *exec) method(classes uint64) (best Redaction, class int) {
	rank := [...]int{None: 0, Last4: 1, Hash: 2, Mask: 3, Replace: 4, Remove: 5}
	class = -1
	for i := range e.policy.Redact {
		if classes>>i&1 == 0 {
			continue
		}
		if class < 0 || rank[e.policy.Redact[i].How] > rank[best.How] {
			best, class = e.policy.Redact[i], i
		}
	}
	return best, class
}

// A level is an object or array that rewrite is in.
type level struct {
	end    uint32 // token after it
	object bool
	kept   bool // an earlier member or element stays
	skip   bool // the next one that stays begins at its own place: all before it went
	last   int  // where the last member or element ended, in the document
}

// rewrite copies the document without what was cut, and with what was
// redacted replaced.
func (e *exec) rewrite(dst []byte, r *Report) (out []byte, changed bool) {
	// Several schemas and detectors may have found the same value.
	slices.SortFunc(e.redactions, func(a, b redaction) int { return int(a.tok) - int(b.tok) })
	reds := e.redactions[:0]
	for _, x := range e.redactions {
		if n := len(reds); n > 0 && reds[n-1].tok == x.tok {
			reds[n-1].classes |= x.classes
			reds[n-1].found = reds[n-1].found && x.found
			continue
		}
		reds = append(reds, x)
	}
	// What is to be removed is cut out, member and all.
	live := reds[:0]
	for _, x := range reds {
		how, class := e.method(x.classes)
		if x.found && r != nil {
			e.note(&r.Found, x.tok)
		}
		if class < 0 {
			continue
		}
		if r != nil {
			r.ByClass[class]++
			if how.How != None {
				e.note(&r.Redacted, x.tok)
			}
		}
		if how.How == None {
			continue
		}
		if how.How == Remove && x.tok > 0 {
			at := x.tok
			if e.tape[at-1].meta&tokName != 0 && e.tape[at-1].types() == String {
				at--
			}
			e.cut(at, cutRemoved)
			continue
		}
		live = append(live, x)
	}
	if r != nil {
		for _, c := range e.cuts {
			switch c.kind {
			case cutUndeclared:
				e.note(&r.Undeclared, c.tok)
			case cutReadOnly:
				e.note(&r.ReadOnly, c.tok)
			case cutWriteOnly:
				e.note(&r.WriteOnly, c.tok)
			case cutItem:
				r.Dropped++
			}
		}
	}
	if len(e.cuts) == 0 && len(live) == 0 {
		return dst, false
	}
	stack := e.levels[:0]
	defer func() { e.levels = stack[:0] }()
	pos := 0 // copied up to here
	doc := e.doc
	n := max(e.tape[0].aux, 1)
	for i := uint32(0); i < n; {
		for len(stack) > 0 && i >= stack[len(stack)-1].end {
			stack = stack[:len(stack)-1]
			if len(stack) > 0 {
				// The container that ended was a value of the level above.
				top := &stack[len(stack)-1]
				top.kept = true
			}
		}
		first, v := i, i
		t := &e.tape[i]
		var top *level
		if len(stack) > 0 {
			top = &stack[len(stack)-1]
			if top.object {
				v = i + 1
			}
			end := int(e.tape[v].end)
			if t.meta&tokMark != 0 {
				if top.kept {
					if pos < top.last {
						dst = append(dst, doc[pos:top.last]...)
					}
					pos = end
				} else {
					if pos < int(t.start) && !top.skip {
						dst = append(dst, doc[pos:t.start]...)
					}
					pos = end
					top.skip = true
				}
				top.last = end
				i = e.skip(v)
				continue
			}
			if top.skip {
				pos = int(e.tape[first].start)
				top.skip = false
			}
			top.last = end
		}
		t = &e.tape[v]
		for len(live) > 0 && live[0].tok < v {
			live = live[1:] // within what is gone
		}
		if len(live) > 0 && live[0].tok == v {
			how, _ := e.method(live[0].classes)
			dst = append(dst, doc[pos:t.start]...)
			dst = e.redact(dst, v, how)
			pos = int(t.end)
			live = live[1:]
			if top != nil {
				top.kept = true
			}
			i = e.skip(v)
			continue
		}
		if t.types()&(Object|Array) != 0 && t.count() > 0 {
			stack = append(stack, level{end: t.aux, object: t.types() == Object})
			i = v + 1
			continue
		}
		if top != nil {
			top.kept = true
		}
		i = v + 1
	}
	return append(dst, doc[pos:]...), true
}

// redact appends what stands for a value.
func (e *exec) redact(dst []byte, i uint32, how Redaction) []byte {
	t := &e.tape[i]
	switch how.How {
	case Replace:
		return append(dst, how.With...)
	case Hash:
		s := e.doc[t.start:t.end]
		if t.types() == String {
			s = e.decoded(i)
		}
		m := hmac.New(sha256.New, e.policy.Key)
		m.Write(s)
		var sum [sha256.Size]byte
		m.Sum(sum[:0])
		dst = append(dst, '"')
		dst = hex.AppendEncode(dst, sum[:8])
		return append(dst, '"')
	case Remove:
		return append(dst, "null"...)
	}
	switch t.types() {
	case String:
		dst = append(dst, `"****`...)
		if how.How == Last4 {
			s := e.decoded(i)
			if utf8.RuneCount(s) >= 8 {
				from := len(s)
				for range 4 {
					_, size := utf8.DecodeLastRune(s[:from])
					from -= size
				}
				dst = appendText(dst, s[from:])
			}
		}
		return append(dst, '"')
	case Integer, Number:
		return append(dst, '0')
	case Boolean:
		return append(dst, "false"...)
	case Array:
		return append(dst, "[]"...)
	case Object:
		return append(dst, "{}"...)
	}
	return append(dst, "null"...)
}

// appendText appends valid UTF-8 as the inside of a JSON string.
func appendText(dst, s []byte) []byte {
	for _, c := range s {
		switch {
		case c == '"' || c == '\\':
			dst = append(dst, '\\', c)
		case c < ' ':
			dst = append(dst, `\u00`...)
			dst = append(dst, "0123456789abcdef"[c>>4], "0123456789abcdef"[c&15])
		default:
			dst = append(dst, c)
		}
	}
	return dst
}
