package config

// Forms are the patterns of strings, for the generator of the JSON Schema.
var Forms = func() map[string]string {
	m := make(map[string]string, len(forms))
	for name, f := range forms {
		m[name] = f.pattern
	}
	return m
}()

// Parse is Load of what has been read already.
var Parse = parse
