package classify

import "github.com/sallyport/sallyport/jsonschema"

// Detectors returns the detectors of the classes in the form that package
// jsonschema runs them in; the class of each is its index in classes. Classes
// that can only be declared are left out.
func Detectors(classes []string) []jsonschema.Detector {
	var ds []jsonschema.Detector
	for _, d := range detectors { // secrets first, whatever the order of classes
		for i, c := range classes {
			if c == d.Class {
				ds = append(ds, jsonschema.Detector{
					Class: i, Find: d.Find,
					Length: d.Need.Len, Digits: d.Need.Digits, Bytes: []byte(d.Need.Bytes), Run: d.Need.Run,
				})
			}
		}
	}
	return ds
}
