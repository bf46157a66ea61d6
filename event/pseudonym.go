package event

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base32"
	"hash"
	"sync"
)

// A Pseudonymizer gives each subject one name that does not tell who it is:
// the first 128 bits of HMAC-SHA256 (RFC 2104) under a key. Who has the key
// can find a subject's pseudonym again; who has not can neither go back nor
// test a guess. Its methods may be called at once.
type Pseudonymizer struct {
	hashes sync.Pool // of hash.Hash
}

// NewPseudonymizer returns a Pseudonymizer for a key. At least 16 random bytes
// are a key; a shorter one can be guessed.
func NewPseudonymizer(key []byte) *Pseudonymizer {
	key = append([]byte(nil), key...)
	return &Pseudonymizer{hashes: sync.Pool{New: func() any { return hmac.New(sha256.New, key) }}}
}

// encoding is base32 in lower case (RFC 4648 section 6): fit for file names
// and e-mail, and told apart when read aloud.
var encoding = base32.NewEncoding("abcdefghijklmnopqrstuvwxyz234567").WithPadding(base32.NoPadding)

// Of returns the pseudonym of a subject, 26 characters of a–z and 2–7. Nobody,
// the empty subject, has none.
func (p *Pseudonymizer) Of(subject string) string {
	if subject == "" {
		return ""
	}
	h := p.hashes.Get().(hash.Hash)
	defer p.hashes.Put(h)
	h.Reset()
	var buf [sha256.Size]byte
	h.Write([]byte(subject))
	sum := h.Sum(buf[:0])
	return encoding.EncodeToString(sum[:16])
}
