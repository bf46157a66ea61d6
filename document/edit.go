package document

import (
	"errors"
	"maps"
	"math"
	"slices"
)

// An Editor makes a document out of an existing one, or out of nothing, in
// which every value keeps the place that it came from. Nodes of
// [Editor.Root] are valid for reading while editing goes on; a node that was
// removed is no longer reached from the root.
//
// An Editor is for one goroutine, and not used any more after
// [Editor.Document].
type Editor struct {
	d       *Document
	last    map[uint32]uint32 // last child's value, of containers that grew
	touched map[uint32]bool   // objects that changed
	bases   map[*source]uint32
	err     error
}

var errTooLarge = errors.New("document: the edited document is too large")

// Edit returns an editor of a copy of d, which does not change.
func Edit(d *Document) *Editor {
	c := &Document{
		name:   d.name,
		chunks: make([][]cell, len(d.chunks)),
		n:      d.n,
		srcs:   slices.Clone(d.srcs),
		texts:  slices.Clone(d.texts),
		dups:   slices.Clone(d.dups),
		index:  maps.Clone(d.index),
		first:  maps.Clone(d.first),
	}
	for i, chunk := range d.chunks {
		c.chunks[i] = make([]cell, len(chunk), cap(chunk))
		copy(c.chunks[i], chunk)
	}
	if c.index == nil {
		c.index = make(map[uint32][]uint32)
	}
	if c.first == nil {
		c.first = make(map[uint32]uint32)
	}
	e := &Editor{d: c, last: make(map[uint32]uint32), touched: make(map[uint32]bool), bases: make(map[*source]uint32)}
	for _, s := range c.srcs {
		e.bases[s.source] = s.base
	}
	return e
}

// New returns an editor of a document that holds an empty object, which
// stands where at does.
func New(name string, at Node) *Editor {
	e := Edit(&Document{name: name})
	e.d.add(cell{off: e.offset(at.doc, at), meta: meta(Object, 0, 0)})
	return e
}

// Root returns the value of the document as it is now.
func (e *Editor) Root() Node { return e.d.Root() }

// Document ends the editing. It fails if the document has grown beyond
// [MaxNodes], or its sources beyond 4 GiB.
func (e *Editor) Document() (*Document, error) {
	if e.err != nil {
		return nil, e.err
	}
	for obj := range e.touched {
		e.d.seal(obj)
	}
	d := e.d
	e.d, e.err = nil, errors.New("document: the editor is used up")
	return d, nil
}

// Put sets the member key of the object parent, or appends to the array
// parent, a copy of v. The key stands where at does; what v holds stands where
// it did. It returns the copy.
func (e *Editor) Put(parent Node, key string, at, v Node) Node {
	return e.put(parent, key, at, func(up uint32) uint32 { return e.copy(v, up) })
}

// PutMember sets a copy of m, a member of an object, in the object parent.
func (e *Editor) PutMember(parent, m Node) Node {
	return e.Put(parent, m.Key(), m, m)
}

// PutString is [Editor.Put] with a new string that stands where at does.
func (e *Editor) PutString(parent Node, key string, at Node, text string) Node {
	return e.put(parent, key, at, func(up uint32) uint32 {
		return e.add(cell{off: e.offset(at.doc, at), meta: meta(String, modeText, e.d.addText(text)), parent: up})
	})
}

// PutBool is [Editor.Put] with a new boolean.
func (e *Editor) PutBool(parent Node, key string, at Node, v bool) Node {
	n := 0
	if v {
		n = 1
	}
	return e.put(parent, key, at, func(up uint32) uint32 {
		return e.add(cell{off: e.offset(at.doc, at), meta: meta(Bool, 0, n), parent: up})
	})
}

// PutEmpty is [Editor.Put] with a new empty object or array, which can be
// filled.
func (e *Editor) PutEmpty(parent Node, key string, at Node, k Kind) Node {
	if k != Array {
		k = Object
	}
	return e.put(parent, key, at, func(up uint32) uint32 {
		return e.add(cell{off: e.offset(at.doc, at), meta: meta(k, 0, 0), parent: up})
	})
}

// Remove takes a member or element out. The root stays.
func (e *Editor) Remove(n Node) {
	if e.err != nil || n.doc != e.d || n.i == 0 {
		return
	}
	up := e.d.at(n.i).parent
	c := e.d.at(n.i)
	if e.d.at(up).kind() == Object {
		c = e.d.at(n.i - 1)
		e.touch(up)
	}
	if !c.dead() {
		c.meta |= 1 << deadBit
		e.d.at(up).addN(-1)
	}
}

func (e *Editor) touch(obj uint32) {
	delete(e.d.index, obj)
	e.touched[obj] = true
}

// put links what make adds into parent.
func (e *Editor) put(parent Node, key string, at Node, make func(up uint32) uint32) Node {
	if e.err != nil || parent.doc != e.d {
		return Node{}
	}
	up := parent.i
	switch parent.Kind() {
	case Object:
		old := e.d.lookup(up, key)
		e.touch(up)
		k := e.add(cell{off: e.keyOffset(at), meta: meta(String, modeText, e.d.addText(key)), parent: up})
		v := make(up)
		if e.err != nil {
			return Node{}
		}
		if old != 0 {
			// The new member takes the place of the old one.
			e.d.at(old - 1).meta |= 1 << deadBit
			e.d.at(v).next = e.d.at(old).next
			e.d.at(old).next = k
			if e.last[up] == old {
				e.last[up] = v
			}
			return Node{e.d, v}
		}
		e.link(up, k, v)
		return Node{e.d, v}
	case Array:
		v := make(up)
		if e.err != nil {
			return Node{}
		}
		e.link(up, v, v)
		return Node{e.d, v}
	}
	return Node{}
}

// link appends a child to a container: head is its key or itself.
func (e *Editor) link(up, head, v uint32) {
	step := v - head
	last, ok := e.last[up]
	if !ok {
		// Children that were taken out are still in the chain.
		k := up + 1
		if f, moved := e.d.first[up]; moved {
			k = f
		}
		if k < e.d.n && k != head && e.d.at(k).parent == up {
			for last = k + step; e.d.at(last).next != 0; {
				last = e.d.at(last).next + step
			}
		}
	}
	if last == 0 {
		e.d.first[up] = head
	} else {
		e.d.at(last).next = head
	}
	e.last[up] = v
	e.d.at(up).addN(1)
}

func (e *Editor) add(c cell) uint32 {
	if e.d.n >= MaxNodes {
		e.err = errTooLarge
		return 0
	}
	return e.d.add(c)
}

// copy appends a copy of v and all that it holds.
func (e *Editor) copy(v Node, up uint32) uint32 {
	from := v.doc
	c := *from.at(v.i)
	c.off, c.next, c.parent = e.offset(from, v), 0, up
	switch c.kind() {
	case Object, Array:
		c.meta = meta(c.kind(), 0, 0)
		i := e.add(c)
		last := uint32(0)
		n := 0
		kind := c.kind()
		for k := from.firstChild(v.i); k != 0 && e.err == nil; k = from.nextChild(kind, k) {
			head, child := uint32(0), uint32(0)
			if kind == Object {
				key := *from.at(k)
				key.off, key.next, key.parent = e.offset(from, Node{from, k}), 0, i
				e.text(&key, from, k)
				head = e.add(key)
				child = e.copy(Node{from, k + 1}, i)
			} else {
				child = e.copy(Node{from, k}, i)
				head = child
			}
			if e.err != nil {
				return 0
			}
			if last != 0 {
				e.d.at(last).next = head
			}
			last = child
			n++
		}
		if e.err != nil {
			return 0
		}
		e.d.at(i).addN(n)
		if kind == Object {
			e.d.seal(i)
		}
		return i
	case String, Number:
		e.text(&c, from, v.i)
	}
	return e.add(c)
}

// text makes a copied cell refer to its text from this document.
func (e *Editor) text(c *cell, from *Document, i uint32) {
	c.meta &^= 1 << deadBit
	if c.mode() == modeText {
		c.meta = meta(c.kind(), modeText, e.d.addText(from.texts[from.at(i).n()]))
	}
}

func (e *Editor) keyOffset(at Node) uint32 {
	if at.Parent().Kind() == Object {
		at.i--
	}
	return e.offset(at.doc, at)
}

// offset translates the place of a node of another document.
func (e *Editor) offset(from *Document, at Node) uint32 {
	if from == nil || len(from.srcs) == 0 {
		return 0
	}
	off := from.at(at.i).off
	if from == e.d {
		return off
	}
	s, rel := from.source(off)
	base, ok := e.bases[s]
	if !ok {
		next := uint64(0)
		if n := len(e.d.srcs); n > 0 {
			// One byte between them: the end of one is not the begin of the next.
			next = uint64(e.d.srcs[n-1].base) + uint64(len(e.d.srcs[n-1].text)) + 1
		}
		if next+uint64(len(s.text)) >= math.MaxUint32 {
			e.err = errTooLarge
			return 0
		}
		base = uint32(next)
		e.d.srcs = append(e.d.srcs, placed{base, s})
		e.bases[s] = base
	}
	return base + rel
}
