package jsonschema

import (
	"regexp/syntax"
	"slices"
	"unicode/utf8"
)

// A dfa matches bytes with one table look-up for each. Patterns of contracts
// are short, so nearly all of them fit; package regexp takes ten times as
// long, and is used for the others.
type dfa struct {
	class [256]uint8 // of bytes
	width int        // number of classes
	next  []uint16   // by state × width + class
	// accept: the state matches wherever the text goes on; atEnd: it does
	// where the text ends. State 0 is dead.
	accept, atEnd []bool
	start         uint16
}

// Bounds of a dfa, beyond which package regexp is used.
const (
	maxNFA     = 4000
	maxStates  = 1000
	maxEntries = 1 << 15
	maxWork    = 1 << 20 // steps to make it
)

func (d *dfa) match(s []byte) bool {
	st := d.start
	for _, b := range s {
		if d.accept[st] {
			return true
		}
		if st == 0 {
			return false
		}
		st = d.next[int(st)*d.width+int(d.class[b])]
	}
	return d.accept[st] || d.atEnd[st]
}

// An inst is a state of the automaton that the dfa is made from.
type inst struct {
	op     uint8
	lo, hi byte
	x, y   int32 // where it goes on
}

const (
	opByte  = iota // a byte from lo to hi
	opSplit        // x and y
	opBegin        // only at the beginning
	opEnd          // only at the end
	opMatch
)

type nfa struct {
	prog []inst
	full bool // over the bound
}

func (n *nfa) add(i inst) int32 {
	if len(n.prog) >= maxNFA {
		n.full = true
		return 0
	}
	n.prog = append(n.prog, i)
	return int32(len(n.prog) - 1)
}

// build returns the beginning of an automaton for re that goes on at next, or
// -1 where re is beyond it.
func (n *nfa) build(re *syntax.Regexp, next int32) int32 {
	if n.full {
		return -1
	}
	switch re.Op {
	case syntax.OpEmptyMatch:
		return next
	case syntax.OpNoMatch:
		return n.add(inst{op: opByte, lo: 1, hi: 0})
	case syntax.OpLiteral:
		for i := len(re.Rune) - 1; i >= 0 && next >= 0; i-- {
			r := re.Rune[i]
			if re.Flags&syntax.FoldCase != 0 {
				return -1
			}
			next = n.ranges([]rune{r, r}, next)
		}
		return next
	case syntax.OpCharClass:
		return n.ranges(re.Rune, next)
	case syntax.OpAnyChar:
		return n.ranges([]rune{0, utf8.MaxRune}, next)
	case syntax.OpAnyCharNotNL:
		return n.ranges([]rune{0, '\n' - 1, '\n' + 1, utf8.MaxRune}, next)
	case syntax.OpBeginText:
		return n.add(inst{op: opBegin, x: next})
	case syntax.OpEndText:
		return n.add(inst{op: opEnd, x: next})
	case syntax.OpCapture:
		return n.build(re.Sub[0], next)
	case syntax.OpConcat:
		for i := len(re.Sub) - 1; i >= 0 && next >= 0; i-- {
			next = n.build(re.Sub[i], next)
		}
		return next
	case syntax.OpAlternate:
		at := int32(-1)
		for i := len(re.Sub) - 1; i >= 0; i-- {
			b := n.build(re.Sub[i], next)
			if b < 0 {
				return -1
			}
			if at < 0 {
				at = b
			} else {
				at = n.add(inst{op: opSplit, x: b, y: at})
			}
		}
		return at
	case syntax.OpQuest:
		b := n.build(re.Sub[0], next)
		if b < 0 {
			return -1
		}
		return n.add(inst{op: opSplit, x: b, y: next})
	case syntax.OpStar:
		loop := n.add(inst{op: opSplit, y: next})
		b := n.build(re.Sub[0], loop)
		if b < 0 || n.full {
			return -1
		}
		n.prog[loop].x = b
		return loop
	case syntax.OpPlus:
		loop := n.add(inst{op: opSplit, y: next})
		b := n.build(re.Sub[0], loop)
		if b < 0 || n.full {
			return -1
		}
		n.prog[loop].x = b
		return b
	}
	return -1 // word boundaries, and what Simplify leaves none of
}

// ranges adds pairs of code points as sequences of UTF-8 bytes.
func (n *nfa) ranges(pairs []rune, next int32) int32 {
	at := int32(-1)
	alt := func(b int32) {
		if at < 0 {
			at = b
		} else {
			at = n.add(inst{op: opSplit, x: b, y: at})
		}
	}
	for i := 0; i+1 < len(pairs); i += 2 {
		n.span(pairs[i], pairs[i+1], next, alt)
	}
	if at < 0 {
		return n.add(inst{op: opByte, lo: 1, hi: 0})
	}
	return at
}

// span adds the code points from lo to hi, split where their encodings differ
// in more than the range of each byte.
func (n *nfa) span(lo, hi rune, next int32, alt func(int32)) {
	if n.full || lo > hi {
		return
	}
	// Surrogates have no encoding.
	if lo < 0xD800 && hi >= 0xD800 {
		n.span(lo, 0xD7FF, next, alt)
		n.span(0xE000, hi, next, alt)
		return
	}
	if lo >= 0xD800 && lo < 0xE000 {
		n.span(0xE000, hi, next, alt)
		return
	}
	for _, max := range [...]rune{0x7F, 0x7FF, 0xFFFF} {
		if lo <= max && hi > max {
			n.span(lo, max, next, alt)
			n.span(max+1, hi, next, alt)
			return
		}
	}
	if hi <= 0x7F {
		alt(n.add(inst{op: opByte, lo: byte(lo), hi: byte(hi), x: next}))
		return
	}
	// Where a leading byte differs, those behind it must span their whole range.
	for shift := 6; shift <= 18; shift += 6 {
		m := rune(1)<<shift - 1
		if lo&^m != hi&^m {
			if lo&m != 0 {
				n.span(lo, lo|m, next, alt)
				n.span((lo|m)+1, hi, next, alt)
				return
			}
			if hi&m != m {
				n.span(lo, hi&^m-1, next, alt)
				n.span(hi&^m, hi, next, alt)
				return
			}
		}
	}
	var a, b [4]byte
	k := utf8.EncodeRune(a[:], lo)
	utf8.EncodeRune(b[:], hi)
	to := next
	for i := k - 1; i >= 0; i-- {
		to = n.add(inst{op: opByte, lo: a[i], hi: b[i], x: to})
	}
	alt(to)
}

// newDFA returns nil where the pattern is too large or has word boundaries.
func newDFA(text string) *dfa {
	re, err := syntax.Parse(text, syntax.Perl)
	if err != nil {
		return nil
	}
	re = re.Simplify()
	n := &nfa{}
	match := n.add(inst{op: opMatch})
	start := n.build(re, match)
	if start < 0 || n.full {
		return nil
	}
	// The pattern may begin anywhere: bytes in front are skipped.
	loop := n.add(inst{op: opSplit, x: start})
	skip := n.add(inst{op: opByte, lo: 0, hi: 255, x: loop})
	if n.full {
		return nil
	}
	n.prog[loop].y = skip

	d := &dfa{}
	// Bytes that no instruction tells apart share a class.
	var cut [257]bool
	for _, i := range n.prog {
		if i.op == opByte && i.lo <= i.hi {
			cut[i.lo], cut[int(i.hi)+1] = true, true
		}
	}
	c := 0
	var members []byte // one byte of each class
	for b := range 256 {
		if b == 0 || cut[b] {
			if b > 0 {
				c++
			}
			members = append(members, byte(b))
		}
		d.class[b] = uint8(c)
	}
	d.width = c + 1

	work := 0
	states := map[string]uint16{}
	var sets [][]int32
	mark := make([]int32, len(n.prog))
	gen := int32(0)
	var set []int32
	var visit func(i int32, begin, end bool)
	var key []byte
	accepting := false
	visit = func(i int32, begin, end bool) {
		work++
		if mark[i] == gen {
			return
		}
		mark[i] = gen
		switch in := n.prog[i]; in.op {
		case opSplit:
			visit(in.x, begin, end)
			visit(in.y, begin, end)
		case opBegin:
			if begin {
				visit(in.x, begin, end)
			}
		case opEnd:
			set = append(set, i)
			if end {
				visit(in.x, begin, end)
			}
		case opMatch:
			accepting = true
		default:
			set = append(set, i)
		}
	}
	// state returns the number of the state for the closure of from.
	state := func(from []int32, begin bool) (uint16, bool) {
		closure := func(end bool) {
			gen++
			set, accepting = set[:0], false
			for _, i := range from {
				visit(i, begin, end)
			}
		}
		closure(true)
		atEnd := accepting
		closure(false)
		accept := accepting
		if accept {
			set = set[:0] // nothing more matters
		}
		// The order of a closure depends on the way to it.
		slices.Sort(set)
		key = key[:0]
		for _, i := range set {
			key = append(key, byte(i), byte(i>>8))
		}
		if accept {
			key = append(key, 'a')
		} else if atEnd {
			key = append(key, 'e')
		}
		if s, ok := states[string(key)]; ok {
			return s, true
		}
		s := len(sets)
		if s >= maxStates || (s+1)*d.width > maxEntries {
			return 0, false
		}
		states[string(key)] = uint16(s)
		sets = append(sets, append([]int32(nil), set...))
		d.accept = append(d.accept, accept)
		d.atEnd = append(d.atEnd, atEnd)
		return uint16(s), true
	}
	if _, ok := state(nil, false); !ok { // the dead state
		return nil
	}
	var ok bool
	if d.start, ok = state([]int32{loop}, true); !ok {
		return nil
	}
	var to []int32
	for s := 0; s < len(sets); s++ {
		for _, b := range members {
			if work += len(sets[s]); work > maxWork {
				return nil
			}
			to = to[:0]
			for _, i := range sets[s] {
				if in := n.prog[i]; in.op == opByte && in.lo <= b && b <= in.hi {
					to = append(to, in.x)
				}
			}
			t, ok := state(to, false)
			if !ok {
				return nil
			}
			d.next = append(d.next, t)
		}
	}
	return d
}
