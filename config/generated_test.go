package config_test

import (
	"bytes"
	"encoding/json"
	"flag"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"net/netip"
	"net/url"
	"os"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/sallyport/sallyport/config"
	"github.com/sallyport/sallyport/policy"
)

var update = flag.Bool("update", false, "rewrite golden and generated files")

const (
	schemaFile  = "config.schema.json"
	manualFile  = "../docs/configuration.md"
	exampleFile = "../docs/examples/sallyport.yaml"
)

// TestGeneratedFiles holds the JSON Schema and the manual to the struct and
// the table that Load reads by. go generate writes them.
func TestGeneratedFiles(t *testing.T) {
	g := generator{t: t, comments: comments(t)}
	for file, want := range map[string][]byte{schemaFile: g.schema(), manualFile: g.manual()} {
		if *update {
			if err := os.WriteFile(file, want, 0o644); err != nil {
				t.Fatal(err)
			}
			continue
		}
		got, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(got, want) {
			t.Errorf("%s is not what go generate writes:\n%s", file, cmp.Diff(string(got), string(want)))
		}
	}
}

// comments returns the comments of all struct fields of config.go, by
// "Type.Field".
func comments(t *testing.T) map[string]string {
	f, err := parser.ParseFile(token.NewFileSet(), "config.go", nil, parser.ParseComments)
	if err != nil {
		t.Fatal(err)
	}
	m := make(map[string]string)
	ast.Inspect(f, func(n ast.Node) bool {
		ts, ok := n.(*ast.TypeSpec)
		if !ok {
			return true
		}
		st, ok := ts.Type.(*ast.StructType)
		if !ok {
			return true
		}
		for _, f := range st.Fields.List {
			for _, name := range f.Names {
				m[ts.Name.Name+"."+name.Name] = strings.Join(strings.Fields(f.Doc.Text()), " ")
			}
		}
		return true
	})
	return m
}

type generator struct {
	t        *testing.T
	comments map[string]string
}

type object = map[string]any

// env is the schema of a string that the environment fills.
var env = object{"$ref": "#/$defs/env"}

func anyOf(s ...object) object { return object{"anyOf": s} }

func (g generator) schema() []byte {
	root := g.structure(reflect.TypeFor[config.Config](), reflect.ValueOf(*config.Default()))
	root["$schema"] = "https://json-schema.org/draft/2020-12/schema"
	root["$id"] = "https://github.com/sallyport/sallyport/config/config.schema.json"
	root["title"] = "Configuration of Sallyport"
	root["$defs"] = object{
		"env": object{
			"description": "A value from the environment: ${NAME}, or ${NAME:-default}.",
			"type":        "string", "pattern": `\$\{`,
		},
		"secret": object{"anyOf": []object{
			{"type": "string"},
			{"type": "object", "required": []string{"file"}, "additionalProperties": false,
				"properties": object{"file": object{"type": "string", "minLength": 1, "description": "File that holds the secret."}}},
		}},
	}
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	e.SetIndent("", "  ")
	if err := e.Encode(root); err != nil {
		g.t.Fatal(err)
	}
	return b.Bytes()
}

func (g generator) structure(t reflect.Type, defaults reflect.Value) object {
	props := object{}
	required := []string{}
	for i := range t.NumField() {
		f := t.Field(i)
		key := f.Tag.Get("key")
		if key == "" {
			continue
		}
		s := g.value(f.Type, f.Tag, defaults.Field(i))
		s["description"] = g.comment(t, f)
		if d, ok := shown(defaults.Field(i)); ok && f.Tag.Get("must") == "" {
			s["default"] = d
		}
		if f.Tag.Get("must") != "" {
			required = append(required, key)
		}
		props[key] = s
	}
	o := object{"type": "object", "additionalProperties": false, "properties": props}
	if len(required) > 0 {
		o["required"] = required
	}
	return o
}

func (g generator) comment(t reflect.Type, f reflect.StructField) string {
	c := g.comments[t.Name()+"."+f.Name]
	if c == "" {
		g.t.Errorf("%s.%s has no comment", t.Name(), f.Name)
	}
	return c
}

// element returns a zero value of a list's element with its defaults.
func element(t reflect.Type) reflect.Value {
	p := reflect.New(t)
	switch e := p.Interface().(type) {
	case *config.Listener, *config.Provider, *config.API:
		// They are made by loading a file that has one of each.
		v := reflect.ValueOf(minimal).Elem()
		for i := range v.NumField() {
			if f := v.Field(i); f.Kind() == reflect.Slice && f.Type().Elem() == t {
				return f.Index(0)
			}
		}
		panic(e)
	}
	return p.Elem()
}

// minimal is a file that says as little as it may.
var minimal = func() *config.Config {
	f, err := os.CreateTemp("", "sallyport-*.yaml")
	if err != nil {
		panic(err)
	}
	defer os.Remove(f.Name())
	f.WriteString(`{version: 1, listen: [{}], identity: [{name: a, issuer: "https://a.example", audiences: any, algorithms: any}],
		apis: [{name: a, contract: a.yaml, upstream: "http://127.0.0.1:1", mode: observe}]}`)
	f.Close()
	c, ds := config.Load(f.Name(), func(string) (string, bool) { return "", false })
	if len(ds) > 0 {
		panic(ds)
	}
	return c
}()

func (g generator) value(t reflect.Type, tag reflect.StructTag, def reflect.Value) object {
	switch t {
	case reflect.TypeFor[time.Duration]():
		return anyOf(object{"const": 0}, object{"type": "string", "pattern": policy.DurationPattern}, env)
	case reflect.TypeFor[config.Size]():
		least, most := number(tag.Get("min")), number(tag.Get("max"))
		return anyOf(object{"type": "integer", "minimum": least, "maximum": most},
			object{"type": "string", "pattern": policy.SizePattern}, env)
	case reflect.TypeFor[config.Path]():
		return object{"type": "string"}
	case reflect.TypeFor[config.Secret]():
		return object{"$ref": "#/$defs/secret"}
	case reflect.TypeFor[config.Names]():
		item := object{"type": "string"}
		if e := tag.Get("enum"); e != "" {
			item = anyOf(object{"enum": strings.Split(e, ",")}, env)
		}
		return anyOf(object{"const": "any"}, object{"type": "array", "minItems": 1, "uniqueItems": true, "items": item}, env)
	case reflect.TypeFor[policy.Mode]():
		return anyOf(object{"enum": strings.Split(tag.Get("enum"), ",")}, env)
	case reflect.TypeFor[*policy.Policy]():
		return object{"type": "array", "maxItems": policy.MaxEntries, "items": g.fields(policy.Fields())}
	case reflect.TypeFor[*url.URL]():
		return anyOf(object{"type": "string", "pattern": config.Forms["upstream"]}, env)
	case reflect.TypeFor[netip.Prefix]():
		return anyOf(object{"type": "string", "pattern": `^[0-9a-fA-F:.]+(/[0-9]{1,3})?$`}, env)
	}
	switch t.Kind() {
	case reflect.Struct:
		return g.structure(t, def)
	case reflect.Slice:
		list := object{"type": "array", "items": g.value(t.Elem(), tag, element(t.Elem()))}
		if tag.Get("must") != "" {
			list["minItems"] = 1
		}
		if tag.Get("alone") != "" {
			return anyOf(g.value(t.Elem(), tag, element(t.Elem())), list)
		}
		return list
	case reflect.Map:
		return object{"type": "object", "additionalProperties": object{"type": "string"}}
	case reflect.Pointer:
		return g.value(t.Elem(), tag, reflect.Zero(t.Elem()))
	case reflect.Bool:
		return anyOf(object{"enum": []any{true, false, "true", "false"}}, env)
	case reflect.Int:
		return anyOf(object{"type": "integer", "minimum": number(tag.Get("min")), "maximum": number(tag.Get("max"))},
			object{"type": "string", "pattern": "^[0-9]+$"}, env)
	case reflect.String:
		if e := tag.Get("enum"); e != "" {
			var words []any
			for w := range strings.SplitSeq(e, ",") {
				words = append(words, w)
				if f, err := strconv.ParseFloat(w, 64); err == nil { // YAML takes 1.2 for a number
					words = append(words, f)
				}
			}
			return anyOf(object{"enum": words}, env)
		}
		if f := tag.Get("form"); f != "" {
			return anyOf(object{"type": "string", "pattern": config.Forms[f]}, env)
		}
		return object{"type": "string"}
	}
	g.t.Fatalf("no schema for %v", t)
	return nil
}

func number(s string) int64 {
	n, err := strconv.ParseInt(s, 10, 64)
	if err != nil {
		panic(err)
	}
	return n
}

// fields is the schema of an object of the policy.
func (g generator) fields(fs []policy.Field) object {
	props := object{}
	var required []string
	for _, f := range fs {
		var s object
		switch {
		case f.Schema != "":
			if err := json.Unmarshal([]byte(f.Schema), &s); err != nil {
				g.t.Fatal(err)
			}
			s = withEnv(s)
		case f.List:
			s = object{"type": "array", "minItems": 1, "items": g.fields(f.Fields)}
		default:
			s = g.fields(f.Fields)
		}
		s["description"] = strings.ReplaceAll(f.Doc, "`", "")
		props[f.Name] = s
		if f.Required {
			required = append(required, f.Name)
		}
	}
	o := object{"type": "object", "additionalProperties": false, "properties": props}
	if required != nil {
		o["required"] = required
	}
	return o
}

// withEnv lets the environment stand for every value of a schema.
func withEnv(s object) object {
	if props, ok := s["properties"].(object); ok {
		for k, p := range props {
			props[k] = withEnv(p.(object))
		}
		return s
	}
	if items, ok := s["items"].(object); ok {
		s["items"] = withEnv(items)
		return s
	}
	if any, ok := s["anyOf"].([]any); ok {
		for i := range any {
			any[i] = withEnv(any[i].(object))
		}
		return s
	}
	return anyOf(s, env)
}

// shown returns a default as the file would say it, and whether there is one
// that is worth saying.
func shown(v reflect.Value) (any, bool) {
	if v.IsZero() && v.Kind() != reflect.Bool && v.Kind() != reflect.Int {
		if v.Type() == reflect.TypeFor[time.Duration]() {
			return "0", true
		}
		return nil, false
	}
	switch x := v.Interface().(type) {
	case time.Duration:
		return span(x), true
	case config.Size:
		return x.String(), true
	case string, bool:
		return x, true
	case int:
		return x, true
	}
	return nil, false
}

func span(d time.Duration) string {
	if d >= 48*time.Hour && d%(24*time.Hour) == 0 {
		return strconv.Itoa(int(d/(24*time.Hour))) + "d"
	}
	s := d.String()
	if strings.HasSuffix(s, "m0s") {
		s = strings.TrimSuffix(s, "0s")
	}
	if strings.HasSuffix(s, "h0m") {
		s = strings.TrimSuffix(s, "0m")
	}
	return s
}

// manual is docs/configuration.md.
func (g generator) manual() []byte {
	var b bytes.Buffer
	b.WriteString(`# The configuration file

<!-- Made by go generate ./config out of config/config.go and policy/decode.go. -->

` + "`sallyport run -c sallyport.yaml`" + ` reads one file, in YAML or JSON. ` + "`sallyport check -c sallyport.yaml`" + `
reads it and reports every fault, each with file, line and column.
` + "`sallyport config schema`" + ` prints the JSON Schema of the file, for editors.

- A key that is not known, or stands twice, is an error.
- Relative paths are meant from the folder of the file.
- In every value, never in a key, ` + "`${NAME}`" + ` is the environment's NAME, and
  ` + "`${NAME:-default}`" + ` is default where NAME is not set or empty; ` + "`$${`" + ` is a ` + "`${`" + ` that is meant
  as it is. It is put in after the file is parsed: whatever it holds stays one string. Inside
  ` + "`[ ]` and `{ }` write it in quotes" + `, since YAML takes its braces for its own.
- A secret is ` + "`${NAME}`" + ` or ` + "`{file: PATH}`" + `. Sallyport never prints one.
- Sizes are bytes, or a number with KiB, MiB or GiB. Time spans are written 250ms, 30s, 15m,
  1h, 7d.
- A file that cannot be used changes nothing: at a reload the old configuration stays.

## Example

` + "```yaml\n")
	example, err := os.ReadFile(exampleFile)
	if err != nil {
		g.t.Fatal(err)
	}
	if _, rest, ok := strings.Cut(string(example), "\n"); ok {
		b.WriteString(rest)
	}
	b.WriteString("```\n")

	root := reflect.TypeFor[config.Config]()
	def := reflect.ValueOf(*config.Default())
	b.WriteString("\n## The file\n\n" + head)
	var sections []int
	for i := range root.NumField() {
		f := root.Field(i)
		if f.Tag.Get("key") == "" {
			continue
		}
		g.row(&b, "", root, f, def.Field(i))
		if k := deref(f.Type).Kind(); k == reflect.Struct {
			sections = append(sections, i)
		}
	}
	for _, i := range sections {
		f := root.Field(i)
		key := f.Tag.Get("key")
		fmt.Fprintf(&b, "\n## `%s`\n\n%s\n", key, g.comment(root, f))
		if f.Type == reflect.TypeFor[*policy.Policy]() {
			b.WriteString("\nKeys that are left out set nothing: without a policy every control enforces what the contract\n" +
				"says, in the mode of its API.\n\n| key | value | meaning |\n|---|---|---|\n")
			policyRows(&b, "", policy.Fields())
			continue
		}
		b.WriteString("\n" + head)
		t := deref(f.Type)
		v := def.Field(i)
		if f.Type.Kind() == reflect.Slice {
			v = element(t)
		}
		g.rows(&b, "", t, v)
	}
	return b.Bytes()
}

const head = "| key | value | default | meaning |\n|---|---|---|---|\n"

// deref returns what a list or pointer is of.
func deref(t reflect.Type) reflect.Type {
	if t == reflect.TypeFor[*url.URL]() || t == reflect.TypeFor[netip.Prefix]() {
		return reflect.TypeFor[string]()
	}
	for t.Kind() == reflect.Slice || t.Kind() == reflect.Pointer {
		t = deref(t.Elem())
	}
	return t
}

func (g generator) rows(b *bytes.Buffer, prefix string, t reflect.Type, def reflect.Value) {
	for i := range t.NumField() {
		f := t.Field(i)
		key := f.Tag.Get("key")
		if key == "" {
			continue
		}
		g.row(b, prefix, t, f, def.Field(i))
		if f.Type.Kind() == reflect.Struct && f.Type != reflect.TypeFor[config.Names]() {
			g.rows(b, prefix+key+".", f.Type, def.Field(i))
		}
	}
}

func (g generator) row(b *bytes.Buffer, prefix string, t reflect.Type, f reflect.StructField, def reflect.Value) {
	d := ""
	if v, ok := shown(def); ok && f.Tag.Get("must") == "" {
		d = fmt.Sprintf("`%v`", v)
	}
	if f.Tag.Get("must") != "" {
		d = "required"
	}
	fmt.Fprintf(b, "| `%s%s` | %s | %s | %s |\n", prefix, f.Tag.Get("key"), words(f.Type, f.Tag), d, cell(g.comment(t, f)))
}

func cell(s string) string { return strings.ReplaceAll(s, "|", `\|`) }

// words say what a value is.
func words(t reflect.Type, tag reflect.StructTag) string {
	if e := tag.Get("enum"); e != "" && t != reflect.TypeFor[config.Names]() {
		ws := strings.Split(e, ",")
		return "`" + strings.Join(ws, "`, `") + "`"
	}
	between := func(least, most string) string { return ", " + least + " to " + most }
	switch t {
	case reflect.TypeFor[time.Duration]():
		return "time span" + between(tag.Get("min"), tag.Get("max"))
	case reflect.TypeFor[config.Size]():
		return "size" + between(config.Size(number(tag.Get("min"))).String(), config.Size(number(tag.Get("max"))).String())
	case reflect.TypeFor[config.Path]():
		return "path"
	case reflect.TypeFor[config.Secret]():
		return "secret"
	case reflect.TypeFor[config.Names]():
		if e := tag.Get("enum"); e != "" {
			return "`any`, or list of `" + strings.ReplaceAll(e, ",", "`, `") + "`"
		}
		return "`any`, or list of strings"
	case reflect.TypeFor[*policy.Policy]():
		return "list of entries"
	case reflect.TypeFor[*url.URL]():
		return "URL"
	case reflect.TypeFor[netip.Prefix]():
		return "network"
	}
	switch t.Kind() {
	case reflect.Struct:
		return "object"
	case reflect.Slice:
		one := words(t.Elem(), "")
		if tag.Get("alone") != "" {
			return one + ", or list of them"
		}
		return "list of " + one + "s"
	case reflect.Map:
		return "object of strings"
	case reflect.Pointer:
		return words(t.Elem(), tag)
	case reflect.Bool:
		return "boolean"
	case reflect.Int:
		return "integer" + between(tag.Get("min"), tag.Get("max"))
	}
	return "string"
}

func policyRows(b *bytes.Buffer, prefix string, fs []policy.Field) {
	for _, f := range fs {
		must := ""
		if f.Required {
			must = "Required. "
		}
		fmt.Fprintf(b, "| `%s%s` | %s | %s%s |\n", prefix, f.Name, f.Type, must, cell(f.Doc))
		policyRows(b, prefix+f.Name+".", f.Fields)
	}
}

// TestManualIsWhole: every key of the schema stands in the manual.
func TestManualIsWhole(t *testing.T) {
	manual, err := os.ReadFile(manualFile)
	if err != nil {
		t.Fatal(err)
	}
	var root map[string]any
	if err := json.Unmarshal(config.Schema(), &root); err != nil {
		t.Fatal(err)
	}
	n := 0
	var walk func(v any)
	walk = func(v any) {
		switch v := v.(type) {
		case map[string]any:
			props, _ := v["properties"].(map[string]any)
			for key := range props {
				if n++; !bytes.Contains(manual, []byte("`"+key+"`")) && !bytes.Contains(manual, []byte("."+key+"`")) && key != "file" {
					t.Errorf("the manual says nothing of %s", key)
				}
			}
			for _, w := range v {
				walk(w)
			}
		case []any:
			for _, w := range v {
				walk(w)
			}
		}
	}
	walk(root)
	if n < 100 && !*update {
		t.Errorf("the schema has %d keys", n)
	}
	if !slices.Contains(strings.Fields(string(manual)), "required") {
		t.Error("the manual does not say what is required")
	}
}
