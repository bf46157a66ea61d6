// Package contract holds what the demo's operator wrote: the shop's OpenAPI
// contract and Sallyport's configuration for it. Both are ordinary files, to
// be read as examples; nothing in them is special to the demo but the
// addresses, which stand as ${NAME}.
package contract

import _ "embed"

// OpenAPI is the shop's contract, OpenAPI 3.1 in YAML.
//
//go:embed shop.openapi.yaml
var OpenAPI []byte

// Config is Sallyport's configuration for the shop. It names the contract as
// [File], and leaves LISTEN, ADMIN, ISSUER_URL and SHOP_URL to be filled in.
//
//go:embed sallyport.yaml
var Config []byte

// File is the name under which Config refers to OpenAPI.
const File = "shop.openapi.yaml"
