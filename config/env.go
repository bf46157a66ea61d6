package config

import (
	"cmp"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"unicode"

	"github.com/sallyport/sallyport/document"
)

// An expansion is a document in which the environment's values stand in place
// of their names.
type expansion struct {
	doc    *document.Document
	raw    *document.Document
	values []envValue
	filled map[document.Pos]bool // places of strings that the environment gave something to
}

// An envValue is a value that the environment gave.
type envValue struct{ name, value string }

// expand puts the environment's values into the strings of a document:
// ${NAME}, or ${NAME:-default} where NAME is not set or empty; $${ is ${ as it
// is. It works on values that are parsed already, so that a value stays one
// string whatever it holds, and never on keys.
func (d *decoder) expand(raw *document.Document, env func(string) (string, bool)) expansion {
	x := expansion{doc: raw, raw: raw, filled: make(map[document.Pos]bool)}
	if !raw.Root().IsObject() || !holdsName(raw.Root()) {
		return x
	}
	e := document.New(raw.Name(), raw.Root())
	d.copy(&x, e, e.Root(), raw.Root(), env)
	doc, err := e.Document()
	if err != nil {
		d.fail(raw.Root(), "", "%v", err)
		return x
	}
	x.doc = doc
	// The longest first: one value may hold another.
	slices.SortFunc(x.values, func(a, b envValue) int { return cmp.Compare(len(b.value), len(a.value)) })
	return x
}

// holdsName reports whether any string holds the name of a variable.
func holdsName(n document.Node) bool {
	for _, v := range n.Members() {
		if holdsName(v) {
			return true
		}
	}
	for _, v := range n.Elements() {
		if holdsName(v) {
			return true
		}
	}
	return n.IsString() && strings.Contains(n.Text(), "${")
}

// copy puts the children of from into to.
func (d *decoder) copy(x *expansion, e *document.Editor, to, from document.Node, env func(string) (string, bool)) {
	put := func(key string, v document.Node) {
		switch {
		case v.IsObject(), v.IsArray():
			d.copy(x, e, e.PutEmpty(to, key, v, v.Kind()), v, env)
		case v.IsString() && strings.Contains(v.Text(), "${"):
			text, err := x.substitute(v.Text(), env)
			if err != nil {
				d.fail(v, err.hint, "%s", err.msg)
				d.unset[v.Pos()] = true
			}
			x.filled[v.Pos()] = true
			e.PutString(to, key, v, text)
		default:
			e.Put(to, key, v, v)
		}
	}
	for key, v := range from.Members() {
		put(key, v)
	}
	for _, v := range from.Elements() {
		put("", v)
	}
}

// maxEnv bounds one string after the environment has been put in.
const maxEnv = 1 << 20

// An envError says why a string cannot be filled.
type envError struct{ msg, hint string }

func (x *expansion) substitute(text string, env func(string) (string, bool)) (string, *envError) {
	var b strings.Builder
	rest := text
	for {
		before, after, ok := strings.Cut(rest, "${")
		if !ok {
			b.WriteString(rest)
			return b.String(), nil
		}
		if plain, escaped := strings.CutSuffix(before, "$"); escaped {
			b.WriteString(plain + "${")
			rest = after
			continue
		}
		b.WriteString(before)
		name, tail, ok := strings.Cut(after, "}")
		if !ok {
			return "", &envError{"${ has no }", "write $${ for a ${ that is meant as it is"}
		}
		rest = tail
		name, fallback, hasFallback := strings.Cut(name, ":-")
		if !variable(name) {
			return "", &envError{fmt.Sprintf("%q is not the name of a variable", clip(name)),
				"write ${NAME} or ${NAME:-default}; $${ is a ${ that is meant as it is"}
		}
		value, set := env(name)
		switch {
		case value == "" && hasFallback:
			value = fallback
		case !set:
			return "", &envError{"the environment has no " + clip(name), fmt.Sprintf("set it, or write ${%s:-default}", clip(name))}
		default:
			x.values = append(x.values, envValue{name, value})
		}
		if b.Len()+len(value) > maxEnv {
			return "", &envError{fmt.Sprintf("${%s} makes the value longer than 1 MiB", clip(name)), ""}
		}
		b.WriteString(value)
	}
}

func variable(s string) bool {
	for i := range len(s) {
		c := s[i]
		if !('a' <= c|0x20 && c|0x20 <= 'z' || c == '_' || i > 0 && '0' <= c && c <= '9') {
			return false
		}
	}
	return s != ""
}

// minHidden is the length from which a value is hidden. Shorter ones, such as
// ports and words, are no secrets, and stand in messages by chance.
const minHidden = 6

// hide puts the names back in place of the environment's values, so that a
// message shows nothing that may be a secret: whole values, as they are or
// quoted, and what is left of them before an ellipsis.
func (x *expansion) hide(msg string) string {
	for _, v := range x.values {
		if len(v.value) < minHidden {
			continue
		}
		quoted := strconv.Quote(v.value)
		for _, value := range []string{v.value, quoted[1 : len(quoted)-1], printable(v.value)} {
			msg = strings.ReplaceAll(msg, value, "${"+v.name+"}")
			before, after, ok := strings.Cut(msg, "…")
			for n := min(len(value), len(before)); ok && n >= minHidden; n-- {
				if head, cut := strings.CutSuffix(before, value[:n]); cut {
					msg = head + "${" + v.name + "}…" + after
					break
				}
			}
		}
	}
	return msg
}

func printable(s string) string {
	return strings.Map(func(r rune) rune {
		if !unicode.IsPrint(r) {
			return ' '
		}
		return r
	}, s)
}

// part reports whether a message shows a part of what the environment gave.
func (x *expansion) part(msg string) bool {
	for _, v := range x.values {
		for i := 0; i+minHidden <= len(v.value); i++ {
			if strings.Contains(msg, v.value[i:i+minHidden]) {
				return true
			}
		}
	}
	return false
}
