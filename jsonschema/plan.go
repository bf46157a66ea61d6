package jsonschema

import (
	"encoding/binary"
	"sync/atomic"

	"github.com/sallyport/sallyport/document"
)

// A node is one compiled schema. Nodes form a graph, with cycles where
// schemas refer to themselves through properties or items. But for places they
// do not change once their compiler has linked them.
type node struct {
	types Types
	// gate are the types that may be valid by all that applies to the value.
	gate  Types
	flags nodeFlags
	// id is unique within the compiler. It keys the memo of combinators.
	id      uint32
	classes uint64 // data classes of the value
	obj     *objectPlan
	arr     *arrayPlan
	str     *stringPlan
	num     *numberPlan
	enum    *enumPlan
	app     *applicators
	src     document.Node
	places  atomic.Pointer[place] // what violations say, once they occur
	// ref is set while compiling for a schema that is nothing but a reference.
	ref *node
}

type nodeFlags uint16

const (
	// flagTypesOnly: nothing but types is to be checked, and nothing to be marked.
	flagTypesOnly nodeFlags = 1 << iota
	// flagHeavy: combinators are below at the same value, so verdicts are kept.
	flagHeavy
	// flagNullOK: null is valid whatever else is said (OpenAPI 3.0's nullable without type).
	flagNullOK
	// flagQuiet: strings of this schema hold nothing that a detector looks for.
	flagQuiet
	// flagOne: of the applicators at most one is in force, so no two schemas judge the same value.
	flagOne
	flagReadOnly
	flagWriteOnly
	// flagShortcut: all that the applicators say is a choice that a tag or the type decides.
)

// An objectPlan holds what is checked of an object.
type objectPlan struct {
	slots []slot // properties in their order, then names that are only required
	hot   []hot  // of each slot what simple objects need
	index []uint32
	// required are the slots that must be there; their numbers stand in slot.req.
	required   []uint32
	patterns   []patternProperty
	additional *node // nil: nothing is said
	closed     bool  // additional is false
	judged     bool  // properties are named, or allowed by pattern
	minProps   int
	maxProps   int // -1: no bound
	names      *node
	needs      []dependency
	uneval     *node
	declared   int // number of slots that are properties
	// simple: nothing but properties, required, counts and closed is said;
	// directed: some property is readOnly or writeOnly in this direction.
	simple, directed bool
}

// A slot is one name that a schema knows.
type slot struct {
	hash  uint32
	flags slotFlags
	// only are the types of a property of which nothing else is said, so that
	// its node need not be looked at; 0: look at child.
	only  Types
	req   uint16 // 1 + index into required; 0: not required
	child *node  // nil: only named
	a, b  uint64 // the bytes of a name of up to 16
	name  string
}

func newSlot(name string) slot {
	s := slot{hash: hashBytes([]byte(name)), name: name}
	if len(name) <= 16 {
		s.a, s.b = pack([]byte(name))
	}
	return s
}

// A hot is what must be known of a slot where the document has it and all is
// well. Large plans do not fit into the caches, so it is small.
type hot struct {
	a, b uint64
	hash uint32
	size uint8 // of the name; 17: it is longer than 16, and only in the slot
	only Types
	req  uint8 // 1: required
}

func (s *slot) hot() hot {
	return hot{s.a, s.b, s.hash, uint8(min(len(s.name), 17)), s.only, uint8(min(s.req, 1))}
}

// is reports whether the decoded name doc[from:to] is the one of a slot. The
// hashes are equal.
func (h *hot) is(s *slot, doc []byte, from, to uint32) bool {
	n := to - from
	if n > 16 || int(from)+16 > len(doc) {
		return s.name == string(doc[from:to])
	}
	m := &masks[n]
	return n == uint32(h.size) && binary.LittleEndian.Uint64(doc[from:])&m[0] == h.a && binary.LittleEndian.Uint64(doc[from+8:])&m[1] == h.b
}

// is reports whether the decoded name doc[from:to] is this one.
func (s *slot) is(doc []byte, from, to uint32) bool {
	n := int(to - from)
	if n != len(s.name) {
		return false
	}
	if n > 16 {
		return s.name == string(doc[from:to])
	}
	if int(from)+16 <= len(doc) {
		m := &masks[n]
		return binary.LittleEndian.Uint64(doc[from:])&m[0] == s.a && binary.LittleEndian.Uint64(doc[from+8:])&m[1] == s.b
	}
	return s.name == string(doc[from:to])
}

type slotFlags uint8

const (
	slotReadOnly slotFlags = 1 << iota
	slotWriteOnly
	slotTrigger // a dependency hangs on it
)

type patternProperty struct {
	re    *pattern
	child *node
}

// A dependency is dependentRequired or dependentSchemas of one name.
type dependency struct {
	slot   uint32
	need   []uint32 // slots
	schema *node
}

// An arrayPlan holds what is checked of an array.
type arrayPlan struct {
	prefix      []*node
	items       *node
	minItems    int
	maxItems    int // -1: no bound
	unique      bool
	contains    *node
	minContains int
	maxContains int // -1: no bound
	uneval      *node
}

// A stringPlan holds what is checked of a string.
type stringPlan struct {
	minLen, maxLen int // in code points; -1: no upper bound
	pattern        *pattern
	format         *format
}

// A bound is one limit of a number.
type bound struct {
	keyword   keyword
	lower     bool
	exclusive bool
	isInt     bool // whole, with at most 18 digits
	i         int64
	d         decimal
}

// A numberPlan holds what is checked of a number.
type numberPlan struct {
	bounds   []bound
	divisors []divisor
	format   *format
}

// An enumPlan holds the values of enum or const.
type enumPlan struct {
	null, yes, no bool
	strings       []string
	hashes        []uint32
	index         []uint32 // of strings, where there are many
	ints          []int64
	others        []sample // numbers, arrays, objects
	keyword       keyword
	also          *enumPlan // const beside enum
}

// A sample is a value of a schema, parsed.
type sample struct {
	doc  []byte
	tape []token
}

// applicators hold the schemas that apply to the value itself.
type applicators struct {
	all  []*node // allOf, $ref, $dynamicRef
	any  []*node
	one  []*node
	not  *node
	cond *node
	then *node
	els  *node
	tag  *tagPlan
}

// A tagPlan is a discriminator: the value of one property says which branch of
// oneOf or anyOf applies.
type tagPlan struct {
	name   string
	hash   uint32
	values []string
	hashes []uint32
	nodes  []*node
}

// find returns the slot of a name, or -1.
func (o *objectPlan) find(h uint32, name []byte) int {
	if len(o.index) == 0 {
		return -1
	}
	mask := uint32(len(o.index) - 1)
	for i := h & mask; ; i = (i + 1) & mask {
		k := o.index[i]
		if k == 0 {
			return -1
		}
		if s := &o.slots[k-1]; s.hash == h && s.name == string(name) {
			return int(k - 1)
		}
	}
}

func buildIndex(n int, hash func(i int) uint32) []uint32 {
	size := uint32(4)
	for size < 2*uint32(n) {
		size *= 2
	}
	index := make([]uint32, size)
	for i := range n {
		at := hash(i) & (size - 1)
		for index[at] != 0 {
			at = (at + 1) & (size - 1)
		}
		index[at] = uint32(i + 1)
	}
	return index
}

// An engine is what all schemas of one compiler share.
type engine struct {
	limits  Limits
	draft4  bool
	strict  bool
	maxNode uint32
}

const (
	maxDepth     = 10_000
	freeWork     = 100_000
	defaultDepth = 512
)

func (l Limits) withDefaults() Limits {
	set := func(v *int, d int) {
		if *v <= 0 {
			*v = d
		}
	}
	set(&l.Bytes, 64<<20)
	set(&l.Depth, defaultDepth)
	set(&l.Members, maxCount)
	set(&l.String, 1<<31-1)
	set(&l.Number, 1000)
	set(&l.Errors, 16)
	set(&l.Work, 2000)
	l.Bytes = min(l.Bytes, 1<<31-1)
	l.Depth = min(l.Depth, maxDepth)
	l.Members = min(l.Members, maxCount)
	return l
}

var defaultEngine = &engine{limits: Limits{}.withDefaults()}

// A keyword is the part of a schema that a violation names.
type keyword uint8

const (
	kwNone keyword = iota
	kwFalse
	kwType
	kwEnum
	kwConst
	kwMultipleOf
	kwMaximum
	kwExclusiveMaximum
	kwMinimum
	kwExclusiveMinimum
	kwMaxLength
	kwMinLength
	kwPattern
	kwFormat
	kwProperties
	kwAdditionalProperties
	kwPropertyNames
	kwRequired
	kwMinProperties
	kwMaxProperties
	kwDependentRequired
	kwDependentSchemas
	kwDependencies
	kwMinItems
	kwMaxItems
	kwUniqueItems
	kwContains
	kwMinContains
	kwMaxContains
	kwAllOf
	kwAnyOf
	kwOneOf
	kwNot
	kwIf
	kwThen
	kwElse
	kwRef
	kwDynamicRef
	kwUnevaluatedProperties
	kwUnevaluatedItems
	kwDiscriminator
	kwUndeclared
	kwReadOnly
	kwWriteOnly
)

var keywordNames = [...]string{
	kwNone: "", kwFalse: "false", kwType: "type", kwEnum: "enum", kwConst: "const",
	kwMultipleOf: "multipleOf", kwMaximum: "maximum", kwExclusiveMaximum: "exclusiveMaximum",
	kwMinimum: "minimum", kwExclusiveMinimum: "exclusiveMinimum",
	kwMaxLength: "maxLength", kwMinLength: "minLength", kwPattern: "pattern", kwFormat: "format",
	kwProperties: "properties", kwAdditionalProperties: "additionalProperties",
	kwPropertyNames: "propertyNames", kwRequired: "required",
	kwMinProperties: "minProperties", kwMaxProperties: "maxProperties",
	kwDependentRequired: "dependentRequired", kwDependentSchemas: "dependentSchemas",
	kwDependencies: "dependencies", kwMinItems: "minItems", kwMaxItems: "maxItems",
	kwUniqueItems: "uniqueItems", kwContains: "contains", kwMinContains: "minContains",
	kwMaxContains: "maxContains", kwAllOf: "allOf", kwAnyOf: "anyOf", kwOneOf: "oneOf",
	kwNot: "not", kwIf: "if", kwThen: "then", kwElse: "else", kwRef: "$ref",
	kwDynamicRef: "$dynamicRef", kwUnevaluatedProperties: "unevaluatedProperties",
	kwUnevaluatedItems: "unevaluatedItems", kwDiscriminator: "discriminator",
	kwUndeclared: "undeclared", kwReadOnly: "readOnly", kwWriteOnly: "writeOnly",
}

func (k keyword) String() string { return keywordNames[k] }
