package jsonschema

import (
	"bytes"
	"sync"
	"unicode/utf8"
)

// An exec is the state of one call. It is pooled, and everything in it is
// used again, so that a valid document costs no allocation.
//
// Evaluation has two moods. Where verdict is 0 the schema is in force:
// violations are recorded, and what the policy wants gone is marked. Where it
// is above, a combinator only asks whether the value would be valid: the
// first fault answers, nothing is marked, and heavy schemas are looked up in
// the memo. A combinator asks first and then evaluates the branches that are
// in force again, so a mark never has to be taken back.
//
// Cost: in a verdict each pair of heavy schema and value is evaluated once,
// and the others as often as combinators lead to them, so the number of
// evaluations is at most the number of references between schemas times the
// number of values. Limits.Work stops it earlier.
type exec struct {
	parser
	eng     *engine
	verdict int
	mute    int // violations are not recorded
	work    int
	over    bool // out of work

	recs []record
	more bool

	// What a policy asks for.
	policy     *Policy
	marking    bool // something may be marked
	judging    bool // undeclared properties are not kept
	redactMask uint64
	detecting  bool
	multi      int // above 0 several schemas in force may judge the same value
	pending    []pending
	pendingOf  []uint32 // by token: 1 + index into pending
	cuts       []cut
	redactions []redaction
	levels     []level
	wanted     []wanted

	bits     []uint64 // arena of sets; 0 is not used
	text     []byte   // a decoded string
	samples  parser   // for comparing with the values of a schema
	memo     []memoEntry
	memoGen  uint32
	memoUsed int
}

// A record is a violation before it is put into words.
type record struct {
	n       *node
	keyword keyword
	tok     uint32
	name    string // what is missing
	// lenient: no violation where the token is cut out.
	lenient bool
}

// A pending is an object that several schemas judge. Their sets are united,
// and the judgement comes at the end.
type pending struct {
	tok uint32
	at  uint32 // in bits
}

type cutKind uint8

const (
	cutUndeclared cutKind = iota
	cutReadOnly
	cutWriteOnly
	cutItem
	cutRemoved
)

// A cut is a member (tok is its name) or element that is to go.
type cut struct {
	tok  uint32
	kind cutKind
}

type redaction struct {
	tok     uint32
	classes uint64
	// from, to are the bytes found by a detector in the decoded text; to is
	// -1 for the whole value.
	found bool
}

type memoEntry struct {
	key uint64
	gen uint32
	ok  bool
}

var pool = sync.Pool{New: func() any { return &exec{} }}

// keepTokens is the size of a tape from which an exec is left to the collector.
const keepTokens = 1 << 19

func newExec(eng *engine) *exec {
	if eng == nil {
		eng = defaultEngine
	}
	e := pool.Get().(*exec)
	e.eng = eng
	e.draft4, e.strict = eng.draft4, eng.strict
	e.digits = 0
	return e
}

func (e *exec) release() {
	e.doc, e.policy = nil, nil
	clear(e.recs)
	e.recs = e.recs[:0]
	e.more, e.over = false, false
	e.verdict, e.mute, e.multi = 0, 0, 0
	e.marking, e.judging, e.detecting, e.redactMask = false, false, false, 0
	e.pending, e.cuts, e.redactions = e.pending[:0], e.cuts[:0], e.redactions[:0]
	e.samples.doc, e.samples.tape = nil, nil
	clear(e.wanted)
	if cap(e.text) > 4*keepTokens || cap(e.buf) > 4*keepTokens {
		e.text, e.buf = nil, nil
	}
	if len(e.tape) > keepTokens || cap(e.bits) > keepTokens || cap(e.memo) > keepTokens || cap(e.sets) > keepTokens {
		return
	}
	pool.Put(e)
}

// check reads and evaluates a document.
func (e *exec) check(root *node, doc []byte) bool {
	if !e.parse(doc, &e.eng.limits) {
		return false
	}
	e.bits = append(e.bits[:0], 0)
	e.memoGen++
	if e.memoGen == 0 {
		clear(e.memo)
		e.memoGen = 1
	}
	e.memoUsed = 0
	e.work = freeWork + e.eng.limits.Work*int(max(e.tape[0].aux, 1))
	if root == nil {
		return true
	}
	ok := e.eval(root, 0, 0)
	if e.over {
		e.limit(0, "the combinators of the schema take too much work for this document")
		return false
	}
	return ok
}

// alloc returns a place for n words of zeros in the arena.
func (e *exec) alloc(n int) uint32 {
	at := len(e.bits)
	if at+n > cap(e.bits) {
		b := make([]uint64, at, 2*(at+n)+64)
		copy(b, e.bits)
		e.bits = b
	}
	e.bits = e.bits[:at+n]
	clear(e.bits[at:])
	return uint32(at)
}

// A set of members or elements, by ordinal, is a word of flags and then two
// planes of bits: those that a schema evaluated (what unevaluatedProperties
// asks), and those that it only names.
const setJudged = 1

func setWords(t *token) int { return (t.count() + 63) >> 6 }

func (e *exec) newSet(t *token) uint32 { return e.alloc(1 + 2*setWords(t)) }

// unite adds the set at from to the one at to.
func (e *exec) unite(to, from uint32, t *token) {
	for k := uint32(0); k < uint32(1+2*setWords(t)); k++ {
		e.bits[to+k] |= e.bits[from+k]
	}
}

// fail records a violation. It reports whether evaluation may end.
func (e *exec) fail(n *node, k keyword, tok uint32) bool {
	return e.failWith(record{n: n, keyword: k, tok: tok})
}

func (e *exec) failWith(r record) bool {
	if e.verdict > 0 {
		return true
	}
	if e.mute > 0 {
		return false
	}
	if len(e.recs) < e.eng.limits.Errors {
		e.recs = append(e.recs, r)
		return false
	}
	e.more = true
	return !e.marking
}

// eval evaluates the value at token i. Where ev is not 0 it is the set into
// which evaluated members or elements go.
func (e *exec) eval(n *node, i, ev uint32) bool {
	if e.work--; e.work < 0 {
		e.over = true
		return false
	}
	t := &e.tape[i]
	ty := t.types()
	if ty&n.types == 0 {
		if ty == Null && n.flags&flagNullOK != 0 {
			return true
		}
		if n.types == 0 {
			e.fail(n, kwFalse, i)
		} else {
			e.fail(n, kwType, i)
		}
		return false
	}
	if n.flags&flagNullOK != 0 && ty == Null {
		return true
	}
	if e.marking && e.verdict == 0 {
		if n.classes&e.redactMask != 0 {
			e.redactions = append(e.redactions, redaction{tok: i, classes: n.classes})
		}
		if n.flags&flagQuiet != 0 && ty == String {
			t.meta |= tokQuiet
		}
	}
	if n.app == nil {
		// Nothing else applies to the value.
		switch ty {
		case Object:
			if o := n.obj; o != nil {
				if o.simple && ev == 0 && (!e.marking || !o.directed && e.multi == 0) {
					if !e.simpleObject(n, o, i) {
						return false
					}
					break
				}
				if o.uneval == nil && len(o.needs) == 0 && (e.multi == 0 || ev != 0) {
					if !e.object(n, o, i, ev) {
						return false
					}
					break
				}
				return e.full(n, t, ty, i, ev)
			}
		case Array:
			if a := n.arr; a != nil {
				if a.uneval != nil {
					return e.full(n, t, ty, i, ev)
				}
				if !e.array(n, a, i, ev) {
					return false
				}
			}
		case String:
			if n.str != nil && !e.string(n, n.str, i) {
				return false
			}
		case Integer, Number:
			if n.num != nil && !e.number(n, n.num, i) {
				return false
			}
		}
		if n.enum != nil && !e.enum(n, i) {
			return false
		}
		return true
	}
	if n.flags&flagHeavy != 0 && e.verdict > 0 && ev == 0 && ty&(Object|Array) != 0 {
		key := uint64(n.id)<<32 | uint64(i)
		if ok, known := e.recall(key); known {
			return ok
		}
		ok := e.full(n, t, ty, i, 0)
		if !e.over {
			e.remember(key, ok)
		}
		return ok
	}
	return e.full(n, t, ty, i, ev)
}

// full evaluates a schema that consists of several, or needs a set.
func (e *exec) full(n *node, t *token, ty Types, i, ev uint32) bool {
	force := e.verdict == 0
	mark, pends := len(e.bits), len(e.pending)
	judge := force && e.judging && ty == Object
	unevaluated := ty == Object && n.obj != nil && n.obj.uneval != nil ||
		ty == Array && n.arr != nil && n.arr.uneval != nil
	if judge && ev == 0 && e.multi > 0 {
		ev = e.pend(i, t)
	}
	own := uint32(0) // a set of our own
	if unevaluated || judge && ev == 0 {
		own = e.newSet(t)
	}
	settle := judge && ev == 0 // it decides what is undeclared
	inner := ev                // where members go
	if own != 0 {
		inner = own
	}
	several := force && e.judging && n.app != nil && n.flags&flagOne == 0
	if several {
		e.multi++
	}
	ok := e.body(n, t, ty, i, inner)
	if unevaluated && (ok || force) {
		if ty == Object {
			ok = e.unevaluatedMembers(n, i, own, settle) && ok
		} else {
			ok = e.unevaluatedElements(n, i, own) && ok
		}
	}
	if several {
		e.multi--
	}
	if own != 0 && ev != 0 && (ok || force) {
		e.unite(ev, own, t)
	}
	if settle {
		ok = e.settle(n, i, own) && ok
	}
	e.free(mark, pends)
	return ok
}

// free gives the arena above mark back, unless sets that must last until the
// end of the document were made since there were pends of them.
func (e *exec) free(mark, pends int) {
	if len(e.pending) == pends {
		e.bits = e.bits[:mark]
	}
}

// body evaluates all keywords but unevaluatedProperties and unevaluatedItems.
func (e *exec) body(n *node, t *token, ty Types, i, ev uint32) bool {
	ok := true
	switch ty {
	case Object:
		if n.obj != nil && !e.object(n, n.obj, i, ev) {
			ok = false
		}
	case Array:
		if n.arr != nil && !e.array(n, n.arr, i, ev) {
			ok = false
		}
	case String:
		if n.str != nil && !e.string(n, n.str, i) {
			ok = false
		}
	case Integer, Number:
		if n.num != nil && !e.number(n, n.num, i) {
			ok = false
		}
	}
	if !ok && e.verdict > 0 {
		return false
	}
	if n.enum != nil && !e.enum(n, i) {
		if e.verdict > 0 {
			return false
		}
		ok = false
	}
	if a := n.app; a != nil {
		return e.apply(n, a, ty, i, ev) && ok
	}
	return ok
}

// apply evaluates the schemas that apply to the same value.
func (e *exec) apply(n *node, a *applicators, ty Types, i, ev uint32) bool {
	ok := true
	for _, s := range a.all {
		if !e.eval(s, i, ev) {
			if e.verdict > 0 {
				return false
			}
			ok = false
		}
	}
	if a.tag != nil && ty == Object {
		if s := e.tagged(a.tag, i); s != nil {
			if !e.eval(s, i, ev) {
				if e.verdict > 0 {
					return false
				}
				ok = false
			}
			return e.rest(n, a, i, ev) && ok
		}
	}
	if a.any != nil && !e.anyOf(n, a.any, ty, i, ev) {
		if e.verdict > 0 {
			return false
		}
		ok = false
	}
	if a.one != nil && !e.oneOf(n, a.one, ty, i, ev) {
		if e.verdict > 0 {
			return false
		}
		ok = false
	}
	return e.rest(n, a, i, ev) && ok
}

// rest evaluates not, if, then and else.
func (e *exec) rest(n *node, a *applicators, i, ev uint32) bool {
	ok := true
	if a.not != nil && e.would(a.not, i, 0) && !e.over {
		if e.fail(n, kwNot, i) {
			return false
		}
		ok = false
	}
	if a.cond != nil {
		branch := a.els
		if e.would(a.cond, i, ev) {
			branch = a.then
		}
		if branch != nil && !e.eval(branch, i, ev) {
			if e.verdict > 0 {
				return false
			}
			ok = false
		}
	}
	return ok
}

// would reports whether the value is valid against a branch. If it is, the
// branch comes into force: its members go into ev, and its marks are made.
func (e *exec) would(s *node, i, ev uint32) bool {
	if e.tape[i].types()&s.gate == 0 {
		return false
	}
	marks := e.marking && e.verdict == 0
	if ev != 0 && !marks {
		t := &e.tape[i]
		mark := len(e.bits)
		set := e.newSet(t)
		e.verdict++
		ok := e.eval(s, i, set)
		e.verdict--
		if ok {
			e.unite(ev, set, t)
		}
		e.bits = e.bits[:mark]
		return ok
	}
	e.verdict++
	ok := e.eval(s, i, 0)
	e.verdict--
	if ok && marks {
		e.eval(s, i, ev)
	}
	return ok
}

func (e *exec) anyOf(n *node, list []*node, ty Types, i, ev uint32) bool {
	all := ev != 0 || e.marking && e.verdict == 0
	found := false
	for _, s := range list {
		if e.would(s, i, ev) {
			found = true
			if !all {
				return true
			}
		}
	}
	if !found {
		e.allBranches(list, ty, i, ev)
		e.fail(n, kwAnyOf, i)
	}
	return found
}

func (e *exec) oneOf(n *node, list []*node, ty Types, i, ev uint32) bool {
	var found *node
	for _, s := range list {
		if ty&s.gate == 0 {
			continue
		}
		e.verdict++
		ok := e.eval(s, i, 0)
		e.verdict--
		if !ok {
			continue
		}
		if found != nil {
			e.allBranches(list, ty, i, ev)
			e.fail(n, kwOneOf, i)
			return false
		}
		found = s
	}
	if found == nil {
		e.allBranches(list, ty, i, ev)
		e.fail(n, kwOneOf, i)
		return false
	}
	if ev != 0 || e.marking && e.verdict == 0 {
		return e.eval(found, i, ev)
	}
	return true
}

// allBranches puts all branches into force where it could not be decided
// which of them is: what any of them declares stays, and what any of them
// redacts is redacted.
func (e *exec) allBranches(list []*node, ty Types, i, ev uint32) {
	if !e.marking || e.verdict > 0 {
		return
	}
	e.mute++
	e.multi++
	for _, s := range list {
		if s.gate&ty != 0 {
			e.eval(s, i, ev)
		}
	}
	e.multi--
	e.mute--
}

// tagged returns the branch that the object's tag chooses, or nil.
func (e *exec) tagged(p *tagPlan, i uint32) *node {
	end := e.tape[i].aux
	for j := i + 1; j < end; j = e.skip(j + 1) {
		if e.tape[j].aux != p.hash || string(e.decoded(j)) != p.name {
			continue
		}
		if e.tape[j+1].types() != String {
			return nil
		}
		v := e.decoded(j + 1)
		h := hashBytes(v)
		for k := range p.values {
			if p.hashes[k] == h && p.values[k] == string(v) {
				return p.nodes[k]
			}
		}
		return nil
	}
	return nil
}

// decoded returns the text of a string or name, until the next call.
func (e *exec) decoded(i uint32) []byte {
	t := &e.tape[i]
	s := e.doc[t.start+1 : t.end-1]
	if t.meta&tokEscaped != 0 {
		e.text = appendDecoded(e.text[:0], s)
		return e.text
	}
	return s
}

// object evaluates the keywords of an object. Where ev is 0 and the schema is
// in force, it alone judges which members are undeclared.
func (e *exec) object(n *node, o *objectPlan, i, ev uint32) bool {
	if o.simple && ev == 0 && !(e.marking && o.directed) {
		return e.simpleObject(n, o, i)
	}
	t := &e.tape[i]
	end := t.aux
	ok := true
	force := e.verdict == 0
	judge := ev == 0 && force && e.judging && o.judged
	missing := len(o.required)
	words := uint32(0)
	if ev != 0 {
		words = uint32(setWords(t))
		if o.judged {
			e.bits[ev] |= setJudged
		}
	}
	var present uint32 // set of slots seen
	if len(o.needs) > 0 {
		mark, pends := len(e.bits), len(e.pending)
		present = e.alloc((len(o.slots) + 63) / 64)
		defer func() { e.free(mark, pends) }()
	}
	guess := 0
	slots := o.slots
	for j, k := i+1, uint32(0); j < end; k++ {
		name := &e.tape[j]
		v := j + 1
		val := &e.tape[v]
		next := v + 1
		if val.meta&uint32(Array|Object) != 0 {
			next = val.aux
		}
		s := -1
		if guess < len(slots) && slots[guess].hash == name.aux &&
			name.meta&tokEscaped == 0 && slots[guess].is(e.doc, name.start+1, name.end-1) {
			s = guess
		} else if len(slots) > 0 {
			s = o.find(name.aux, e.decoded(j))
		}
		declared, named := false, false
		if s >= 0 {
			sl := &slots[s]
			guess = s + 1
			if sl.req != 0 {
				missing--
			}
			if present != 0 {
				e.bits[present+uint32(s>>6)] |= 1 << (s & 63)
			}
			named = true
			if c := sl.child; c != nil {
				declared = true
				if sl.flags&(slotReadOnly|slotWriteOnly) != 0 && force && e.marking {
					skip, denied := e.forbidden(sl, c, j)
					if denied {
						ok = false
					}
					if skip {
						goto evaluated
					}
				}
				if val.types()&sl.only == 0 && !e.eval(c, v, 0) {
					if !force {
						return false
					}
					ok = false
				}
			}
		}
		if o.patterns != nil {
			for p := range o.patterns {
				if !o.patterns[p].re.match(e.decoded(j)) {
					continue
				}
				declared = true
				if !e.eval(o.patterns[p].child, v, 0) {
					if !force {
						return false
					}
					ok = false
				}
			}
		}
		if !declared && o.additional != nil {
			switch {
			case !o.closed:
				declared = true
				if c := o.additional; c.flags&flagTypesOnly != 0 && val.types()&c.types != 0 {
				} else if !e.eval(c, v, 0) {
					if !force {
						return false
					}
					ok = false
				}
			case force && e.judging && e.policy.Undeclared == Drop && !named:
				// It will be cut out, if no other schema declares it.
				if ev != 0 {
					if e.failWith(record{n: n, keyword: kwAdditionalProperties, tok: j, lenient: true}) {
						return false
					}
					ok = false
				}
			default:
				if e.fail(n, kwAdditionalProperties, j) {
					return false
				}
				ok = false
				named = true // once is enough
			}
		}
		if o.names != nil && !e.eval(o.names, j, 0) {
			if !force {
				return false
			}
			ok = false
		}
		if judge && !declared && !named {
			if !e.undeclared(n, j) {
				ok = false
			}
		}
	evaluated:
		if ev != 0 {
			if declared {
				e.bits[ev+1+k>>6] |= 1 << (k & 63)
			} else if named {
				e.bits[ev+1+words+k>>6] |= 1 << (k & 63)
			}
		}
		j = next
	}
	if missing > 0 {
		if !force {
			return false
		}
		ok = false
		if e.missing(n, o, i) {
			return false
		}
	}
	if c := t.count(); c < o.minProps {
		if e.fail(n, kwMinProperties, i) {
			return false
		}
		ok = false
	} else if o.maxProps >= 0 && c > o.maxProps {
		if e.fail(n, kwMaxProperties, i) {
			return false
		}
		ok = false
	}
	has := func(s uint32) bool { return e.bits[present+s>>6]>>(s&63)&1 != 0 }
	for d := range o.needs {
		dep := &o.needs[d]
		if !has(dep.slot) {
			continue
		}
		for _, s := range dep.need {
			if !has(s) {
				if e.failWith(record{n: n, keyword: kwDependentRequired, tok: i, name: slots[s].name}) {
					return false
				}
				ok = false
			}
		}
		if dep.schema != nil && !e.eval(dep.schema, i, ev) {
			if !force {
				return false
			}
			ok = false
		}
	}
	return ok
}

// simpleObject is object for what nearly all objects of contracts are:
// properties, required, and perhaps additionalProperties: false.
func (e *exec) simpleObject(n *node, o *objectPlan, i uint32) bool {
	tape, doc := e.tape, e.doc
	t := &tape[i]
	end := t.aux
	ok := true
	force := e.verdict == 0
	judge := force && e.judging && o.judged
	missing := len(o.required)
	hots := o.hot
	guess := 0
	for j := i + 1; j < end; {
		name := &tape[j]
		val := &tape[j+1]
		v := j + 1
		next := j + 2
		if val.meta&uint32(Array|Object) != 0 {
			next = val.aux
		}
		// Members mostly come in the schema's order, some left out.
		at := -1
		if name.meta&tokEscaped == 0 {
			from, to := name.start+1, name.end-1
			for k := guess; k < min(guess+3, len(hots)); k++ {
				if h := &hots[k]; h.hash == name.aux && h.is(&o.slots[k], doc, from, to) {
					at = k
					break
				}
			}
			if at < 0 {
				at = o.find(name.aux, doc[from:to])
			}
		} else {
			at = o.find(name.aux, e.decoded(j))
		}
		j = next
		if at >= 0 {
			guess = at + 1
			h := &hots[at]
			missing -= int(h.req)
			if val.types()&h.only != 0 {
				continue
			}
			sl := &o.slots[at]
			c := sl.child
			if c == nil {
				if !o.closed {
					continue
				}
			} else {
				if !e.eval(c, v, 0) {
					if !force {
						return false
					}
					ok = false
				}
				continue
			}
		}
		switch {
		case o.closed && !(judge && e.policy.Undeclared == Drop && at < 0):
			if e.fail(n, kwAdditionalProperties, v-1) {
				return false
			}
			ok = false
		case judge && (o.additional == nil || o.closed):
			ok = e.undeclared(n, v-1) && ok
		}
	}
	if missing > 0 {
		if !force {
			return false
		}
		ok = false
		if e.missing(n, o, i) {
			return false
		}
	}
	if c := t.count(); c < o.minProps {
		if e.fail(n, kwMinProperties, i) {
			return false
		}
		ok = false
	} else if o.maxProps >= 0 && c > o.maxProps {
		if e.fail(n, kwMaxProperties, i) {
			return false
		}
		ok = false
	}
	return ok
}

// missing records each required name that is not there.
func (e *exec) missing(n *node, o *objectPlan, i uint32) (stop bool) {
	mark, pends := len(e.bits), len(e.pending)
	defer func() { e.free(mark, pends) }()
	have := e.alloc((len(o.slots) + 63) / 64)
	end := e.tape[i].aux
	for j := i + 1; j < end; j = e.skip(j + 1) {
		if s := o.find(e.tape[j].aux, e.decoded(j)); s >= 0 {
			e.bits[have+uint32(s>>6)] |= 1 << (s & 63)
		}
	}
	for _, s := range o.required {
		if e.bits[have+s>>6]>>(s&63)&1 != 0 {
			continue
		}
		if e.failWith(record{n: n, keyword: kwRequired, tok: i, name: o.slots[s].name}) {
			return true
		}
	}
	return false
}

// undeclared deals with a member that no schema declares. It returns false
// where that is a violation.
func (e *exec) undeclared(n *node, j uint32) bool {
	if e.policy.Undeclared == Deny {
		e.fail(n, kwUndeclared, j)
		return false
	}
	e.cut(j, cutUndeclared)
	return true
}

func (e *exec) cut(tok uint32, kind cutKind) {
	if e.tape[tok].meta&tokMark == 0 {
		e.tape[tok].meta |= tokMark
		e.cuts = append(e.cuts, cut{tok, kind})
	}
}

// forbidden deals with a readOnly or writeOnly member that travels the wrong
// way. Where skip is set its value is not to be looked at.
func (e *exec) forbidden(sl *slot, c *node, j uint32) (skip, denied bool) {
	how, k, kind := e.policy.ReadOnly, kwReadOnly, cutReadOnly
	if sl.flags&slotWriteOnly != 0 {
		how, k, kind = e.policy.WriteOnly, kwWriteOnly, cutWriteOnly
	}
	switch how {
	case Drop:
		e.cut(j, kind)
		return true, false
	case Deny:
		e.fail(c, k, j)
		return true, true
	}
	return false, false
}

// pend returns the set of an object that several schemas judge.
func (e *exec) pend(i uint32, t *token) uint32 {
	if len(e.pending) == 0 {
		n := int(max(e.tape[0].aux, 1))
		if cap(e.pendingOf) < n {
			e.pendingOf = make([]uint32, n)
		}
		e.pendingOf = e.pendingOf[:n]
		clear(e.pendingOf)
	}
	if at := e.pendingOf[i]; at != 0 {
		return e.pending[at-1].at
	}
	at := e.newSet(t)
	e.pending = append(e.pending, pending{i, at})
	e.pendingOf[i] = uint32(len(e.pending))
	return at
}

// settle decides which members of an object are undeclared, by the union of
// what the schemas in force declare.
func (e *exec) settle(n *node, i, set uint32) (ok bool) {
	ok = true
	if e.bits[set]&setJudged == 0 {
		return ok
	}
	t := &e.tape[i]
	words := uint32(setWords(t))
	for j, k := i+1, uint32(0); j < t.aux; k++ {
		if (e.bits[set+1+k>>6]|e.bits[set+1+words+k>>6])>>(k&63)&1 == 0 {
			ok = e.undeclared(n, j) && ok
		}
		j = e.skip(j + 1)
	}
	return ok
}

// unevaluatedMembers evaluates unevaluatedProperties.
func (e *exec) unevaluatedMembers(n *node, i, set uint32, settle bool) bool {
	ok := true
	u := n.obj.uneval
	t := &e.tape[i]
	e.bits[set] |= setJudged
	force := e.verdict == 0
	for j, k := i+1, uint32(0); j < t.aux; k++ {
		if e.bits[set+1+k>>6]>>(k&63)&1 == 0 {
			switch {
			case u.types == 0 && force && e.judging && e.policy.Undeclared == Drop:
				if !settle {
					if e.failWith(record{n: n, keyword: kwUnevaluatedProperties, tok: j, lenient: true}) {
						return false
					}
					ok = false
				}
			case u.types == 0:
				if e.fail(n, kwUnevaluatedProperties, j) {
					return false
				}
				ok = false
				e.bits[set+1+k>>6] |= 1 << (k & 63)
			default:
				if !e.eval(u, j+1, 0) {
					if !force {
						return false
					}
					ok = false
				}
				e.bits[set+1+k>>6] |= 1 << (k & 63)
			}
		}
		j = e.skip(j + 1)
	}
	return ok
}

// unevaluatedElements evaluates unevaluatedItems.
func (e *exec) unevaluatedElements(n *node, i, set uint32) bool {
	ok := true
	t := &e.tape[i]
	for j, k := i+1, uint32(0); j < t.aux; k++ {
		if e.bits[set+1+k>>6]>>(k&63)&1 == 0 {
			if u := n.arr.uneval; u.types == 0 {
				if e.fail(n, kwUnevaluatedItems, j) {
					return false
				}
				ok = false
			} else if !e.eval(u, j, 0) {
				if e.verdict > 0 {
					return false
				}
				ok = false
			}
			e.bits[set+1+k>>6] |= 1 << (k & 63)
		}
		j = e.skip(j)
	}
	return ok
}

// array evaluates the keywords of an array.
func (e *exec) array(n *node, a *arrayPlan, i, ev uint32) bool {
	t := &e.tape[i]
	end := t.aux
	count := t.count()
	ok := true
	force := e.verdict == 0
	if count < a.minItems {
		if e.fail(n, kwMinItems, i) {
			return false
		}
		ok = false
	} else if a.maxItems >= 0 && count > a.maxItems {
		if e.fail(n, kwMaxItems, i) {
			return false
		}
		ok = false
	}
	j, k := i+1, uint32(0)
	for ; j < end && int(k) < len(a.prefix); k++ {
		if !e.eval(a.prefix[k], j, 0) {
			if !force {
				return false
			}
			ok = false
		}
		if ev != 0 {
			e.bits[ev+1+k>>6] |= 1 << (k & 63)
		}
		j = e.skip(j)
	}
	if c := a.items; c != nil {
		for ; j < end; k++ {
			val := &e.tape[j]
			if c.flags&flagTypesOnly == 0 {
				if !e.eval(c, j, 0) {
					if !force {
						return false
					}
					ok = false
				}
			} else if val.types()&c.types == 0 {
				if e.fail(c, kwType, j) {
					return false
				}
				ok = false
			}
			if ev != 0 {
				e.bits[ev+1+k>>6] |= 1 << (k & 63)
			}
			if val.meta&uint32(Array|Object) != 0 {
				j = val.aux
			} else {
				j++
			}
		}
	}
	if a.contains != nil && !e.contains(n, a, i, ev) {
		if !force {
			return false
		}
		ok = false
	}
	if a.unique && count > 1 && !e.unique(i) {
		if e.fail(n, kwUniqueItems, i) {
			return false
		}
		ok = false
	}
	return ok
}

func (e *exec) contains(n *node, a *arrayPlan, i, ev uint32) bool {
	found := 0
	end := e.tape[i].aux
	for j, k := i+1, uint32(0); j < end; k++ {
		if e.would(a.contains, j, 0) {
			found++
			if ev != 0 {
				e.bits[ev+1+k>>6] |= 1 << (k & 63)
			} else if found >= a.minContains && a.maxContains < 0 && !e.marking {
				return true
			}
		}
		j = e.skip(j)
	}
	if found < a.minContains {
		e.fail(n, kwContains, i)
		return false
	}
	if a.maxContains >= 0 && found > a.maxContains {
		e.fail(n, kwMaxContains, i)
		return false
	}
	return true
}

// string evaluates the keywords of a string, or of a name.
func (e *exec) string(n *node, p *stringPlan, i uint32) bool {
	t := &e.tape[i]
	s := e.doc[t.start+1 : t.end-1]
	if t.meta&tokEscaped != 0 {
		s = e.decoded(i)
	}
	ok := true
	if p.minLen > 0 || p.maxLen >= 0 {
		size := len(s)
		if t.meta&(tokNonASCII|tokEscaped) != 0 {
			size = utf8.RuneCount(s)
		}
		if size < p.minLen {
			if e.fail(n, kwMinLength, i) {
				return false
			}
			ok = false
		}
		if p.maxLen >= 0 && size > p.maxLen {
			if e.fail(n, kwMaxLength, i) {
				return false
			}
			ok = false
		}
	}
	if p.pattern != nil && !p.pattern.match(s) {
		if e.fail(n, kwPattern, i) {
			return false
		}
		ok = false
	}
	if p.format != nil && !p.format.text(s) {
		if e.fail(n, kwFormat, i) {
			return false
		}
		ok = false
	}
	return ok
}

// number evaluates the keywords of a number.
func (e *exec) number(n *node, p *numberPlan, i uint32) bool {
	t := &e.tape[i]
	s := e.doc[t.start:t.end]
	plain := t.meta&tokPlain != 0
	var v int64
	var d decimal
	have := false
	if plain {
		v = plainInt(s)
	}
	dec := func() *decimal {
		if !have {
			d, have = parseDecimal(s), true
		}
		return &d
	}
	ok := true
	for k := range p.bounds {
		b := &p.bounds[k]
		var c int // value against bound
		if plain && b.isInt {
			switch {
			case v < b.i:
				c = -1
			case v > b.i:
				c = 1
			}
		} else {
			c = dec().compare(&b.d)
		}
		if b.lower {
			c = -c
		}
		if c > 0 || c == 0 && b.exclusive {
			if e.fail(n, b.keyword, i) {
				return false
			}
			ok = false
		}
	}
	for k := range p.divisors {
		m := &p.divisors[k]
		if plain && m.plain > 0 {
			if v%m.plain == 0 {
				continue
			}
		} else if m.divides(dec()) {
			continue
		}
		if e.fail(n, kwMultipleOf, i) {
			return false
		}
		ok = false
	}
	if p.format != nil && !p.format.number(s, plain, v) {
		if e.fail(n, kwFormat, i) {
			return false
		}
		ok = false
	}
	return ok
}

// enum evaluates enum and const.
func (e *exec) enum(n *node, i uint32) bool {
	for p := n.enum; p != nil; p = p.also {
		if !e.listed(p, i) {
			e.fail(n, p.keyword, i)
			return false
		}
	}
	return true
}

func (e *exec) listed(p *enumPlan, i uint32) bool {
	t := &e.tape[i]
	switch t.types() {
	case Null:
		return p.null
	case Boolean:
		if t.meta&tokTrue != 0 {
			return p.yes
		}
		return p.no
	case String:
		s := e.decoded(i)
		if p.index == nil {
			for _, v := range p.strings {
				if v == string(s) {
					return true
				}
			}
			return false
		}
		h := hashBytes(s)
		mask := uint32(len(p.index) - 1)
		for at := h & mask; p.index[at] != 0; at = (at + 1) & mask {
			if k := p.index[at] - 1; p.hashes[k] == h && p.strings[k] == string(s) {
				return true
			}
		}
		return false
	case Integer:
		if t.meta&tokPlain != 0 {
			v := plainInt(e.doc[t.start:t.end])
			for _, k := range p.ints {
				if k == v {
					return true
				}
			}
			return false
		}
	}
	for k := range p.others {
		o := &p.others[k]
		if len(o.tape) == 0 {
			continue
		}
		e.samples.doc, e.samples.tape = o.doc, o.tape
		if equal(&e.parser, i, &e.samples, 0) {
			return true
		}
	}
	return false
}

// equal compares two values as JSON Schema does: numbers by value, objects
// without order.
func equal(p *parser, i uint32, q *parser, j uint32) bool {
	x, y := &p.tape[i], &q.tape[j]
	tx, ty := x.types(), y.types()
	if tx == Integer {
		tx = Number
	}
	if ty == Integer {
		ty = Number
	}
	if tx != ty {
		return false
	}
	switch tx {
	case Boolean:
		return (x.meta^y.meta)&tokTrue == 0
	case Number:
		a, b := parseDecimal(p.doc[x.start:x.end]), parseDecimal(q.doc[y.start:y.end])
		return a.compare(&b) == 0
	case String:
		return equalText(p, i, q, j)
	case Array:
		if x.count() != y.count() {
			return false
		}
		for a, b := i+1, j+1; a < x.aux; {
			if !equal(p, a, q, b) {
				return false
			}
			a, b = p.skip(a), q.skip(b)
		}
	case Object:
		if x.count() != y.count() {
			return false
		}
		if x.count() > setFrom {
			// Looking each name up would take quadratic time. The hash is
			// keyed and has 64 bits: nobody finds two values that share it.
			return hashValue(p, i) == hashValue(q, j)
		}
		// Members mostly come in the same order: go on from the last one found.
		b := j + 1
		for a := i + 1; a < x.aux; a = p.skip(a + 1) {
			found := false
			for range y.count() {
				if b >= y.aux {
					b = j + 1
				}
				if p.tape[a].aux == q.tape[b].aux && equalText(p, a, q, b) {
					found = true
					break
				}
				b = q.skip(b + 1)
			}
			if !found || !equal(p, a+1, q, b+1) {
				return false
			}
			b = q.skip(b + 1)
		}
	}
	return true
}

func equalText(p *parser, i uint32, q *parser, j uint32) bool {
	x, y := &p.tape[i], &q.tape[j]
	xs, ys := p.doc[x.start+1:x.end-1], q.doc[y.start+1:y.end-1]
	if x.meta&tokEscaped != 0 {
		p.buf = appendDecoded(p.buf[:0], xs)
		xs = p.buf
	}
	if y.meta&tokEscaped != 0 {
		// One buffer may serve both, where p is q.
		n := 0
		if p == q && x.meta&tokEscaped != 0 {
			n = len(p.buf)
		} else {
			q.buf = q.buf[:0]
		}
		q.buf = appendDecoded(q.buf, ys)
		ys = q.buf[n:]
		if n > 0 {
			xs = q.buf[:n]
		}
	}
	return bytes.Equal(xs, ys)
}

// hashValue hashes a value so that equal ones have equal hashes.
func hashValue(p *parser, i uint32) uint64 {
	t := &p.tape[i]
	switch t.types() {
	case Null:
		return mix(1, 1)
	case Boolean:
		return mix(2, uint64(t.meta&tokTrue))
	case Integer, Number:
		return hashNumber(p.doc[t.start:t.end], t.meta&tokPlain != 0)
	case String:
		s := p.doc[t.start+1 : t.end-1]
		if t.meta&tokEscaped != 0 {
			p.buf = appendDecoded(p.buf[:0], s)
			s = p.buf
		}
		return mix(3, hash64(s))
	case Array:
		h := uint64(5)
		for j := i + 1; j < t.aux; j = p.skip(j) {
			h = mix(h, hashValue(p, j))
		}
		return h
	}
	h := mix(7, uint64(t.count()))
	for j := i + 1; j < t.aux; j = p.skip(j + 1) {
		name := p.doc[p.tape[j].start+1 : p.tape[j].end-1]
		if p.tape[j].meta&tokEscaped != 0 {
			p.buf = appendDecoded(p.buf[:0], name)
			name = p.buf
		}
		k := hash64(name)
		h += mix(k, hashValue(p, j+1))
	}
	return h
}

// unique evaluates uniqueItems with a hash table, in linear time.
func (e *exec) unique(i uint32) bool {
	t := &e.tape[i]
	count := t.count()
	mark := len(e.bits)
	defer func() { e.bits = e.bits[:mark] }()
	if count <= 8 {
		var hashes [8]uint64
		var toks [8]uint32
		n := 0
		for j := i + 1; j < t.aux; j = e.skip(j) {
			h := hashValue(&e.parser, j)
			for k := range n {
				if hashes[k] == h && equal(&e.parser, toks[k], &e.parser, j) {
					return false
				}
			}
			hashes[n], toks[n] = h, j
			n++
		}
		return true
	}
	size := 16
	for size < 2*count {
		size *= 2
	}
	// Half of the hash, and the token: 0 is the root, and free.
	at := e.alloc(size)
	set := e.bits[at : int(at)+size]
	mask := uint64(size - 1)
	for j := i + 1; j < t.aux; j = e.skip(j) {
		h := hashValue(&e.parser, j)
		for s := h & mask; ; s = (s + 1) & mask {
			v := set[s]
			if v == 0 {
				set[s] = h&^0xffffffff | uint64(j)
				break
			}
			if (v^h)>>32 == 0 && equal(&e.parser, uint32(v), &e.parser, j) {
				return false
			}
		}
	}
	return true
}

// recall looks a verdict up.
func (e *exec) recall(key uint64) (ok, known bool) {
	if len(e.memo) == 0 {
		return false, false
	}
	mask := uint64(len(e.memo) - 1)
	for s := mix(key, seed1) & mask; ; s = (s + 1) & mask {
		m := &e.memo[s]
		if m.gen != e.memoGen {
			return false, false
		}
		if m.key == key {
			return m.ok, true
		}
	}
}

func (e *exec) remember(key uint64, ok bool) {
	if 2*(e.memoUsed+1) > len(e.memo) {
		old := e.memo
		e.memo = make([]memoEntry, max(64, 2*len(old)))
		e.memoUsed = 0
		for i := range old {
			if old[i].gen == e.memoGen {
				e.put(old[i].key, old[i].ok)
			}
		}
	}
	e.put(key, ok)
}

func (e *exec) put(key uint64, ok bool) {
	mask := uint64(len(e.memo) - 1)
	s := mix(key, seed1) & mask
	for ; e.memo[s].gen == e.memoGen; s = (s + 1) & mask {
		if e.memo[s].key == key {
			return
		}
	}
	e.memo[s] = memoEntry{key, e.memoGen, ok}
	e.memoUsed++
}
