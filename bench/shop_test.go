package main

import (
	"bytes"
	"context"
	"encoding/json"
	"net/http"
	"strings"
	"testing"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/getkin/kin-openapi/openapi3filter"
	"github.com/getkin/kin-openapi/routers/gorillamux"
)

// The traffic has the sizes that the table names, is dense as an API's answers
// are, and keeps the contract, as a second reader of it sees.
func TestTrafficKeepsTheContract(t *testing.T) {
	doc, err := openapi3.NewLoader().LoadFromFile("shop.openapi.yaml")
	if err != nil {
		t.Fatal(err)
	}
	router, err := gorillamux.NewRouter(doc)
	if err != nil {
		t.Fatal(err)
	}
	options := &openapi3filter.Options{AuthenticationFunc: openapi3filter.NoopAuthenticationFunc, IncludeResponseStatus: true}
	sizes := map[string]int{"1k": 1 << 10, "10k": 10 << 10, "100k": 100 << 10, "post": 1 << 10}
	is, err := startIssuer()
	if err != nil {
		t.Fatal(err)
	}
	defer is.Close()
	tokens, err := is.tokens(2)
	if err != nil {
		t.Fatal(err)
	}
	for _, w := range workloads(tokens) {
		for _, ex := range w.exchanges {
			sized := ex.answer
			if len(ex.sent) > 0 {
				sized = ex.sent
			}
			if len(sized) != sizes[w.name] {
				t.Errorf("%s: %d bytes, want %d", w.name, len(sized), sizes[w.name])
			}
			if !json.Valid(sized) || len(sized)/bytes.Count(sized, []byte(":")) > 35 {
				t.Errorf("%s: not dense: %s", w.name, sized)
			}
			if n := len(ex.request) - len(ex.sent); n < 600 || n > 800 {
				t.Errorf("%s: a head of %d bytes, want about 700", w.name, n)
			}
			method, target, _ := strings.Cut(ex.target, " ")
			req, err := http.NewRequest(method, target, bytes.NewReader(ex.sent))
			if err != nil {
				t.Fatal(err)
			}
			req.Header.Set("Content-Type", "application/json")
			route, params, err := router.FindRoute(req)
			if err != nil {
				t.Fatalf("%s: %v", ex.target, err)
			}
			in := &openapi3filter.RequestValidationInput{Request: req, PathParams: params, Route: route, Options: options}
			if err := openapi3filter.ValidateRequest(context.Background(), in); err != nil {
				t.Errorf("%s: request: %v", ex.target, err)
			}
			out := &openapi3filter.ResponseValidationInput{RequestValidationInput: in, Status: ex.status,
				Header: http.Header{"Content-Type": {"application/json"}}, Options: options}
			out.SetBodyBytes(ex.answer)
			if err := openapi3filter.ValidateResponse(context.Background(), out); err != nil {
				t.Errorf("%s: response: %v", ex.target, err)
			}
		}
	}
}
