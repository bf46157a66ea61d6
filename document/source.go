package document

import "io"

// WriteSources writes the bytes that the document was read from, one source
// after the other: what a hash of the document should cover.
func (d *Document) WriteSources(w io.Writer) error {
	for _, s := range d.srcs {
		if _, err := io.WriteString(w, s.text); err != nil {
			return err
		}
	}
	return nil
}
