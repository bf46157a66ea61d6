package plan

import (
	"bytes"
	"slices"
	"strings"

	"github.com/sallyport/sallyport/exchange"
)

// MaxPathParams is how many parameters a path template may hold.
const MaxPathParams = 24

// maxVisits bounds how many nodes one look-up may visit, so that templates
// that overlap cannot make a long path cost more than its length.
const maxVisits = 4096

// A Match is a path's parameters as they stand in it, still percent-encoded,
// in the order of the template.
type Match struct {
	Operation *Operation
	// Allowed are the methods that the path has, where the method asked for
	// is not among them.
	Allowed []*Operation
	// Ambiguous is set where the path would mean another template to a
	// server that decodes before it routes: "/users/x%3Adelete".
	Ambiguous bool
	n         int
	spans     [MaxPathParams][2]int32
}

// Param returns the i-th path parameter's raw text.
func (m *Match) Param(path []byte, i int) []byte {
	s := m.spans[i]
	return path[s[0]:s[1]]
}

// A node is one level of the tree of path segments. Concrete segments are
// tried before templated ones, as OpenAPI's section on path templating asks,
// and templated ones with more literal text before those with less.
type node struct {
	static   map[string]*node
	patterns []*pattern
	leaf     []*Operation // one for each method
}

// A pattern is a segment with parameters in it: "{id}", "{a}.{b}", "v{n}".
type pattern struct {
	literals []string // literals[0] {param 0} literals[1] {param 1} … literals[n]
	next     *node
}

func (p *pattern) weight() (n int) {
	for _, l := range p.literals {
		n += len(l)
	}
	return n
}

// add puts an operation into the tree. The order of names is that of the
// template; ok is false where the same template and method is there already.
func (n *node) add(template string, op *Operation) (names []string, ok bool) {
	for seg := range strings.SplitSeq(strings.TrimPrefix(template, "/"), "/") {
		literals, params := splitSegment(seg)
		names = append(names, params...)
		for i := range literals {
			literals[i] = canonical(literals[i])
		}
		if len(params) == 0 {
			seg = literals[0]
			next := n.static[seg]
			if next == nil {
				next = &node{}
				if n.static == nil {
					n.static = map[string]*node{}
				}
				n.static[seg] = next
			}
			n = next
			continue
		}
		i := slices.IndexFunc(n.patterns, func(p *pattern) bool { return slices.Equal(p.literals, literals) })
		if i < 0 {
			p := &pattern{literals: literals, next: &node{}}
			i, _ = slices.BinarySearchFunc(n.patterns, p, func(a, b *pattern) int { return b.weight() - a.weight() })
			n.patterns = slices.Insert(n.patterns, i, p)
		}
		n = n.patterns[i].next
	}
	for _, o := range n.leaf {
		if o.Method == op.Method {
			return names, false
		}
	}
	n.leaf = append(n.leaf, op)
	return names, true
}

// canonical writes a template's text as it stands in canonical paths: contracts
// say "/café" where callers send "/caf%C3%A9". What no canonical path holds
// stays as it is, and matches nothing.
func canonical(literal string) string {
	const upper = "0123456789ABCDEF"
	b := []byte{'/'}
	for i := range len(literal) {
		if c := literal[i]; c <= ' ' || c >= 0x7f || strings.IndexByte("\"<>^`|", c) >= 0 {
			b = append(b, '%', upper[c>>4], upper[c&15])
		} else {
			b = append(b, c)
		}
	}
	path, reason := exchange.CleanPath(nil, b, exchange.PathOptions{EncodedSlash: true, DoubleEncoding: true, Parameters: true, EmptySegments: true})
	if reason != exchange.OK {
		return literal
	}
	return string(path[1:])
}

// splitSegment takes "a{x}b{y}" apart into its literals and names.
func splitSegment(seg string) (literals, names []string) {
	for {
		open := strings.IndexByte(seg, '{')
		if open < 0 {
			return append(literals, seg), names
		}
		end := strings.IndexByte(seg[open:], '}')
		if end < 0 {
			return append(literals, seg), names
		}
		literals = append(literals, seg[:open])
		names = append(names, seg[open+1:open+end])
		seg = seg[open+end+1:]
	}
}

// find looks a canonical path up. It reports whether any template fits the
// path; m.Operation is nil where none of them has the method. A HEAD that is
// not declared is its GET without a body (RFC 9110 section 9.3.2).
func (n *node) find(path []byte, method string, m *Match) bool {
	m.Operation, m.Allowed, m.Ambiguous, m.n = nil, nil, false, 0
	if len(path) == 0 || path[0] != '/' {
		return false
	}
	visits := maxVisits
	found := n.walk(path, 1, method, m, &visits)
	if found && m.Operation == nil && method == "HEAD" {
		visits = maxVisits
		m.n = 0
		n.walk(path, 1, "GET", m, &visits)
	}
	return found
}

// walk goes on with the segment that begins at from. It stops at the first
// leaf that has the method; where it meets one without, it remembers that the
// path is known and tries the other templates.
func (n *node) walk(path []byte, from int, method string, m *Match, visits *int) (found bool) {
	if *visits--; *visits < 0 {
		return false
	}
	if from > len(path) {
		for _, op := range n.leaf {
			if op.Method == method {
				m.Operation = op
				return true
			}
		}
		if len(n.leaf) > 0 && m.Allowed == nil {
			m.Allowed = n.leaf
		}
		return len(n.leaf) > 0
	}
	end := len(path)
	if i := bytes.IndexByte(path[from:], '/'); i >= 0 {
		end = from + i
	}
	seg := path[from:end]
	if bytes.IndexByte(seg, '%') >= 0 && n.ambiguous(path, from, end) {
		m.Ambiguous = true
	}
	if next := n.static[string(seg)]; next != nil {
		found = next.walk(path, end+1, method, m, visits)
		if m.Operation != nil {
			return true
		}
	}
	for _, p := range n.patterns {
		mark := m.n
		if m.n+len(p.literals)-1 > MaxPathParams || !p.match(path, from, end, m) {
			m.n = mark
			continue
		}
		if p.next.walk(path, end+1, method, m, visits) {
			found = true
		}
		if m.Operation != nil {
			return true
		}
		m.n = mark
	}
	return found
}

// ambiguous reports whether a segment with escapes, decoded, is or holds
// literal text of a template that it does not hold as it stands.
func (n *node) ambiguous(path []byte, from, end int) bool {
	plain := make([]byte, 0, end-from)
	for i := from; i < end; i++ {
		c := path[i]
		if c == '%' && i+2 < end {
			c = unhex(path[i+1])<<4 | unhex(path[i+2])
			i += 2
		}
		plain = append(plain, c)
	}
	if n.static[string(plain)] != nil {
		return true
	}
	var m Match
	for _, p := range n.patterns {
		if len(p.literals) == 2 && p.literals[0] == "" && p.literals[1] == "" {
			continue // a parameter alone takes either form
		}
		if slices.ContainsFunc(p.literals, func(l string) bool { return strings.Contains(l, "%") }) {
			continue // its text stands only escaped
		}
		m.n = 0
		as := p.match(path, from, end, &m)
		m.n = 0
		if p.match(plain, 0, len(plain), &m) != as {
			return true
		}
	}
	return false
}

// unhex reads a hexadecimal digit of a canonical path.
func unhex(c byte) byte {
	if c >= 'A' {
		return c - 'A' + 10
	}
	return c - '0'
}

// match takes a segment apart by the pattern's literals. Every parameter has
// at least one byte, and all but the last are as short as can be.
func (p *pattern) match(path []byte, from, end int, m *Match) bool {
	if !bytes.HasPrefix(path[from:end], []byte(p.literals[0])) {
		return false
	}
	at := from + len(p.literals[0])
	last := len(p.literals) - 1
	for i := 1; i <= last; i++ {
		lit := p.literals[i]
		var stop int
		switch {
		case i == last: // the last literal ends the segment
			stop = end - len(lit)
			if stop <= at || string(path[stop:end]) != lit {
				return false
			}
		default:
			if at >= end {
				return false
			}
			j := bytes.Index(path[at+1:end], []byte(lit))
			if lit == "" || j < 0 {
				return false
			}
			stop = at + 1 + j
		}
		m.spans[m.n] = [2]int32{int32(at), int32(stop)}
		m.n++
		at = stop + len(lit)
	}
	return true
}
