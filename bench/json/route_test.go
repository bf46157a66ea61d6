package json_test

import (
	"github.com/getkin/kin-openapi/openapi3"
	"github.com/getkin/kin-openapi/routers"
)

func route(t *openapi3.T, s sample, op *openapi3.Operation) *routers.Route {
	return &routers.Route{Spec: t, Path: s.path, PathItem: t.Paths.Value(s.path), Method: s.method, Operation: op}
}
