package wire

// ValidHost reports whether h is an authority that the server takes as a Host.
// Doors that get their requests from elsewhere ask it, so that what is refused
// over HTTP/1.1 does not come in by another protocol.
func ValidHost(h []byte) bool { return validHost(h) }
