package jsonschema

// A Handling says what becomes of a property that the contract does not ask for.
type Handling uint8

// Keep lets it pass, Drop cuts it out, Deny makes it a violation.
const (
	Keep Handling = iota
	Drop
	Deny
)

// A Decision is what Policy.Keep says about a captured value.
type Decision uint8

// The decisions. Stop is the zero value: who does not decide, stops.
const (
	Stop     Decision = iota // Filter returns ErrStopped
	DropItem                 // the element of the "*" array is cut out; the whole document stops where there is none
	KeepItem
)

// A Method is how a value is made unreadable. All methods but Hash and
// Replace keep the JSON type of the value: a string becomes "****", a number
// 0, a boolean false, an array or object empty.
type Method uint8

// The methods.
const (
	None    Method = iota // only counted
	Mask                  // "****"
	Last4                 // "****" and the last four characters, of strings with at least eight
	Hash                  // 16 hexadecimal digits of a keyed hash: equal values stay equal
	Remove                // the member or element is cut out; null at the root
	Replace               // With
)

// A Redaction is what happens to values of one data class.
type Redaction struct {
	How  Method
	With string // for Replace: the new value, as JSON
}

// A Detector looks for data of one class in strings. Its fields are read
// only, and Find is called by several goroutines at once.
type Detector struct {
	Class int // index into the policy's Redact and the compiler's Classes
	// Find looks for the first occurrence in a decoded string. It must not
	// keep or change s.
	Find func(s []byte) (start, end int, ok bool)
	// The prefilter: Find is called only for strings with all of this. Zero
	// fields ask for nothing.
	Length int    // bytes; what the other fields ask for counts too
	Digits int    // decimal digits
	Bytes  []byte // each of these bytes, at least once; at most 4 count
	// Literal must occur in the string: "eyJ", "-----BEGIN". Bytes and Literal
	// are the strongest filter: most documents do not have them at all.
	Literal string
	Run     int // letters, digits, '+', '/', '-' and '_' in a row
}

// A Policy says what of a document may pass. The zero Policy changes nothing.
// A Policy must not change while a Filter uses it.
type Policy struct {
	// Undeclared is what becomes of properties that no part of the schema
	// in force at their object names or allows. What additionalProperties,
	// patternProperties or unevaluatedProperties allow is declared; an
	// object whose schemas name no property at all is not judged. With Drop,
	// a property that additionalProperties: false refuses is dropped too, and
	// no violation.
	Undeclared Handling
	// ReadOnly is what becomes of readOnly properties where the schema is
	// compiled for Request, WriteOnly of writeOnly ones for Response.
	ReadOnly, WriteOnly Handling
	// Redact says by class index what happens to values whose schema names
	// the class, and to strings in which a Detector found it. Classes beyond
	// its end are let alone.
	Redact []Redaction
	// Key keys the hash of Hash. It should have 16 bytes or more.
	Key []byte
	// Detectors run over decoded string values, except those that the
	// schema rules out (enum, const, date-time, uuid and the like).
	Detectors []Detector
	// Keep decides about each value that WithCaptures asked for, in the
	// order of the document: raw is the value as written, and nil where an
	// element of the "*" array, or the document where there is none, lacks
	// it. It is called once for each element and capture.
	Keep func(capture int, raw []byte) Decision
	// Lenient lets a document that breaks its schema be filtered and
	// returned, together with the error.
	Lenient bool
	// Recheck validates the output again where it was changed, and sets
	// Report.Broken.
	Recheck bool
}

// A Captured is one value found by WithCaptures.
type Captured struct {
	Capture            int // index into the pointers
	Start, End         int // of the raw value in the document given, in bytes
	ItemStart, ItemEnd int // of the nearest enclosing element of a "*" array; both 0 where none
}

// A Named counts things and remembers where the first few are.
type Named struct {
	Count int
	// Pointers are JSON Pointers into the document given, at most 8. Filter
	// fills them only where it is given a Report.
	Pointers []string
}

// A Report says what Filter did. Filter resets it and uses its slices again,
// so one Report serves many calls after each other.
type Report struct {
	Changed    bool // out is not doc
	Undeclared Named
	ReadOnly   Named
	WriteOnly  Named
	Redacted   Named
	Found      Named   // by detectors, redacted or not
	ByClass    [64]int // redacted or found, by class; valid where Redacted or Found count any
	Dropped    int     // elements cut out because Keep said so
	Captured   []Captured
	Broken     bool // Policy.Recheck found that the output no longer fits the schema
}
