// Package document reads JSON and YAML files into one compact tree whose nodes
// know where they stand, so that every fault of a contract or policy can name
// file, line and column.
//
// A [Document] is made by [Parse] (or put together by an [Editor]) and then
// only read, by any number of goroutines; a [Node] is a small handle into it.
// The package is for load time: requests never touch it, and the bodies of
// requests are read by package jsonschema.
//
// Only values that JSON has exist here. YAML is read by the core schema of
// YAML 1.2, so "yes", "on" and "2026-01-02" are strings.
package document

import (
	"hash/maphash"
	"path"
	"strconv"
	"strings"
	"sync"
)

// Bounds of one document. What is larger is refused with a [SyntaxError].
const (
	MaxBytes = 1<<26 - 1 // 64 MiB
	MaxDepth = 1000      // objects and arrays inside each other
	MaxNodes = 1 << 23   // values and keys; YAML aliases count each time they are used
)

// A Pos is a place in a file. Line and Col count from 1, Col in bytes.
type Pos struct {
	File      string
	Line, Col int
}

// String prints "file:line:col", as editors read it.
func (p Pos) String() string {
	return p.File + ":" + strconv.Itoa(p.Line) + ":" + strconv.Itoa(p.Col)
}

// A Kind is the JSON type of a node. YAML's are mapped to JSON's.
type Kind uint8

// Invalid is the kind of the zero Node, which stands for "not there".
const (
	Invalid Kind = iota
	Null
	Bool
	Number
	String
	Array
	Object
)

// InWords says what a value of the kind is, as messages to people do.
func (k Kind) InWords() string {
	switch k {
	case Array:
		return "a list"
	case Object:
		return "an object"
	case String:
		return "a string"
	case Number:
		return "a number"
	case Bool:
		return "true or false"
	}
	return "nothing"
}

// String returns the JSON name of the type: "null", "boolean", "number", …
func (k Kind) String() string {
	return [...]string{"nothing", "null", "boolean", "number", "string", "array", "object"}[k]
}

// A SyntaxError says why a file cannot be read, where, and what to do.
type SyntaxError struct {
	Pos       Pos
	Msg, Hint string
}

// Error prints "file:line:col: message", and the hint below it.
func (e *SyntaxError) Error() string {
	s := e.Pos.String() + ": " + e.Msg
	if e.Hint != "" {
		s += "\n\thint: " + e.Hint
	}
	return s
}

// A Duplicate is a key that stands twice in one object. The later member is
// the one that counts, as in most readers of JSON; the earlier one is not in
// the tree.
type Duplicate struct {
	Key   string
	First Pos // the member that is hidden
	Pos   Pos // the one that counts
}

// Parse reads src as JSON or YAML. The extension of name decides where it is
// ".json"; anything else is JSON if it parses as such, and YAML if not.
//
// The document keeps src, which must not change any more. The error is a
// [*SyntaxError].
func Parse(name string, src []byte) (*Document, error) {
	if ext := strings.ToLower(path.Ext(name)); ext == ".json" || ext == ".jsonc" {
		return ParseJSON(name, src)
	}
	for _, c := range src {
		switch c {
		case ' ', '\t', '\r', '\n', 0xEF, 0xBB, 0xBF:
			continue
		case '{', '[':
			// YAML's flow style looks the same, and takes ten times as long.
			if d, err := ParseJSON(name, src); err == nil {
				return d, nil
			}
		}
		break
	}
	return ParseYAML(name, src)
}

// A Document is one parsed file. It does not change, and may be read by
// several goroutines at once.
//
// Values lie in an arena in the order of the file: a container is followed by
// its first child, a member's key by its value. A place is an offset into the
// sources laid end to end, so that parts of several files can share one arena.
type Document struct {
	name   string
	chunks [][]cell
	n      uint32
	srcs   []placed
	texts  []string // texts that do not stand in a source as they are
	dups   []Duplicate
	index  map[uint32][]uint32 // hash tables of large objects: cells of keys
	first  map[uint32]uint32   // first children that do not follow their parent, where edited
}

// Name returns the name that the document was parsed under.
func (d *Document) Name() string { return d.name }

// Root returns the document's one value.
func (d *Document) Root() Node { return Node{d, 0} }

// Duplicates returns the keys that stand twice in an object, in the order of
// their places.
func (d *Document) Duplicates() []Duplicate { return d.dups }

// Size returns how many values and keys the document holds.
func (d *Document) Size() int { return int(d.n) }

// A cell is one value, or the key of a member. It has no pointers, so that
// the garbage collector need not look at the million of them in a large file.
type cell struct {
	off    uint32 // where it stands in the sources
	meta   uint32 // n, how the text is kept, dead, kind
	next   uint32 // next sibling: an element, or a member's key; 0 for none
	parent uint32
}

const (
	nBits   = 26
	nMask   = 1<<nBits - 1
	modeBit = nBits     // two bits
	deadBit = nBits + 2 // one bit: hidden by a later member, or removed
	kindBit = nBits + 3 // three bits
)

// How the text of a string, number or key is kept. n is its length in bytes,
// except for modeText.
const (
	modePlain  = iota // in the source, at off
	modeQuoted        // in the source, after the quote at off
	modeEscape        // the same, but with JSON escapes, or invalid UTF-8
	modeText          // in texts[n]
)

func meta(k Kind, mode uint32, n int) uint32 {
	return uint32(k)<<kindBit | mode<<modeBit | uint32(n)
}

func (c *cell) kind() Kind   { return Kind(c.meta >> kindBit) }
func (c *cell) mode() uint32 { return c.meta >> modeBit & 3 }
func (c *cell) n() uint32    { return c.meta & nMask }
func (c *cell) dead() bool   { return c.meta>>deadBit&1 != 0 }

// addN changes the number of children.
func (c *cell) addN(by int) { c.meta = c.meta&^nMask | uint32(int(c.n())+by) }

const (
	chunkBits = 12
	chunkLen  = 1 << chunkBits
)

func (d *Document) at(i uint32) *cell { return &d.chunks[i>>chunkBits][i&(chunkLen-1)] }

// add appends a cell. The caller bounds their number.
func (d *Document) add(c cell) uint32 {
	i := d.n
	if i&(chunkLen-1) == 0 {
		// The first chunk grows as it must; most documents are small.
		size := chunkLen
		if i == 0 {
			size = 16
		}
		d.chunks = append(d.chunks, make([]cell, 0, size))
	}
	last := len(d.chunks) - 1
	d.chunks[last] = append(d.chunks[last], c)
	d.n++
	return i
}

// firstChild returns the first living child of i: an element, or a key; 0 for none.
func (d *Document) firstChild(i uint32) uint32 {
	c := d.at(i)
	if c.n() == 0 {
		return 0
	}
	k := i + 1
	if d.first != nil {
		if f, ok := d.first[i]; ok {
			k = f
		}
	}
	if d.at(k).dead() {
		return d.nextChild(c.kind(), k)
	}
	return k
}

// nextChild returns the living sibling after k.
func (d *Document) nextChild(parent Kind, k uint32) uint32 {
	for {
		if parent == Object {
			k++ // the link is with the value
		}
		k = d.at(k).next
		if k == 0 || !d.at(k).dead() {
			return k
		}
	}
}

// text returns the text of a string, number or key.
func (d *Document) text(i uint32) string {
	c := d.at(i)
	switch c.mode() {
	case modeText:
		return d.texts[c.n()]
	case modePlain:
		s, off := d.source(c.off)
		return s.text[off : off+c.n()]
	}
	s, off := d.source(c.off + 1)
	t := s.text[off : off+c.n()]
	if c.mode() == modeEscape {
		return unescape(t)
	}
	return t
}

// addText keeps a text that no source has.
func (d *Document) addText(s string) int {
	d.texts = append(d.texts, s)
	return len(d.texts) - 1
}

// indexFrom is the number of members from which an object gets a hash table.
const indexFrom = 24

var hashSeed = maphash.MakeSeed()

// seal is called once an object has all its members. It hides members whose
// key comes again, and indexes large objects.
func (d *Document) seal(obj uint32) {
	n := int(d.at(obj).n())
	if n < 2 {
		return
	}
	if n < indexFrom {
		var keys [indexFrom]string
		var at [indexFrom]uint32
		m := 0
		for k := d.firstChild(obj); k != 0; k = d.nextChild(Object, k) {
			keys[m], at[m] = d.text(k), k
			for i := range m {
				if keys[i] == keys[m] {
					d.duplicate(obj, at[i], k, keys[m])
					keys[i], at[i] = keys[m], k
					m--
					break
				}
			}
			m++
		}
		return
	}
	size := 4
	for size < 2*n {
		size *= 2
	}
	table := make([]uint32, size)
	for k := d.firstChild(obj); k != 0; k = d.nextChild(Object, k) {
		key := d.text(k)
		slot := maphash.String(hashSeed, key) & uint64(size-1)
		for ; table[slot] != 0; slot = (slot + 1) & uint64(size-1) {
			if d.text(table[slot]) == key {
				d.duplicate(obj, table[slot], k, key)
				break
			}
		}
		table[slot] = k
	}
	if d.index == nil {
		d.index = make(map[uint32][]uint32)
	}
	d.index[obj] = table
}

// duplicate hides the member at first, whose key comes again.
func (d *Document) duplicate(obj, first, again uint32, key string) {
	d.at(first).meta |= 1 << deadBit
	d.at(obj).addN(-1)
	d.dups = append(d.dups, Duplicate{key, d.pos(d.at(first).off), d.pos(d.at(again).off)})
}

// lookup returns the cell of the value of obj's member key, or 0.
func (d *Document) lookup(obj uint32, key string) uint32 {
	if table, ok := d.index[obj]; ok {
		mask := uint64(len(table) - 1)
		for slot := maphash.String(hashSeed, key) & mask; table[slot] != 0; slot = (slot + 1) & mask {
			if d.text(table[slot]) == key {
				return table[slot] + 1
			}
		}
		return 0
	}
	for k := d.firstChild(obj); k != 0; k = d.nextChild(Object, k) {
		if c := d.at(k); c.mode() == modeQuoted && int(c.n()) != len(key) {
			continue
		}
		if d.text(k) == key {
			return k + 1
		}
	}
	return 0
}

// placed is a source and where it begins among all sources of a document.
type placed struct {
	base uint32
	*source
}

// A source is the text of one file.
type source struct {
	name string
	text string

	once  sync.Once
	marks []mark // one for each block of markEvery bytes
}

// A mark is the number of line ends before a place, and where its line begins.
type mark struct{ lines, begin uint32 }

const markEvery = 4096

// source returns the source that off points into, and the offset in it.
func (d *Document) source(off uint32) (*source, uint32) {
	i := 0
	for i+1 < len(d.srcs) && d.srcs[i+1].base <= off {
		i++
	}
	return d.srcs[i].source, off - d.srcs[i].base
}

func (d *Document) pos(off uint32) Pos {
	if len(d.srcs) == 0 {
		return Pos{File: d.name, Line: 1, Col: 1}
	}
	s, off := d.source(off)
	return s.pos(int(off))
}

// pos counts the lines before off. Marks keep that short: a contract is asked
// for some ten thousand places, among half a million lines, or all in one.
func (s *source) pos(off int) Pos {
	s.once.Do(func() {
		var m mark
		s.marks = make([]mark, 0, len(s.text)/markEvery+1)
		for i := 0; i <= len(s.text); i += markEvery {
			s.marks = append(s.marks, m)
			m = m.after(s.text, i, min(i+markEvery, len(s.text)))
		}
	})
	off = min(off, len(s.text))
	i := off / markEvery
	m := s.marks[i].after(s.text, i*markEvery, off)
	begin := int(m.begin)
	if begin == 0 && strings.HasPrefix(s.text, bom) {
		begin = min(len(bom), off) // editors do not count the mark
	}
	return Pos{File: s.name, Line: int(m.lines) + 1, Col: off - begin + 1}
}

// after moves a mark over text[from:to].
func (m mark) after(text string, from, to int) mark {
	part := text[from:to]
	m.lines += uint32(strings.Count(part, "\n"))
	if i := strings.LastIndexByte(part, '\n'); i >= 0 {
		m.begin = uint32(from + i + 1)
	}
	return m
}

const bom = "\uFEFF"
