package openapi

import (
	"fmt"
	"strings"

	"github.com/sallyport/sallyport/contract"
	"github.com/sallyport/sallyport/document"
)

// overlay applies the overlays to the root document. It returns nil where one
// cannot be used: it may carry what protects the API.
func (l *loader) overlay(doc *document.Document) *document.Document {
	if len(l.opts.Overlays) == 0 {
		return doc
	}
	e := document.Edit(doc)
	usable := true
	for _, file := range l.opts.Overlays {
		src, err := l.read(file)
		if err != nil {
			l.report(contract.Fatal, contract.Pos{File: file, Line: 1, Col: 1}, "cannot read the overlay: "+reason(err), "")
			usable = false
			continue
		}
		o, err := document.Parse(file, src)
		if err != nil {
			l.syntax(contract.Fatal, err)
			usable = false
			continue
		}
		usable = l.apply(e, o.Root()) && usable
	}
	if !usable {
		return nil
	}
	out, err := e.Document()
	if err != nil {
		l.report(contract.Fatal, doc.Root().Pos(), err.Error(), "")
		return nil
	}
	return out
}

// apply runs the actions of one overlay (Overlay 1.0, section 4.4).
func (l *loader) apply(e *document.Editor, o document.Node) bool {
	fatal := func(at contract.Pos, msg, hint string) bool {
		l.report(contract.Fatal, at, msg, hint)
		return false
	}
	for _, d := range o.Document().Duplicates() {
		fatal(d.Pos, fmt.Sprintf("key %q stands twice in this object; first at %d:%d", d.Key, d.First.Line, d.First.Col), "remove one of them")
	}
	v := o.Get("overlay")
	if !v.Valid() {
		return fatal(o.Pos(), `the document does not say "overlay"`, "is this an overlay? It begins with overlay: 1.0.0")
	}
	if v.Text() != "1" && !strings.HasPrefix(v.Text(), "1.") {
		return fatal(v.Pos(), fmt.Sprintf("Overlay %s is not supported", quote(v.Text())), "use 1.0.0")
	}
	actions := o.Get("actions")
	if !actions.IsArray() || actions.Len() == 0 {
		return fatal(o.Pos(), "the overlay has no actions", "")
	}
	ok := len(o.Document().Duplicates()) == 0
	for _, a := range actions.Elements() {
		ok = l.action(e, a) && ok
	}
	return ok
}

func (l *loader) action(e *document.Editor, a document.Node) bool {
	fatal := func(at document.Node, msg, hint string) bool {
		l.report(contract.Fatal, at.Pos(), msg, hint)
		return false
	}
	target := a.Get("target")
	if !target.IsString() {
		return fatal(a, "the action has no target", `give a JSONPath, such as $.paths["/orders"].get`)
	}
	for key, v := range a.Members() {
		switch {
		case key == "target", key == "description", key == "update", key == "remove", key == "copy", strings.HasPrefix(key, "x-"):
		default:
			return fatal(v, fmt.Sprintf("an action has no field %q", key), "there are target, update, remove and copy")
		}
	}
	remove, update := a.Get("remove"), a.Get("update")
	if remove.Valid() && !remove.IsBool() {
		return fatal(remove, `"remove" is `+article(remove.Kind())+", not true or false", "")
	}
	find := func(n document.Node) ([]document.Node, bool) {
		p, err := parsePath(n.Text())
		if err != nil {
			return nil, fatal(n, fmt.Sprintf("%s is not a JSONPath: %s", quote(n.Text()), err), "")
		}
		found, err := p.find(e.Root())
		if err != nil {
			return nil, fatal(n, err.Error(), "")
		}
		return found, true
	}
	found, ok := find(target)
	if !ok {
		return false
	}
	if len(found) == 0 {
		l.unenforced(target.Pos(), fmt.Sprintf("%s selects nothing in the contract", quote(target.Text())), "the action does nothing; was something renamed?")
		return true
	}
	if remove.Bool() {
		for _, n := range found {
			if n == e.Root() {
				return fatal(target, "the whole contract cannot be removed", "")
			}
		}
		for _, n := range found {
			e.Remove(n)
		}
		return true
	}
	if from := a.Get("copy"); from.Valid() {
		source, ok := find(from)
		if !ok {
			return false
		}
		if len(source) != 1 {
			return fatal(from, fmt.Sprintf("%s selects %d values to copy, not one", quote(from.Text()), len(source)), "")
		}
		// The value is merged as it was before: it may contain its target.
		before := document.New("", source[0])
		v := before.Put(before.Root(), "value", source[0], source[0])
		for _, n := range found {
			if !l.update(e, n, v, from) {
				return false
			}
		}
	}
	if !update.Valid() {
		if !remove.Valid() && !a.Has("copy") {
			return fatal(a, "the action neither updates nor removes", "")
		}
		return true
	}
	for _, n := range found {
		if !l.update(e, n, update, update) {
			return false
		}
	}
	return true
}

// update merges v into n.
func (l *loader) update(e *document.Editor, n, v, at document.Node) bool {
	switch {
	case n.IsArray():
		e.Put(n, "", v, v)
	case n.IsObject() && v.IsObject():
		return l.mergeInto(e, n, v)
	case !n.IsObject() && !v.IsObject() && !v.IsArray() && n.Parent().IsObject():
		e.Put(n.Parent(), n.Key(), v, v) // Overlay 1.1
	default:
		l.report(contract.Fatal, at.Pos(), fmt.Sprintf("%s cannot be merged into %s, which the target selects at %s", article(v.Kind()), article(n.Kind()), n.Pos()), "")
		return false
	}
	return true
}

// mergeInto sets the members of v in n: objects member by member, arrays are
// joined, simple values replaced. Other pairs are an error (Overlay 1.1,
// section 4.4.3).
func (l *loader) mergeInto(e *document.Editor, n, v document.Node) bool {
	ok := true
	for key, m := range v.Members() {
		old := n.Get(key)
		switch {
		case old.IsObject() && m.IsObject():
			ok = l.mergeInto(e, old, m) && ok
		case old.IsArray() && m.IsArray():
			for _, x := range m.Elements() {
				e.Put(old, "", x, x)
			}
		case old.Valid() && (old.IsObject() || old.IsArray() || m.IsObject() || m.IsArray()):
			l.report(contract.Fatal, m.KeyPos(), fmt.Sprintf("%q is %s here and %s in the contract, at %s", key, article(m.Kind()), article(old.Kind()), old.KeyPos()),
				"remove the old value by an action before this one")
			ok = false
		default:
			e.PutMember(n, m)
		}
	}
	return ok
}
