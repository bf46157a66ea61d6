// Package classify tells what kind of data a text holds: an e-mail address, a
// payment card, a private key, the stack trace of a server.
//
// A [Detector] finds values of one class in a text. Detectors are made for
// texts that are mostly innocent, so they ask for proof rather than for a
// likeness: checksums, prefixes that were issued, lengths that a country
// allows, and the borders of a token on both sides. They allocate nothing, may
// be used at once by any number of goroutines, and never keep what they read.
//
// What a detector does not find may still be personal data: a class that a
// contract declares (x-sallyport-class) needs no detector.
package classify

import "bytes"

// The names of data classes, as contracts and policies write them.
const (
	Email       = "personal.email"
	Phone       = "personal.phone"
	SSN         = "personal.ssn" // of the United States
	Name        = "personal.name"
	Address     = "personal.address"
	BirthDate   = "personal.birth_date"
	NationalID  = "personal.national_id"
	PassportNo  = "personal.passport"
	Location    = "personal.location"
	Health      = "personal.health"
	Biometric   = "personal.biometric"
	Gender      = "personal.gender"
	Religion    = "personal.religion"
	IPAddress   = "personal.ip_address"
	DeviceID    = "personal.device_id"
	Card        = "payment.card"
	CardCode    = "payment.card_code"
	IBAN        = "payment.iban"
	BankAccount = "payment.bank_account"
	Salary      = "payment.salary"

	JWT          = "credential.jwt"
	PrivateKey   = "credential.private_key"
	PasswordHash = "credential.password_hash"
	Password     = "credential.password"
	APIKey       = "credential.api_key"
	SessionID    = "credential.session"
	OneTimeCode  = "credential.otp"
	URLPassword  = "credential.url" // a URL that holds a password
)

// A Class is one line of the table of data classes.
type Class struct {
	Name  string
	About string
	// Secret is set where a value gives access by itself, so that it should
	// leave a server to nobody.
	Secret bool
}

// classes is the one table of data classes. Names are never changed.
var classes = []Class{
	{Email, "an e-mail address", false},
	{Phone, "a telephone number", false},
	{SSN, "a US social security number", false},
	{Name, "the name of a person", false},
	{Address, "a postal address", false},
	{BirthDate, "a date of birth", false},
	{NationalID, "a national identity or tax number", false},
	{PassportNo, "the number of a passport or driving licence", false},
	{Location, "where a person is or was", false},
	{Health, "the health of a person", false},
	{Biometric, "a fingerprint, face or voice", false},
	{Gender, "gender or orientation", false},
	{Religion, "religion, belief or political opinion", false},
	{IPAddress, "a caller's network address", false},
	{DeviceID, "the identifier of a person's device", false},
	{Card, "a payment card number", false},
	{CardCode, "a card's verification code", true},
	{IBAN, "an international bank account number", false},
	{BankAccount, "a national bank account number", false},
	{Salary, "what a person earns or owns", false},
	{JWT, "a JSON Web Token", true},
	{PrivateKey, "a private key", true},
	{PasswordHash, "the hash of a password", true},
	{Password, "a password", true},
	{APIKey, "an API key or access token of a known service", true},
	{SessionID, "a session identifier", true},
	{OneTimeCode, "a one-time code", true},
	{URLPassword, "a URL that holds a password", true},
}

// Classes returns the table of data classes.
func Classes() []Class { return append([]Class(nil), classes...) }

// Known returns the line of a class. The name of a group, such as "personal",
// is no class.
func Known(name string) (Class, bool) {
	for _, c := range classes {
		if c.Name == name {
			return c, true
		}
	}
	return Class{}, false
}

// A Need is what a text must hold for a detector to be worth asking. It is
// cheap to test while a text is read, and never rules out a text in which the
// detector would find something.
type Need struct {
	Len    int    // at least so many bytes
	Digits int    // at least so many ASCII digits
	Bytes  string // each of these bytes; at most 4
	Run    int    // so many letters, digits, '+', '/', '-' and '_' in a row
	// Literal must occur as it stands.
	Literal string
}

// Met reports whether s holds what n asks for.
func (n Need) Met(s []byte) bool {
	if len(s) < n.Len {
		return false
	}
	for i := 0; i < len(n.Bytes); i++ {
		if bytes.IndexByte(s, n.Bytes[i]) < 0 {
			return false
		}
	}
	if n.Literal != "" && !bytes.Contains(s, []byte(n.Literal)) {
		return false
	}
	if n.Digits == 0 && n.Run == 0 {
		return true
	}
	d, run, longest := 0, 0, 0
	for _, c := range s {
		if isDigit(c) {
			d++
		}
		if isBase64URL(c) || c == '+' || c == '/' {
			run++
			longest = max(longest, run)
		} else {
			run = 0
		}
		if d >= n.Digits && longest >= n.Run {
			return true
		}
	}
	return false
}

// A Detector finds the values of one class.
type Detector struct {
	Class string
	Need  Need
	// Find returns the first value in s as s[start:end]. To find them all,
	// go on behind end, which always stands on the border of a token.
	Find func(s []byte) (start, end int, ok bool)
}

// detectors is the table of all detectors, secrets first: where two would
// find the same bytes, the earlier has them.
var detectors = []Detector{
	{PrivateKey, Need{Len: 28, Bytes: "-B"}, findPrivateKey},
	{JWT, Need{Len: 20, Bytes: ".", Literal: "eyJ", Run: 10}, findJWT},
	{PasswordHash, Need{Len: 24, Bytes: "$"}, findPasswordHash},
	{APIKey, Need{Len: 20, Run: 16}, findAPIKey},
	{URLPassword, Need{Len: 8, Bytes: ":/@"}, findURLPassword},
	{Card, Need{Len: 14, Digits: 14}, findCard},
	{IBAN, Need{Len: 15, Digits: 8}, findIBAN},
	{SSN, Need{Len: 11, Digits: 9, Bytes: "-"}, findSSN},
	{Phone, Need{Len: 9, Digits: 8, Bytes: "+"}, findPhone},
	{Email, Need{Len: 6, Bytes: "@."}, findEmail},
}

// All returns every detector, secrets first.
func All() []Detector { return append([]Detector(nil), detectors...) }

// For returns the detector of a class; ok is false where the class can only
// be declared, not detected.
func For(class string) (d Detector, ok bool) {
	for _, d := range detectors {
		if d.Class == class {
			return d, true
		}
	}
	return Detector{}, false
}

// Find asks every detector whose need is met and returns the class of the
// first that finds something, and where.
func Find(s []byte) (class string, start, end int, ok bool) {
	for i := range detectors {
		d := &detectors[i]
		if !d.Need.Met(s) {
			continue
		}
		if start, end, ok := d.Find(s); ok {
			return d.Class, start, end, true
		}
	}
	return "", 0, 0, false
}
