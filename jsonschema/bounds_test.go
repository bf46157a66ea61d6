package jsonschema

import (
	"bytes"
	"fmt"
	"strconv"
	"strings"
	"testing"
)

// spent returns how many evaluations of a schema against a value a document
// takes, the measure of all that is not reading.
func spent(t *testing.T, s *Schema, doc string) int {
	t.Helper()
	e := newExec(s.eng)
	defer e.release()
	e.check(s.root, []byte(doc))
	if e.fault.keyword != "" {
		t.Fatal(e.fault)
	}
	return freeWork + e.eng.limits.Work*int(max(e.tape[0].aux, 1)) - e.work
}

func must(t testing.TB, schema string, opts Options) *Schema {
	t.Helper()
	s, err := Compile([]byte(schema), opts)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func TestNestedChoicesTakeLinearWork(t *testing.T) {
	// Each level chooses among branches that all contain the next level.
	build := func(branches, levels int) (schema, doc string) {
		var defs []string
		defs = append(defs, `"0":{"type":"object","properties":{"v":{"type":"integer"}},"required":["v"]}`)
		for l := 1; l <= levels; l++ {
			var bs []string
			for k := range branches {
				bs = append(bs, fmt.Sprintf(`{"properties":{"next":{"$ref":"#/$defs/%d"},"z":{"const":%d}},"required":["next","z"]}`, l-1, k))
			}
			defs = append(defs, fmt.Sprintf(`"%d":{"oneOf":[%s]}`, l, strings.Join(bs, ",")))
		}
		doc = `{"v":1}`
		for range levels {
			doc = fmt.Sprintf(`{"next":%s,"z":%d}`, doc, branches-1)
		}
		return fmt.Sprintf(`{"$ref":"#/$defs/%d","$defs":{%s}}`, levels, strings.Join(defs, ",")), doc
	}
	schema, doc := build(1, 6)
	s := must(t, schema, Options{})
	if !s.Valid([]byte(doc)) {
		t.Fatal("not valid with one branch")
	}
	one := spent(t, s, doc)
	schema, doc = build(20, 6)
	s = must(t, schema, Options{})
	if err := s.Validate([]byte(doc)); err != nil {
		t.Fatal("not valid with twenty branches: ", err)
	}
	twenty := spent(t, s, doc)
	t.Logf("one branch %d, twenty %d", one, twenty)
	if twenty > 20*one {
		t.Errorf("twenty branches take %d evaluations, one %d: more than 20 times", twenty, one)
	}
	// The same where marks must be made, branch by branch.
	var r Report
	if _, err := s.Filter(nil, []byte(doc), &Policy{Undeclared: Drop}, &r); err != nil {
		t.Error(err)
	}
}

func TestWorkIsBounded(t *testing.T) {
	s := must(t, `{"items":{"anyOf":[{"$ref":"#"},{"items":{"$ref":"#"}},{"items":{"items":{"$ref":"#"}}},{"not":{"items":{"$ref":"#"}}}]}}`,
		Options{Limits: Limits{Work: 1}})
	doc := strings.Repeat("[", 200) + strings.Repeat("]", 200)
	if s.Valid([]byte(doc)) != must(t, `true`, Options{}).Valid([]byte(doc)) {
		t.Error("200 levels of choices are too much work")
	}
	e := newExec(s.eng)
	defer e.release()
	e.parse([]byte(doc), &e.eng.limits)
	e.bits, e.work = append(e.bits[:0], 0), 10
	if e.eval(s.root, 0, 0); !e.over {
		t.Error("ten evaluations were enough for 200 levels")
	}
}

// What grows with the document must grow in proportion. Time is for the
// benchmarks; evaluations and memory do not depend on the machine.
func TestWorkGrowsInProportion(t *testing.T) {
	s := must(t, `{"items":{"type":"object","properties":{"a":{"type":"integer","minimum":0},"b":{"anyOf":[{"type":"null"},{"type":"string","minLength":1}]}},"required":["a"]}}`, Options{})
	build := func(n int) string { return "[" + strings.Repeat(`{"a":1,"b":"x","c":[true]},`, n-1) + `{"a":2}]` }
	small, large := spent(t, s, build(100)), spent(t, s, build(10_000))
	if float64(large) > 101*float64(small) {
		t.Errorf("100 elements take %d evaluations, 10,000 take %d", small, large)
	}
}

func TestHostileDocumentsAreRefusedEarly(t *testing.T) {
	var s Schema
	for name, doc := range map[string]string{
		"100,000 levels":          strings.Repeat("[", 100_000) + strings.Repeat("]", 100_000),
		"100,000 levels, open":    strings.Repeat(`{"a":`, 100_000),
		"a number of 2,000 bytes": strings.Repeat("1", 2000),
	} {
		err, _ := s.Validate([]byte(doc)).(*Error)
		if err == nil || err.Violations[0].Keyword != "limit" || err.Violations[0].Offset > 2000*6 {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestLimits(t *testing.T) {
	s := must(t, `true`, Options{Limits: Limits{Bytes: 100, Depth: 3, Members: 4, String: 10, Number: 5}})
	for doc, ok := range map[string]bool{
		`[[[]]]`: true, `[[[[]]]]`: false,
		`[1,2,3,4]`: true, `[1,2,3,4,5]`: false,
		`{"a":1,"b":2,"c":3,"d":4}`: true, `{"a":1,"b":2,"c":3,"d":4,"e":5}`: false,
		`"12345678"`: true, `"1234567890"`: false, `{"1234567890":1}`: false,
		`12345`: true, `123456`: false, `1.2e45`: false,
		`"` + strings.Repeat(" ", 100): false,
	} {
		if got := s.Valid([]byte(doc)); got != ok {
			t.Errorf("%s: %v", doc, got)
		}
	}
}

func TestStrictNumbers(t *testing.T) {
	s := must(t, `true`, Options{StrictNumbers: true})
	for doc, ok := range map[string]bool{
		"9007199254740992": true, "9007199254740993": false, "-9007199254740993": false, "0.1": true, "1e308": false,
		"1.5e300": false, "1e400": false, "1e-400": false, "0e999999": true, "123456789012345678901234567890": false,
		"3.141592653589793238": true, "1E3": true,
	} {
		// 1e308 is a whole number beyond 2^53, and so are others like it.
		if got := s.Valid([]byte(doc)); got != ok {
			t.Errorf("%s: %v", doc, got)
		}
	}
}

func TestManyNamesAndItems(t *testing.T) {
	var b bytes.Buffer
	b.WriteByte('{')
	for i := range 20_000 {
		if i > 0 {
			b.WriteByte(',')
		}
		fmt.Fprintf(&b, `"name%d":%d`, i, i)
	}
	names := b.String()
	var s Schema
	if err := s.Validate([]byte(names + "}")); err != nil {
		t.Error(err)
	}
	if err := s.Validate([]byte(names + `,"name1\u0037":0}`)); err == nil || !strings.Contains(err.Error(), "twice") {
		t.Error("a duplicate among 20,000: ", err)
	}
	b.Reset()
	b.WriteByte('[')
	for i := range 50_000 {
		b.WriteString(strconv.Itoa(i) + ",")
	}
	u := must(t, `{"uniqueItems":true}`, Options{})
	if err := u.Validate([]byte(b.String() + `-1]`)); err != nil {
		t.Error(err)
	}
	if err := u.Validate([]byte(b.String() + `7.0]`)); err == nil {
		t.Error("7 and 7.0 are equal")
	}
}

func BenchmarkHostile(b *testing.B) {
	run := func(name, schema, doc string) {
		s := must(b, schema, Options{})
		b.Run(name, func(b *testing.B) {
			b.SetBytes(int64(len(doc)))
			b.ReportAllocs()
			for b.Loop() {
				s.Valid([]byte(doc))
			}
		})
	}
	var names, items strings.Builder
	for i := range 20_000 {
		fmt.Fprintf(&names, `"name%d":%d,`, i, i)
	}
	for i := range 50_000 {
		fmt.Fprintf(&items, `%d,`, i)
	}
	run("20000 names", `{"properties":{"a":{}}}`, "{"+names.String()+`"z":0}`)
	run("50000 unique items", `{"uniqueItems":true}`, "["+items.String()+`-1]`)
	run("100000 levels", `true`, strings.Repeat("[", 100_000))
	run("backslashes", `true`, `"`+strings.Repeat(`\\`, 100_000)+`"`)
	run("escapes", `true`, `"`+strings.Repeat(`\u00e9`, 50_000)+`"`)
}

// BenchmarkSchemaSize validates one document against schemas with ever more
// properties: it must not matter.
func BenchmarkSchemaSize(b *testing.B) {
	for _, n := range []int{20, 200, 2000, 20_000} {
		var props strings.Builder
		doc := "{"
		for i := range n {
			if i > 0 {
				props.WriteByte(',')
			}
			fmt.Fprintf(&props, `"property_%d":{"type":"integer"}`, i)
			if i%(n/20) == 0 {
				if i > 0 {
					doc += ","
				}
				doc += fmt.Sprintf(`"property_%d":%d`, i, i)
			}
		}
		s := must(b, `{"properties":{`+props.String()+`}}`, Options{})
		d := []byte(doc + "}")
		b.Run(strconv.Itoa(n), func(b *testing.B) {
			for b.Loop() {
				if !s.Valid(d) {
					b.Fatal()
				}
			}
		})
	}
}

// BenchmarkDocumentSize validates documents of ever more elements.
func BenchmarkDocumentSize(b *testing.B) {
	s := must(b, `{"items":{"type":"object","properties":{"a":{"type":"integer","minimum":0},"b":{"type":"string"}},"required":["a"]}}`, Options{})
	for _, n := range []int{10, 100, 1000, 10_000} {
		d := []byte("[" + strings.Repeat(`{"a":1,"b":"some text"},`, n-1) + `{"a":2}]`)
		b.Run(strconv.Itoa(n), func(b *testing.B) {
			b.SetBytes(int64(len(d)))
			for b.Loop() {
				if !s.Valid(d) {
					b.Fatal()
				}
			}
		})
	}
}
