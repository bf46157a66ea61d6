package openapi

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"github.com/sallyport/sallyport/document"
)

// A template is a path of the contract, cut into segments.
type template struct {
	text     string // as run time matches it
	names    []string
	segments []string // each as in text
	methods  []string
	at       document.Node
}

// Bounds of one path.
const (
	maxPath  = 8192 // bytes; longer request lines are refused anyway
	maxNames = 24   // what the plan can match
)

// A note is what is left out of a template, or put in order.
type note struct {
	msg        string
	unenforced bool
}

// parseTemplate reads a path template, and says why a path cannot be matched
// at all. declared says whether a path parameter of that name is declared.
func parseTemplate(raw string, declared func(name string) bool) (t template, notes []note, fault string) {
	if len(raw) > maxPath {
		return t, nil, fmt.Sprintf("the path is longer than %d bytes", maxPath)
	}
	text := raw
	depth := 0
	for i, c := range []byte(text) { // a query or fragment, outside braces
		if c == '{' {
			depth++
		} else if c == '}' {
			depth--
		}
		if depth == 0 && (c == '?' || c == '#') {
			notes = append(notes, note{fmt.Sprintf("%q is not part of a path; requests are matched without it", text[i:]), true})
			text = text[:i]
			break
		}
	}
	if !strings.HasPrefix(text, "/") {
		notes = append(notes, note{"the path does not begin with a slash", false})
		text = "/" + text
	}
	for i := range len(text) {
		if text[i] < ' ' || text[i] == 0x7f {
			return t, notes, "a control character stands in the path"
		}
	}
	var out strings.Builder
	seen := make(map[string]int)
	for rest := text; rest != ""; {
		open := strings.IndexAny(rest, "{}")
		if open < 0 {
			out.WriteString(rest)
			break
		}
		if rest[open] == '}' {
			return t, notes, `"}" stands without "{"`
		}
		out.WriteString(rest[:open])
		rest = rest[open+1:]
		end := strings.IndexAny(rest, "{}/")
		if end < 0 || rest[end] != '}' {
			return t, notes, `"{" stands without "}"`
		}
		name := rest[:end]
		rest = rest[end+1:]
		if name == "" {
			return t, notes, "a template has no name"
		}
		if strings.ContainsAny(name, operators) && !declared(name) {
			switch bare := strings.Trim(name, operators); {
			case bare == "":
				return t, notes, "a template has no name"
			case name[0] == '?' || name[0] == '&' || name[0] == '#':
				notes = append(notes, note{fmt.Sprintf("%q is not part of a path; requests are matched without it", "{"+name+"}"), true})
				continue
			case bare != name:
				notes = append(notes, note{fmt.Sprintf("%q is read as %q, which matches one path segment", "{"+name+"}", "{"+bare+"}"), true})
				name = bare
			}
		}
		if strings.HasPrefix(rest, "{") && !strings.HasPrefix(rest, "{?") && !strings.HasPrefix(rest, "{&") && !strings.HasPrefix(rest, "{#") {
			return t, notes, fmt.Sprintf("nothing stands between %q and the next template, so none can tell where one ends", "{"+name+"}")
		}
		if n := seen[name]; n > 0 {
			notes = append(notes, note{fmt.Sprintf("%q stands more than once in the path", "{"+name+"}"), false})
			seen[name]++
			name = fmt.Sprintf("%s(%d)", name, n+1)
		} else {
			seen[name] = 1
		}
		if len(t.names) == maxNames {
			return t, notes, fmt.Sprintf("the path has more than %d templates", maxNames)
		}
		t.names = append(t.names, name)
		out.WriteString("{" + name + "}")
	}
	t.text = out.String()
	t.segments = strings.Split(t.text[1:], "/")
	return t, notes, ""
}

// operators of RFC 6570 and of gateways, which OpenAPI does not have.
const operators = "+*.#?&;"

// shape is the template without its names: two of the same shape match the
// same paths.
func (t *template) shape() string {
	var b strings.Builder
	for rest := t.text; ; {
		i := strings.IndexByte(rest, '{')
		if i < 0 {
			b.WriteString(rest)
			return b.String()
		}
		b.WriteString(rest[:i+1])
		rest = rest[i+1+strings.IndexByte(rest[i+1:], '}'):]
	}
}

// How a segment is told from others: the higher, the more it says.
func rank(segment string) int {
	open := strings.IndexByte(segment, '{')
	switch {
	case open < 0:
		return 2
	case open == 0 && strings.IndexByte(segment, '}') == len(segment)-1:
		return 0
	}
	return 1
}

// ambiguous reports the pairs of paths that match a common path, and of which
// neither is the more specific one (OpenAPI 3.1.1, section 4.8.8.2).
func (l *loader) ambiguous(ts []template) {
	type bucket struct {
		n     int
		first string
	}
	byFirst := make(map[bucket][]int)
	byCount := make(map[int][]int)
	for i := range ts {
		first := ts[i].segments[0]
		if rank(first) < 2 {
			first = "{"
		}
		b := bucket{len(ts[i].segments), first}
		byFirst[b] = append(byFirst[b], i)
		if first == "{" {
			byCount[b.n] = append(byCount[b.n], i)
		}
	}
	budget := 20_000_000
	for i := range ts {
		n := len(ts[i].segments)
		others := byFirst[bucket{n, ts[i].segments[0]}]
		if rank(ts[i].segments[0]) < 2 {
			others = nil
		}
		for _, j := range slices.Concat(others, byCount[n]) {
			if budget--; budget < 0 {
				l.warn(ts[i].at.KeyPos(), "there are too many paths to compare all of them", "")
				return
			}
			if i < j || rank(ts[i].segments[0]) == 2 && rank(ts[j].segments[0]) < 2 && i != j {
				a, b := &ts[min(i, j)], &ts[max(i, j)]
				if slices.ContainsFunc(a.methods, func(m string) bool { return slices.Contains(b.methods, m) }) && clash(a, b) {
					l.unenforced(b.at.KeyPos(), fmt.Sprintf("a request can match both %s and %s, and neither is the more specific", show(b.text), show(a.text)),
						"run time takes the one whose first differing segment says more")
				}
			}
		}
	}
}

func clash(a, b *template) bool {
	more, less := false, false
	for i, s := range a.segments {
		o := b.segments[i]
		switch cmp.Compare(rank(s), rank(o)) {
		case 1:
			more = true
		case -1:
			less = true
		}
		if !overlap(s, o) {
			return false
		}
		if rank(s) == 1 && rank(o) == 1 && s != o {
			// More literal text says more; with as much, nobody can tell.
			switch cmp.Compare(literals(s), literals(o)) {
			case 1:
				more = true
			case -1:
				less = true
			default:
				more, less = true, true
			}
		}
	}
	return more && less
}

// literals counts the bytes of a segment outside templates.
func literals(s string) int {
	n := 0
	for {
		i := strings.IndexByte(s, '{')
		if i < 0 {
			return n + len(s)
		}
		n += i
		s = s[i+1+strings.IndexByte(s[i+1:], '}')+1:]
	}
}

// overlap reports whether some text could match both segments. It looks at
// the literal text at both ends only, so it may say yes too often.
func overlap(a, b string) bool {
	ra, rb := rank(a), rank(b)
	switch {
	case ra == 2 && rb == 2:
		return a == b
	case ra == 0 || rb == 0:
		return true
	}
	headA, tailA := ends(a)
	headB, tailB := ends(b)
	if rb == 2 {
		headB, tailB = b, b
	}
	if ra == 2 {
		headA, tailA = a, a
	}
	return (strings.HasPrefix(headA, headB) || strings.HasPrefix(headB, headA)) &&
		(strings.HasSuffix(tailA, tailB) || strings.HasSuffix(tailB, tailA))
}

func ends(s string) (head, tail string) {
	open, end := strings.IndexByte(s, '{'), strings.LastIndexByte(s, '}')
	if open < 0 {
		return s, s
	}
	return s[:open], s[end+1:]
}
