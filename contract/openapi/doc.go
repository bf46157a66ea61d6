// Package openapi compiles OpenAPI 3.0, 3.1 and 3.2, and Swagger 2.0, into
// [contract.API].
//
// [Load] reads a file and all that its references reach, applies Overlays to
// it first, and reports every fault with its place:
//
//	api, faults := openapi.Load("shop.yaml", openapi.Options{Overlays: []string{"sallyport.overlay.yaml"}})
//	if faults.Fatal() {
//		return faults
//	}
//
// Real contracts are sloppy. What is wrong but harmless is a warning, and the
// operation is guarded all the same; what the contract says and run time will
// not apply is a warning marked Unenforced. An operation that cannot be
// guarded is in API.Closed instead of API.Operations. Only a root that cannot
// be used stops the load.
//
// Schemas are not compiled here: they stay nodes of their documents, also
// where they are a reference, and package jsonschema resolves them by the URIs
// of API.Documents. A file's URI is "file://" and its absolute path. The
// package reads files, and never the network.
package openapi
