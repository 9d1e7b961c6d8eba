package serve

import (
	"bytes"
	"encoding/json"
	"errors"
	"strings"

	"github.com/gin-gonic/gin"

	"github.com/sandlot-dev/sandlot/internal/fault"
)

// Decode reads the JSON body into v, a pointer to a struct, and checks its binding tags (see check). Content-Type is
// not looked at and unknown fields are ignored, as the published clients need (docs/wire.md, "Errors and answers").
// Errors: fault.Invalid with code INVALID_REQUEST_BODY that names the field, and those of Bodies.
func Decode(c *gin.Context, v any) error { return decode(c, v, false) }

// DecodeOptional is Decode for bodies that may be missing altogether; v is then left as it is, but checked.
func DecodeOptional(c *gin.Context, v any) error { return decode(c, v, true) }

func decode(c *gin.Context, v any, optional bool) error {
	bodies, ok := c.Value(bodiesKey).(*Bodies)
	if !ok { // an engine that is not of NewEngine
		bodies = defaultBodies
	}
	body, release, err := bodies.read(c)
	defer release()
	if err != nil {
		return err
	}
	if optional && len(bytes.TrimSpace(body[:min(len(body), 64)])) == 0 {
		body = []byte("{}")
	}
	if err := json.Unmarshal(body, v); err != nil {
		return explain(err, len(body))
	}
	return check(v)
}

func explain(err error, size int) error {
	var wrongType *json.UnmarshalTypeError
	var syntax *json.SyntaxError
	switch {
	case size == 0:
		return badBody("the body is empty; send a JSON object")
	case errors.As(err, &wrongType) && wrongType.Field == "":
		return badBody("the body is a JSON %s; send an object", wrongType.Value)
	case errors.As(err, &wrongType):
		want := plainType(wrongType.Type.Kind().String())
		return badBody("%s must be %s, not a JSON %s", wrongType.Field, want, wrongType.Value)
	case errors.As(err, &syntax):
		return badBody("the body is not JSON: %v at byte %d", err, syntax.Offset)
	}
	return badBody("%v", err)
}

func plainType(kind string) string {
	switch {
	case strings.HasPrefix(kind, "int"), strings.HasPrefix(kind, "uint"):
		return "a whole number"
	case strings.HasPrefix(kind, "float"):
		return "a number"
	case kind == "bool":
		return "true or false"
	case kind == "slice", kind == "array":
		return "a list"
	case kind == "map", kind == "struct":
		return "an object"
	}
	return "a " + kind
}

func badBody(format string, args ...any) error {
	return fault.Codef(fault.Invalid, "INVALID_REQUEST_BODY", format, args...)
}
