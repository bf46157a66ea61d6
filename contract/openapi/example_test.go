package openapi_test

import (
	"fmt"

	"github.com/sallyport/sallyport/contract/openapi"
)

func ExampleLoad() {
	files := map[string]string{
		"shop.yaml": `openapi: 3.1.0
info: {title: Shop, version: "1"}
paths:
  /orders/{id}:
    get:
      operationId: getOrder
      responses: {"200": {$ref: common.yaml#/Order}}
`,
		"common.yaml": `Order:
  description: an order
  content: {application/json: {schema: {type: object}}, application/xml: {schema: {type: object}}}
`,
		"sallyport.overlay.yaml": `overlay: 1.0.0
info: {title: What protects the shop, version: "1"}
actions:
  - target: $.paths["/orders/{id}"].get
    update: {x-sallyport-owner: "response:/customer"}
`,
	}
	api, faults := openapi.Load("shop.yaml", openapi.Options{
		Overlays: []string{"sallyport.overlay.yaml"},
		ReadFile: func(path string) ([]byte, error) { return []byte(files[path]), nil },
	})
	fmt.Println(faults)
	for _, op := range api.Operations {
		fmt.Println(op.ID, op.Method, op.Path, op.Extensions["x-sallyport-owner"].Text())
		for _, r := range op.Responses {
			fmt.Println(r.Status, r.Content[0].Type, r.Content[0].Schema.Pos())
		}
	}
	// Output:
	// shop.yaml:4:3: warning: GET /orders/{id} does not declare the path parameter "id": every value is accepted
	// 	hint: declare it under parameters
	// common.yaml:3:75: warning: the schema of application/xml is not applied: XML is not read
	// getOrder GET /orders/{id} response:/customer
	// 200 application/json common.yaml:3:40
}
