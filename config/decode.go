package config

import (
	"fmt"
	"net/netip"
	"net/url"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/sallyport/sallyport/contract"
	"github.com/sallyport/sallyport/document"
	"github.com/sallyport/sallyport/policy"
)

// A decoder fills a Config by the tags of its fields, and gathers faults.
//
// The tags: key is the name in the file; must says that it may not be left
// out; min and max bound numbers, sizes and time spans; enum lists the words
// that are possible; form names an entry of forms; alone lets one value stand
// for a list of it. The JSON Schema is made of the same tags.
type decoder struct {
	dir    string // that relative paths are meant from
	x      expansion
	unset  map[contract.Pos]bool // values that the environment could not fill; nothing else is said of them
	ds     contract.Diagnostics
	places map[any]contract.Pos
	broken map[any]bool // secrets that could not be read
	files  []string     // that secrets stand in
}

// A form is what a string must look like.
type form struct {
	pattern string // for the decoder and for the JSON Schema
	words   string // what it is, for messages and the manual
}

var forms = map[string]form{
	"name":      {`^[A-Za-z0-9_.-]{1,64}$`, "a name of 1 to 64 letters, digits, -, _ and ."},
	"address":   {`^(\[[0-9a-fA-F:.%a-z]+\]|[^:/\s\[\]]*):[0-9]{1,5}$`, "an address and port such as :8080, 127.0.0.1:8080 or [::1]:8080"},
	"admin":     {`^(off|(\[[0-9a-fA-F:.%a-z]+\]|[^:/\s\[\]]*):[0-9]{1,5})$`, "off, or an address and port such as 127.0.0.1:9090"},
	"host":      {`^([a-z0-9]([a-z0-9._-]*[a-z0-9])?|\[[0-9a-f:.]+\])$`, "a host in lower case, without a port"},
	"base_path": {`^(/|(/[^/?#%\s]+)+)$`, `a path that begins with a slash and does not end with one, or "/" for the root`},
	"path":      {`^/[^?#\s]*$`, "a path that begins with a slash"},
	"pointer":   {`^(/([^~/]|~[01])*)+$`, "a JSON Pointer such as /sub or /org/id"},
	"url":       {`^https?://[^/?#@\s]+(/[^?#\s]*)?$`, "a URL such as https://id.example, without user, query and fragment"},
	"upstream": {`^(https?://[^/?#@\s]+(/[^?#\s]*)?|unix:/[^?#\s]*)$`,
		"a URL such as http://127.0.0.1:3000 or unix:/run/shop.sock, without user, query and fragment"},
}

var patterns = func() map[string]*regexp.Regexp {
	m := make(map[string]*regexp.Regexp, len(forms))
	for name, f := range forms {
		m[name] = regexp.MustCompile(f.pattern)
	}
	return m
}()

// report adds a fault that stands at a place.
func (d *decoder) report(sev contract.Severity, pos contract.Pos, hint, format string, args ...any) {
	if d.unset[pos] {
		return
	}
	msg := fmt.Sprintf(format, args...)
	if len(msg) > 600 { // it quotes something huge
		msg = strings.ToValidUTF8(msg[:600], "") + "…"
	}
	d.ds = append(d.ds, contract.Diagnostic{Severity: sev, Pos: pos, Msg: msg, Hint: hint})
}

func (d *decoder) fail(n document.Node, hint, format string, args ...any) {
	d.report(contract.Fatal, n.Pos(), hint, format, args...)
}

// failAt reports a fault of a field that was decoded, unless something was
// wrong with it before.
func (d *decoder) failAt(field any, hint, format string, args ...any) {
	for _, x := range d.ds {
		if x.Severity == contract.Fatal && x.Pos == d.places[field] {
			return
		}
	}
	d.report(contract.Fatal, d.places[field], hint, format, args...)
}

// written reports whether the file sets a field.
func (d *decoder) written(field any) bool {
	_, ok := d.places[field]
	return ok
}

// structure decodes an object into a struct. what names it in messages.
func (d *decoder) structure(n document.Node, v reflect.Value, what string) {
	if !n.IsObject() {
		d.fail(n, "", "%s: this is %s, not keys with values", title(what), n.Kind().InWords())
		return
	}
	t := v.Type()
	var known []string
	for i := range t.NumField() {
		f := t.Field(i)
		if key := f.Tag.Get("key"); key != "" {
			known = append(known, key)
			if f.Tag.Get("must") != "" && !n.Has(key) {
				d.fail(n, f.Tag.Get("ask"), "%s: %s is missing", title(what), key)
			}
		}
		if f.Name == "Pos" {
			v.Field(i).Set(reflect.ValueOf(n.Pos()))
		}
	}
	for key, m := range n.Members() {
		i := 0
		for i < t.NumField() && t.Field(i).Tag.Get("key") != key {
			i++
		}
		if i == t.NumField() || key == "" {
			hint := "known are " + strings.Join(known, ", ")
			if k := policy.Nearest(key, known); k != "" {
				hint = fmt.Sprintf("did you mean %s?", k)
			}
			d.report(contract.Fatal, m.KeyPos(), hint, "unknown key %q in %s", clip(key), title(what))
			continue
		}
		f := v.Field(i)
		d.places[f.Addr().Interface()] = m.Pos()
		path := key
		if what != "" {
			path = what + "." + key
		}
		d.value(m, f, t.Field(i).Tag, path)
	}
}

// title is how messages name the object what.
func title(what string) string {
	if what == "" {
		return "the file"
	}
	return what
}

var (
	durationType = reflect.TypeFor[time.Duration]()
	sizeType     = reflect.TypeFor[Size]()
	pathType     = reflect.TypeFor[Path]()
	secretType   = reflect.TypeFor[Secret]()
	namesType    = reflect.TypeFor[Names]()
	modeType     = reflect.TypeFor[policy.Mode]()
	policyType   = reflect.TypeFor[*policy.Policy]()
	urlType      = reflect.TypeFor[*url.URL]()
	prefixType   = reflect.TypeFor[netip.Prefix]()
)

func (d *decoder) value(n document.Node, v reflect.Value, tag reflect.StructTag, what string) {
	switch v.Type() {
	case durationType:
		d.duration(n, v, tag, what)
	case sizeType:
		d.size(n, v, tag, what)
	case pathType:
		if s, ok := d.text(n, what); ok {
			v.SetString(d.path(s))
		}
	case secretType:
		d.secret(n, v, what)
	case namesType:
		d.names(n, v, tag, what)
	case modeType:
		if i, ok := d.enum(n, tag, what); ok {
			v.SetUint(uint64(i))
		}
	case policyType:
		p, ds := policy.Decode(n)
		for _, x := range ds {
			if d.unset[x.Pos] {
				continue
			}
			// Unlike here, the messages of policy quote parts of values.
			if msg := d.x.hide(x.Msg); d.x.filled[x.Pos] && d.x.part(msg) {
				x.Msg = "what the environment gives cannot stand here"
			}
			d.ds = append(d.ds, x)
		}
		v.Set(reflect.ValueOf(p))
	case urlType:
		if u := d.url(n, what); u != nil {
			v.Set(reflect.ValueOf(u))
		}
	case prefixType:
		d.prefix(n, v, what)
	default:
		d.plain(n, v, tag, what)
	}
}

// plain decodes what Go's own types hold.
func (d *decoder) plain(n document.Node, v reflect.Value, tag reflect.StructTag, what string) {
	switch v.Kind() {
	case reflect.Struct:
		d.structure(n, v, what)
	case reflect.Slice:
		d.list(n, v, tag, what)
	case reflect.Map:
		d.stringMap(n, v, what)
	case reflect.Pointer:
		p := reflect.New(v.Type().Elem())
		d.value(n, p.Elem(), tag, what)
		v.Set(p)
	case reflect.Bool:
		switch t := n.Text(); {
		case n.IsBool(), n.IsString() && (t == "true" || t == "false"):
			v.SetBool(t == "true")
		default:
			d.fail(n, "", "%s: write true or false", what)
		}
	case reflect.Int:
		i, ok := n.Int()
		if t := n.Text(); n.IsString() && strings.Trim(t, "0123456789") == "" { // the environment's
			var err error
			i, err = strconv.ParseInt(t, 10, 64)
			ok = err == nil
		}
		switch least, most := bounds(tag); {
		case ok && i >= least && i <= most:
		case least == most:
			d.fail(n, "", "%s: only %d is known", what, least)
			return
		default:
			d.fail(n, "", "%s: write a whole number from %d to %d", what, least, most)
			return
		}
		v.SetInt(i)
	case reflect.String:
		if tag.Get("enum") != "" {
			if i, ok := d.enum(n, tag, what); ok {
				v.SetString(words(tag)[i])
			}
			return
		}
		s, ok := d.text(n, what)
		if name := tag.Get("form"); ok && name != "" && !patterns[name].MatchString(s) {
			d.fail(n, "", "%s: %q is not %s", what, withoutUser(s), forms[name].words)
			s = "" // that is what others take for reported
		}
		v.SetString(s)
	default:
		panic("config: no way to decode " + v.Type().String())
	}
}

// A defaulter is an element of a list that does not begin as zero.
type defaulter interface{ setDefaults() }

const maxList = 10_000

func (d *decoder) list(n document.Node, v reflect.Value, tag reflect.StructTag, what string) {
	if tag.Get("alone") != "" && !n.IsArray() {
		v.Set(reflect.MakeSlice(v.Type(), 1, 1))
		d.value(n, v.Index(0), tag, what)
		return
	}
	switch {
	case !n.IsArray():
		d.fail(n, "", "%s: this is %s, not a list", what, n.Kind().InWords())
		return
	case n.Len() == 0 && tag.Get("must") != "":
		d.fail(n, "", "%s: the list is empty", what)
		return
	case n.Len() > maxList:
		d.fail(n, "", "%s: the list has %d elements; %d are the most", what, n.Len(), maxList)
		return
	}
	// Made at its full length, so that places, which are kept by address,
	// stay right.
	v.Set(reflect.MakeSlice(v.Type(), n.Len(), n.Len()))
	for i, e := range n.Elements() {
		p := v.Index(i).Addr().Interface()
		d.places[p] = e.Pos()
		if p, ok := p.(defaulter); ok {
			p.setDefaults()
		}
		d.value(e, v.Index(i), tag, what)
	}
}

// A member stands in places for a member of the map that of points to.
type member struct {
	of  any
	key string
}

func (d *decoder) stringMap(n document.Node, v reflect.Value, what string) {
	if !n.IsObject() {
		d.fail(n, "", "%s: this is %s, not keys with values", what, n.Kind().InWords())
		return
	}
	m := make(map[string]string, n.Len())
	for key, e := range n.Members() {
		d.places[member{v.Addr().Interface(), key}] = e.Pos()
		if s, ok := d.text(e, what+"."+key); ok {
			m[key] = s
		}
	}
	v.Set(reflect.ValueOf(m))
}

func (d *decoder) text(n document.Node, what string) (string, bool) {
	if !n.IsString() {
		hint := ""
		if n.IsNumber() || n.IsBool() {
			hint = fmt.Sprintf("write %q", clip(n.Text()))
		}
		d.fail(n, hint, "%s: this is %s, not a string", what, n.Kind().InWords())
		return "", false
	}
	s := n.Text()
	if strings.ContainsFunc(s, func(r rune) bool { return r < ' ' || r == 0x7f }) {
		d.fail(n, "", "%s: there is a control character in it", what)
		return "", false
	}
	return s, true
}

// scalar returns the text of a string or number.
func (d *decoder) scalar(n document.Node, what string) (string, bool) {
	if n.IsNumber() {
		return n.Text(), true
	}
	return d.text(n, what)
}

// words are the words that a field may have.
func words(tag reflect.StructTag) []string { return strings.Split(tag.Get("enum"), ",") }

func (d *decoder) enum(n document.Node, tag reflect.StructTag, what string) (int, bool) {
	ws := words(tag)
	i := slices.Index(ws, n.Text())
	if i >= 0 && (n.IsString() || n.IsNumber()) {
		return i, true
	}
	got, hint := n.Kind().InWords(), ""
	if n.IsString() || n.IsNumber() || n.IsBool() {
		got = strconv.Quote(clip(n.Text()))
		if w := policy.Nearest(n.Text(), ws); w != "" {
			hint = fmt.Sprintf("did you mean %s?", w)
		}
	}
	if len(ws) == 1 {
		d.fail(n, "leave the key out", "%s: %s is not supported yet, only %s", what, got, ws[0])
		return 0, false
	}
	d.fail(n, hint, "%s: %s is not one of %s", what, got, strings.Join(ws, ", "))
	return 0, false
}

// bounds returns the least and the most of a number or size.
func bounds(tag reflect.StructTag) (least, most int64) {
	least, err := strconv.ParseInt(tag.Get("min"), 10, 64)
	if err != nil {
		panic("config: a number without a least value")
	}
	if most, err = strconv.ParseInt(tag.Get("max"), 10, 64); err != nil {
		panic("config: a number without a greatest value")
	}
	return least, most
}

func (d *decoder) size(n document.Node, v reflect.Value, tag reflect.StructTag, what string) {
	s, ok := d.scalar(n, what)
	if !ok {
		return
	}
	i, err := policy.ParseSize(s)
	if err != nil {
		d.fail(n, "", "%s: %v", what, err)
		return
	}
	if least, most := bounds(tag); i < least || i > most {
		d.fail(n, "", "%s: %q is not from %s to %s", what, s, Size(least), Size(most))
		return
	}
	v.SetInt(i)
}

// String writes the size as the file does: "16KiB".
func (s Size) String() string {
	for _, u := range []struct {
		unit string
		size Size
	}{{"GiB", 1 << 30}, {"MiB", 1 << 20}, {"KiB", 1 << 10}} {
		if s >= u.size && s%u.size == 0 {
			return strconv.FormatInt(int64(s/u.size), 10) + u.unit
		}
	}
	return strconv.FormatInt(int64(s), 10)
}

func (d *decoder) duration(n document.Node, v reflect.Value, tag reflect.StructTag, what string) {
	s, ok := d.scalar(n, what)
	if !ok {
		return
	}
	span, err := policy.ParseDuration(s)
	if err != nil {
		d.fail(n, "", "%s: %v", what, err)
		return
	}
	least, _ := policy.ParseDuration(tag.Get("min"))
	most, err := policy.ParseDuration(tag.Get("max"))
	if err != nil {
		panic("config: a time span without a greatest value")
	}
	if span < least || span > most {
		d.fail(n, "", "%s: %q is not from %s to %s", what, s, tag.Get("min"), tag.Get("max"))
		return
	}
	v.SetInt(int64(span))
}

func (d *decoder) path(s string) string {
	if s == "" || filepath.IsAbs(s) {
		return s
	}
	return filepath.Join(d.dir, s)
}

// maxSecret bounds a secret.
const maxSecret = 64 << 10

// secret decodes a text that the environment gave, or {file: path}.
func (d *decoder) secret(n document.Node, v reflect.Value, what string) {
	const hint = "write {file: PATH} or ${NAME}"
	if n.IsObject() {
		file := n.Get("file")
		if n.Len() != 1 || !file.IsString() {
			d.broken[v.Addr().Interface()] = true
			d.fail(n, hint, "%s: an object here has the key file alone, with a path", what)
			return
		}
		d.files = append(d.files, d.path(file.Text()))
		s, err := readSecret(d.path(file.Text()))
		if err != nil {
			d.broken[v.Addr().Interface()] = true
			d.fail(file, "", "%s: %v", what, err)
			return
		}
		v.SetString(s)
		return
	}
	if !n.IsString() {
		d.broken[v.Addr().Interface()] = true
		d.fail(n, hint, "%s: this is %s, not a secret", what, n.Kind().InWords())
		return
	}
	if raw := d.x.raw.Root().At(n.Pointer()); !strings.Contains(raw.Text(), "${") {
		d.report(contract.Warning, n.Pos(), hint, "%s: the secret stands in the file itself, for everyone who reads it", what)
	}
	v.SetString(n.Text())
}

func readSecret(path string) (string, error) {
	f, err := os.Open(path)
	if err != nil {
		return "", err
	}
	defer f.Close()
	b := make([]byte, maxSecret+1)
	n := 0
	for n < len(b) {
		m, err := f.Read(b[n:])
		n += m
		if err != nil {
			break
		}
	}
	switch s := strings.TrimRight(string(b[:n]), "\r\n"); {
	case n > maxSecret:
		return "", fmt.Errorf("%s is longer than 64 KiB", path)
	case s == "":
		return "", fmt.Errorf("%s is empty", path)
	default:
		return s, nil
	}
}

// names decodes a list of names, or the word any.
func (d *decoder) names(n document.Node, v reflect.Value, tag reflect.StructTag, what string) {
	var names Names
	switch {
	case n.IsString() && n.Text() == "any":
		names.Any = true
	case n.IsString():
		d.fail(n, fmt.Sprintf("write [%s], or any to accept all", n.Text()), "%s: %q stands alone; this is a list", what, clip(n.Text()))
	case !n.IsArray():
		d.fail(n, "", "%s: this is %s, not a list or the word any", what, n.Kind().InWords())
	case n.Len() == 0:
		d.fail(n, "write any to accept all", "%s: the list is empty, so that nothing would be accepted", what)
	}
	for _, e := range n.Elements() {
		s, ok := d.text(e, what)
		if ok && s == "any" {
			d.fail(e, "write any alone, without the list", "%s: any stands for the whole list", what)
		} else if ok && tag.Get("enum") != "" && !slices.Contains(words(tag), s) {
			hint := "known are " + strings.Join(words(tag), ", ")
			if strings.EqualFold(s, "none") {
				hint = "a token without a signature proves nothing; " + hint
			}
			d.fail(e, hint, "%s: %q is not an algorithm that can be accepted", what, clip(s))
		} else if ok && slices.Contains(names.List, s) {
			d.fail(e, "", "%s: %q stands here twice", what, clip(s))
		}
		names.List = append(names.List, s)
	}
	v.Set(reflect.ValueOf(names))
}

func (d *decoder) url(n document.Node, what string) *url.URL {
	s, ok := d.text(n, what)
	if !ok {
		return nil
	}
	u, err := url.Parse(s)
	if err != nil || !patterns["upstream"].MatchString(s) || u.Scheme != "unix" && u.Hostname() == "" ||
		u.Scheme == "unix" && (u.Host != "" || len(u.Path) < 2) || !validPort(u.Port()) {
		d.fail(n, "", "%s: %q is not %s", what, withoutUser(s), forms["upstream"].words)
		return nil
	}
	return u
}

var user = regexp.MustCompile(`//[^/]*@`)

// withoutUser shortens what a message quotes, without the user and password
// of a URL.
func withoutUser(s string) string { return clip(user.ReplaceAllString(s, "//…@")) }

func validPort(s string) bool {
	if s == "" {
		return true
	}
	p, err := strconv.ParseUint(s, 10, 16)
	return err == nil && p > 0
}

// prefix decodes a network, or an address alone.
func (d *decoder) prefix(n document.Node, v reflect.Value, what string) {
	s, ok := d.text(n, what)
	if !ok {
		return
	}
	p, err := netip.ParsePrefix(s)
	if a, aerr := netip.ParseAddr(s); err != nil && aerr == nil && a.Zone() == "" {
		p, err = netip.PrefixFrom(a.Unmap(), a.Unmap().BitLen()), nil
	}
	if err != nil {
		d.fail(n, "", "%s: %q is not an address or network such as 10.0.0.0/8", what, clip(s))
		return
	}
	if p != p.Masked() {
		d.fail(n, fmt.Sprintf("write %s", p.Masked()), "%s: %q has bits beyond its length", what, s)
		return
	}
	v.Set(reflect.ValueOf(p))
}

// clip shortens what a message quotes.
func clip(s string) string {
	if len(s) > 80 {
		return strings.ToValidUTF8(s[:80], "") + "…"
	}
	return s
}
