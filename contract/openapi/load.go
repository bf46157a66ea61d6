package openapi

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"unicode"

	"github.com/sallyport/sallyport/contract"
	"github.com/sallyport/sallyport/document"
	"github.com/sallyport/sallyport/jsonschema"
)

// Options say how a contract is loaded. The zero Options load from the file
// system, without overlays.
type Options struct {
	// Overlays are files of OpenAPI Overlay 1.x, applied to the root
	// document in this order.
	Overlays []string
	// ReadFile reads the contract, its overlays and what it refers to; nil
	// reads regular files from the file system. A relative path is relative
	// to the working directory, as the file given to Load is. The loader
	// keeps what is returned; it must not change any more.
	ReadFile func(path string) ([]byte, error)
	// MaxDocuments bounds how many files one contract may spread over; 0
	// means 1,000.
	MaxDocuments int
}

// maxTotal bounds the bytes of all documents of one contract.
const maxTotal = 256 << 20

// maxDiagnostics bounds what is reported about one contract.
const maxDiagnostics = 20_000

// Load reads the contract in file. The API is nil where a diagnostic is
// fatal. The diagnostics stand in the order of their places, the root
// document's first.
func Load(file string, opts Options) (*contract.API, contract.Diagnostics) {
	l := newLoader(opts)
	src, err := l.read(file)
	if err != nil {
		l.report(contract.Fatal, contract.Pos{File: file, Line: 1, Col: 1}, "cannot read the contract: "+reason(err), "")
		return nil, l.finish()
	}
	doc, err := document.Parse(file, src)
	if err != nil {
		l.syntax(contract.Fatal, err)
		return nil, l.finish()
	}
	return l.load(doc)
}

// Compile compiles a document that was read already. Its name says where its
// references lead.
func Compile(doc *document.Document, opts Options) (*contract.API, contract.Diagnostics) {
	return newLoader(opts).load(doc)
}

// A dialect is a version of the format.
type dialect uint8

const (
	v20 dialect = iota // Swagger
	v30
	v31
	v32
)

// A loader holds one load.
type loader struct {
	opts Options
	cwd  string

	v     dialect
	api   *contract.API
	root  *document.Document
	docs  map[string]*document.Document // by URI, without the made one
	bases map[*document.Document]*url.URL
	order map[string]int    // of files, for sorting diagnostics
	lost  map[string]string // why a URI cannot be read
	total int

	ids     map[string]bool // URIs that schemas give themselves by $id
	pending []reference

	diags   []contract.Diagnostic
	dropped int
	seen    map[seenDiag]int // index of a diagnostic

	// What was compiled already, by resolved node.
	parameters map[document.Node]*contract.Parameter
	headers    map[headerKey]*contract.Parameter
	responses  map[document.Node]*promise
	bodies     map[document.Node]*contract.Body

	made *document.Editor // schemas that Swagger does not write as schemas
}

type headerKey struct {
	name string
	node document.Node
}

type seenDiag struct {
	pos contract.Pos
	msg string
}

// A reference leads from a node into another document.
type reference struct {
	node document.Node // where it stands
	text string
	uri  string
}

func newLoader(opts Options) *loader {
	if opts.ReadFile == nil {
		opts.ReadFile = readRegular
	}
	if opts.MaxDocuments <= 0 {
		opts.MaxDocuments = 1000
	}
	cwd, err := os.Getwd()
	if err != nil {
		cwd = string(filepath.Separator)
	}
	return &loader{
		opts:       opts,
		cwd:        cwd,
		docs:       make(map[string]*document.Document),
		bases:      make(map[*document.Document]*url.URL),
		order:      make(map[string]int),
		lost:       make(map[string]string),
		ids:        make(map[string]bool),
		seen:       make(map[seenDiag]int),
		parameters: make(map[document.Node]*contract.Parameter),
		headers:    make(map[headerKey]*contract.Parameter),
		responses:  make(map[document.Node]*promise),
		bodies:     make(map[document.Node]*contract.Body),
	}
}

// readRegular reads a regular file of bounded size. A reference to a device
// or a pipe would never end.
func readRegular(path string) ([]byte, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() {
		return nil, errors.New("it is not a file")
	}
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	if info.Size() > document.MaxBytes {
		return nil, errors.New("it is larger than 64 MiB")
	}
	buf := make([]byte, 0, info.Size()+1) // one more: ReadAll would double it to see the end
	for {
		n, err := f.Read(buf[len(buf):cap(buf)])
		buf = buf[:len(buf)+n]
		if err == io.EOF {
			return buf, nil
		}
		if err != nil {
			return nil, err
		}
		if len(buf) == cap(buf) {
			if len(buf) > document.MaxBytes {
				return nil, errors.New("it is larger than 64 MiB")
			}
			buf = append(buf, 0)[:len(buf)]
		}
	}
}

// reason says why a file cannot be read, without its name.
func reason(err error) string {
	var pathErr *fs.PathError
	if errors.As(err, &pathErr) {
		err = pathErr.Err
	}
	return err.Error()
}

func (l *loader) read(path string) ([]byte, error) {
	src, err := l.opts.ReadFile(path)
	if err != nil {
		return nil, err
	}
	if l.total += len(src); l.total > maxTotal {
		return nil, errors.New("the files of this contract are larger than 256 MiB together")
	}
	return src, nil
}

// fileURI returns the URI of a file.
func (l *loader) fileURI(name string) *url.URL {
	abs := name
	if !filepath.IsAbs(abs) {
		abs = filepath.Join(l.cwd, abs)
	}
	return &url.URL{Scheme: "file", Path: filepath.ToSlash(filepath.Clean(abs))}
}

// fileName returns the path to read a URI from, relative where the root's is.
func (l *loader) fileName(u *url.URL) string {
	p := filepath.FromSlash(u.Path)
	if filepath.IsAbs(l.root.Name()) {
		return p
	}
	if rel, err := filepath.Rel(l.cwd, p); err == nil {
		return rel
	}
	return p
}

// add makes a document known under its URI, notes its faults and looks for
// references in it.
func (l *loader) add(u *url.URL, doc *document.Document) {
	l.docs[u.String()] = doc
	l.bases[doc] = u
	if _, ok := l.order[doc.Name()]; !ok {
		l.order[doc.Name()] = len(l.order)
	}
	for _, d := range doc.Duplicates() {
		l.unenforced(d.Pos, fmt.Sprintf("key %q stands twice in this object; the first, at %d:%d, is not applied", d.Key, d.First.Line, d.First.Col),
			"remove one of them")
	}
	l.scan(doc)
}

// load compiles the contract whose root is doc.
func (l *loader) load(doc *document.Document) (*contract.API, contract.Diagnostics) {
	l.order[doc.Name()] = 0
	l.root = doc
	if !l.version(doc.Root()) {
		return nil, l.finish()
	}
	if doc = l.overlay(doc); doc == nil {
		return nil, l.finish()
	}
	if !l.version(doc.Root()) {
		return nil, l.finish()
	}
	doc = l.nullable(doc)
	l.root = doc
	l.add(l.fileURI(doc.Name()), doc)
	l.follow()

	root := doc.Root()
	l.api = &contract.API{
		Title:   root.Get("info").Get("title").Text(),
		Version: root.Get("info").Get("version").Text(),
		File:    doc.Name(),
		Dialect: jsonschema.OpenAPI30,
		Schemes: make(map[string]*contract.Scheme),
	}
	if l.v == v20 {
		l.api.Format = "Swagger 2.0"
		l.swagger(root)
	} else {
		l.api.Format = "OpenAPI " + root.Get("openapi").Text()
		l.openapi(root)
	}
	l.api.Documents = l.docs
	if l.made != nil {
		made, err := l.made.Document()
		if err != nil {
			l.report(contract.Fatal, root.Pos(), err.Error(), "")
			return nil, l.finish()
		}
		l.docs[madeURI] = made
		l.adopt(made)
	}
	ds := l.finish()
	if ds.Fatal() {
		return nil, ds
	}
	return l.api, ds
}

// version reads the format's version, and says what is wrong with the root.
func (l *loader) version(root document.Node) bool {
	fatal := func(at contract.Pos, msg, hint string) bool {
		l.report(contract.Fatal, at, msg, hint)
		return false
	}
	if !root.IsObject() {
		return fatal(root.Pos(), "the contract is "+article(root.Kind())+", not an object", "give an OpenAPI document")
	}
	n := root.Get("openapi")
	if !n.Valid() {
		if n = root.Get("swagger"); n.Valid() {
			if n.Text() != "2.0" && n.Text() != "2" {
				return fatal(n.Pos(), fmt.Sprintf("Swagger %s is not supported", quote(n.Text())), "convert the contract to OpenAPI 3")
			}
			l.v = v20
			return true
		}
		return fatal(root.Pos(), `the document says neither "openapi" nor "swagger"`, "is this an OpenAPI document? It begins with openapi: 3.1.0 or the like")
	}
	text := n.Text()
	switch {
	case !n.IsString() && !n.IsNumber():
		return fatal(n.Pos(), `"openapi" is `+article(n.Kind())+", not a version", "write openapi: 3.1.0 or the like")
	case text == "3.0" || strings.HasPrefix(text, "3.0."):
		l.v = v30
	case text == "3.1" || strings.HasPrefix(text, "3.1."):
		l.v = v31
	case text == "3.2" || strings.HasPrefix(text, "3.2."):
		l.v = v32
	default:
		return fatal(n.Pos(), fmt.Sprintf("OpenAPI %s is not supported", quote(text)), "use 3.0, 3.1 or 3.2")
	}
	if !n.IsString() {
		l.warn(n.Pos(), `"openapi" is a number`, fmt.Sprintf("write %q", text+".0"))
	}
	return true
}

// scan collects the references of a document that lead out of it.
func (l *loader) scan(doc *document.Document) {
	l.scanNode(doc.Root(), false, l.bases[doc])
}

// named are keys whose object maps names that the author chose.
var named = map[string]bool{
	"properties": true, "patternProperties": true, "$defs": true, "definitions": true, "dependentSchemas": true, "dependencies": true,
	"schemas": true, "responses": true, "parameters": true, "requestBodies": true, "headers": true, "securitySchemes": true,
	"links": true, "callbacks": true, "pathItems": true, "mediaTypes": true, "paths": true, "webhooks": true, "content": true,
	"encoding": true, "variables": true, "securityDefinitions": true, "additionalOperations": true,
}

// data are keys whose value is data, in which "$ref" is a word like others.
var data = map[string]bool{"example": true, "examples": true, "default": true, "enum": true, "const": true, "x-example": true, "x-examples": true}

// scanNode walks all values. names says that the keys of n are names.
func (l *loader) scanNode(n document.Node, names bool, base *url.URL) {
	switch n.Kind() {
	case document.Array:
		for _, v := range n.Elements() {
			if k := v.Kind(); k == document.Object || k == document.Array {
				l.scanNode(v, false, base)
			}
		}
	case document.Object:
		if id := n.Get("$id"); !names && l.v >= v31 && id.IsString() {
			if u, err := url.Parse(id.Text()); err == nil {
				u = base.ResolveReference(u)
				u.Fragment = ""
				if u.String() != base.String() {
					l.ids[u.String()] = true
					base = u
				}
			}
		}
		for key, v := range n.Members() {
			switch v.Kind() {
			case document.Object, document.Array:
				if key == "security" && !names && l.v >= v32 {
					l.scanSecurity(v, base)
				}
				if names || !data[key] {
					l.scanNode(v, !names && named[key], base)
				}
			case document.String:
				// Also among names: "paths: {$ref: …}" is not allowed, but seen.
				if key == "$ref" || key == "$dynamicRef" {
					l.refer(v, v.Text(), base)
				}
			}
			if key == "mapping" && n.Key() == "discriminator" {
				for _, m := range v.Members() {
					// A bare word names a schema, anything else is a reference.
					if t := m.Str(); strings.Contains(t, "/") || strings.Contains(t, "#") || strings.HasSuffix(t, ".json") || strings.HasSuffix(t, ".yaml") || strings.HasSuffix(t, ".yml") {
						l.refer(m, t, base)
					}
				}
			}
		}
	}
}

// scanSecurity looks for security schemes that are named by a reference.
func (l *loader) scanSecurity(n document.Node, base *url.URL) {
	for _, r := range n.Elements() {
		for name, v := range r.Members() {
			if strings.ContainsAny(name, "#/") && !l.root.Root().Get("components").Get("securitySchemes").Has(name) {
				l.refer(v, name, base)
			}
		}
	}
}

// refer notes a reference into another document.
func (l *loader) refer(n document.Node, ref string, base *url.URL) {
	if strings.HasPrefix(ref, "#") || ref == "" {
		return
	}
	u, err := resolveURI(base, ref)
	if err != nil {
		l.unenforced(n.Pos(), fmt.Sprintf("%s is not a reference: it is no URI", quote(ref)), "percent-encode special characters")
		return
	}
	if _, ok := l.docs[u.String()]; ok {
		return
	}
	l.pending = append(l.pending, reference{n, ref, u.String()})
}

// resolveURI returns the document that a reference leads to, without the
// fragment.
func resolveURI(base *url.URL, ref string) (*url.URL, error) {
	file, _, _ := strings.Cut(ref, "#")
	u, err := url.Parse(file)
	if err != nil {
		return nil, err
	}
	return base.ResolveReference(u), nil
}

// follow loads the documents that were referred to, and those that these
// refer to.
func (l *loader) follow() {
	var remote []reference
	for i := 0; i < len(l.pending); i++ {
		r := l.pending[i]
		if _, ok := l.docs[r.uri]; ok {
			continue
		}
		u, err := url.Parse(r.uri)
		if err != nil || u.Scheme != "file" {
			remote = append(remote, r)
			continue
		}
		if _, ok := l.lost[r.uri]; !ok {
			if why := l.fetch(u, r.text); why != "" {
				l.lost[r.uri] = why
			}
		}
		if why, ok := l.lost[r.uri]; ok {
			l.unenforced(r.node.Pos(), why, hintFor(why))
		}
	}
	l.pending = nil
	for _, r := range remote {
		if l.ids[r.uri] || strings.HasPrefix(r.uri, "https://json-schema.org/draft/") {
			continue
		}
		why := fmt.Sprintf("%s is not fetched: a contract is read from files only", quote(r.uri))
		l.lost[r.uri] = why
		l.unenforced(r.node.Pos(), why, hintFor(why))
	}
}

func hintFor(why string) string {
	if strings.Contains(why, "is not fetched") {
		return "save it beside the contract and refer to the file"
	}
	if strings.Contains(why, "absolute") {
		return "name the file relative to this one"
	}
	return ""
}

// fetch loads one file, or says why not.
func (l *loader) fetch(u *url.URL, ref string) string {
	if strings.HasPrefix(ref, "/") || strings.HasPrefix(strings.ToLower(ref), "file:") {
		return fmt.Sprintf("%s is not read: it is an absolute path", quote(ref))
	}
	if len(l.docs) >= l.opts.MaxDocuments {
		return fmt.Sprintf("%s is not read: the contract spreads over more than %d files", quote(ref), l.opts.MaxDocuments)
	}
	name := l.fileName(u)
	src, err := l.read(name)
	if err != nil {
		return fmt.Sprintf("cannot read %s: %s", show(name), reason(err))
	}
	doc, err := document.Parse(name, src)
	if err != nil {
		var syntax *document.SyntaxError
		if errors.As(err, &syntax) {
			return fmt.Sprintf("cannot read %s: line %d: %s", show(name), syntax.Pos.Line, syntax.Msg)
		}
		return fmt.Sprintf("cannot read %s: %s", show(name), err)
	}
	l.add(u, l.nullable(doc))
	return ""
}

// A trouble is why something cannot be used.
type trouble struct {
	pos       contract.Pos
	msg, hint string
}

// resolve follows "$ref" until there is none. What is the name of the thing
// that is looked for.
func (l *loader) resolve(n document.Node, what string) (document.Node, *trouble) {
	var first document.Node
	for hops := 0; n.IsObject(); hops++ {
		ref := n.Get("$ref")
		if !ref.Valid() {
			return n, nil
		}
		if !ref.IsString() {
			return document.Node{}, &trouble{ref.Pos(), what + `: "$ref" is ` + article(ref.Kind()) + ", not a string", ""}
		}
		if !first.Valid() {
			first = ref
		}
		l.siblings(n, what)
		if hops == 100 {
			return document.Node{}, &trouble{first.Pos(), quote(first.Text()) + " goes round in a circle", "let one of the references lead to the " + what}
		}
		next, t := l.target(ref)
		if t != nil {
			return document.Node{}, t
		}
		n = next
	}
	if !n.Valid() {
		return n, &trouble{msg: what + " is missing"}
	}
	return n, &trouble{n.Pos(), fmt.Sprintf("the %s is %s, not an object", what, article(n.Kind())), ""}
}

// siblings warns of what stands beside a "$ref" that replaces it.
func (l *loader) siblings(n document.Node, what string) {
	if n.Len() == 1 || what == pathItem {
		return
	}
	for key, v := range n.Members() {
		if key == "$ref" || key == "summary" || key == "description" || strings.HasPrefix(key, "x-") {
			continue
		}
		l.unenforced(v.KeyPos(), fmt.Sprintf("%q stands beside a $ref, which replaces it", key), "move it to where the $ref leads, or remove it")
	}
}

// target returns the node that a "$ref" names.
func (l *loader) target(ref document.Node) (document.Node, *trouble) {
	n, why, hint := l.lookUp(ref.Document(), ref.Text())
	if !n.Valid() {
		return n, &trouble{ref.Pos(), why, hint}
	}
	return n, nil
}

// lookUp returns the node that a reference in doc names, or says why there
// is none.
func (l *loader) lookUp(doc *document.Document, ref string) (n document.Node, why, hint string) {
	file, fragment, _ := strings.Cut(ref, "#")
	if file != "" {
		u, err := resolveURI(l.bases[doc], ref)
		if err != nil {
			return n, quote(ref) + " is not a reference: it is no URI", "percent-encode special characters"
		}
		known, ok := l.docs[u.String()]
		if !ok {
			if why, ok := l.lost[u.String()]; ok {
				return n, why, hintFor(why)
			}
			return n, quote(ref) + " is not part of the contract", ""
		}
		doc = known
	}
	if plain, err := url.PathUnescape(fragment); err == nil {
		fragment = plain
	}
	if n = doc.Root().At(fragment); n.Valid() {
		return n, "", ""
	}
	why = quote(ref) + " leads nowhere"
	if fragment[0] != '/' {
		if doc.Root().At("/" + fragment).Valid() {
			hint = fmt.Sprintf("a JSON Pointer begins with a slash: %q", file+"#/"+fragment)
		}
		return n, why, hint
	}
	return n, why, nearest(doc, fragment)
}

// nearest looks for a key that was perhaps meant.
func nearest(doc *document.Document, pointer string) string {
	i := strings.LastIndexByte(pointer, '/')
	if i < 0 {
		return ""
	}
	up := doc.Root().At(pointer[:i])
	if !up.Valid() {
		return fmt.Sprintf("%q is not there", pointer[:i])
	}
	want := strings.NewReplacer("~1", "/", "~0", "~").Replace(pointer[i+1:])
	best, distance := "", 3
	for key := range up.Members() {
		if d := edits(key, want, distance); d < distance {
			best, distance = key, d
		}
	}
	if best == "" {
		return ""
	}
	return fmt.Sprintf("did you mean %q?", pointer[:i+1]+document.EscapePointer(best))
}

// edits returns the edit distance of two words, letter case aside, or limit
// where it is at least that.
func edits(a, b string, limit int) int {
	a, b = strings.ToLower(a), strings.ToLower(b)
	if len(a)-len(b) >= limit || len(b)-len(a) >= limit || len(b) > 100 {
		return limit
	}
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		left := row[0]
		row[0] = i + 1
		for j := range len(b) {
			cost := 1
			if a[i] == b[j] {
				cost = 0
			}
			left, row[j+1] = row[j+1], min(left+cost, row[j]+1, row[j+1]+1)
		}
	}
	return min(row[len(b)], limit)
}

func (l *loader) warn(pos contract.Pos, msg, hint string) {
	l.diagnose(contract.Diagnostic{Severity: contract.Warning, Pos: pos, Msg: msg, Hint: hint})
}

func (l *loader) unenforced(pos contract.Pos, msg, hint string) {
	l.diagnose(contract.Diagnostic{Severity: contract.Warning, Pos: pos, Msg: msg, Hint: hint, Unenforced: true})
}

func (l *loader) report(s contract.Severity, pos contract.Pos, msg, hint string) {
	l.diagnose(contract.Diagnostic{Severity: s, Pos: pos, Msg: msg, Hint: hint})
}

func (l *loader) syntax(s contract.Severity, err error) {
	var syntax *document.SyntaxError
	if errors.As(err, &syntax) {
		l.report(s, syntax.Pos, syntax.Msg, syntax.Hint)
	}
}

// diagnose adds a diagnostic once: what many operations share has its fault
// said once, with the worst severity.
func (l *loader) diagnose(d contract.Diagnostic) {
	key := seenDiag{d.Pos, d.Msg}
	if i, ok := l.seen[key]; ok {
		if d.Severity < l.diags[i].Severity {
			l.diags[i].Severity = d.Severity
			l.diags[i].Unenforced = d.Unenforced
		}
		return
	}
	if len(l.diags) >= maxDiagnostics && d.Severity != contract.Fatal {
		l.dropped++
		return
	}
	l.seen[key] = len(l.diags)
	l.diags = append(l.diags, d)
}

func (l *loader) finish() contract.Diagnostics {
	file := func(p contract.Pos) int {
		if i, ok := l.order[p.File]; ok {
			return i
		}
		return len(l.order)
	}
	slices.SortStableFunc(l.diags, func(a, b contract.Diagnostic) int {
		return cmp.Or(
			cmp.Compare(file(a.Pos), file(b.Pos)),
			cmp.Compare(a.Pos.File, b.Pos.File),
			cmp.Compare(a.Pos.Line, b.Pos.Line),
			cmp.Compare(a.Pos.Col, b.Pos.Col),
			cmp.Compare(a.Severity, b.Severity),
		)
	})
	// What closes an operation need not be said a second time as a warning.
	closed := make(map[seenDiag]bool)
	for _, d := range l.diags {
		if _, msg, ok := strings.Cut(d.Msg, cannotGuard); ok && d.Severity == contract.Closed {
			closed[seenDiag{d.Pos, msg}] = true
		}
	}
	l.diags = slices.DeleteFunc(l.diags, func(d contract.Diagnostic) bool {
		return d.Severity == contract.Warning && closed[seenDiag{d.Pos, d.Msg}]
	})
	if l.dropped > 0 && len(l.diags) > 0 {
		l.diags = append(l.diags, contract.Diagnostic{
			Severity: contract.Warning, Pos: l.diags[len(l.diags)-1].Pos, Unenforced: true,
			Msg: "and " + strconv.Itoa(l.dropped) + " more faults, which are not listed",
		})
	}
	return l.diags
}

// article returns the kind with its article: "an object".
func article(k document.Kind) string {
	switch k {
	case document.Array, document.Object:
		return "an " + k.String()
	case document.Null, document.Invalid:
		return k.String()
	}
	return "a " + k.String()
}

// quote shortens what a contract says for a message.
func quote(s string) string { return strconv.Quote(clip(s)) }

// show is s without quotes, fit for a terminal.
func show(s string) string {
	s = clip(s)
	for _, r := range s {
		if !unicode.IsPrint(r) {
			q := strconv.Quote(s)
			return q[1 : len(q)-1]
		}
	}
	return s
}

func clip(s string) string {
	if len(s) > 200 {
		s = strings.ToValidUTF8(s[:197], "") + "..."
	}
	return s
}
