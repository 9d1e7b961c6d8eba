package serve

import (
	"fmt"
	"reflect"
	"strconv"
	"strings"
)

// check holds the fields of a struct against their binding tags: "required" (not the zero value), "min=N" and "max=N"
// (of a number, or of the length of anything else), "oneof=a b c". All faults are told in one error. Fields without a
// value are held to "required" alone. Why no library: docs/decisions/0003.
func check(v any) error {
	val := reflect.Indirect(reflect.ValueOf(v))
	if val.Kind() != reflect.Struct {
		return nil
	}
	var faults []string
	for _, f := range reflect.VisibleFields(val.Type()) {
		tag := f.Tag.Get("binding")
		if tag == "" {
			continue
		}
		name, _, _ := strings.Cut(f.Tag.Get("json"), ",")
		value := val.FieldByIndex(f.Index)
		for rule := range strings.SplitSeq(tag, ",") {
			if problem := broken(rule, value); problem != "" {
				faults = append(faults, name+" "+problem)
				break
			}
		}
	}
	if len(faults) > 0 {
		return badBody("%s", strings.Join(faults, ", "))
	}
	return nil
}

// broken says how a value breaks a rule, "" when it does not.
func broken(rule string, v reflect.Value) string {
	name, arg, _ := strings.Cut(rule, "=")
	if v.IsZero() {
		if name == "required" {
			return "is required"
		}
		return ""
	}
	v = reflect.Indirect(v)
	switch name {
	case "required":
		return ""
	case "oneof":
		for word := range strings.FieldsSeq(arg) {
			if fmt.Sprint(v.Interface()) == word {
				return ""
			}
		}
		return "must be one of " + strings.ReplaceAll(arg, " ", ", ")
	case "min":
		if size(v) < number(arg) {
			return "must be at least " + arg
		}
		return ""
	case "max":
		if size(v) > number(arg) {
			return "must be at most " + arg
		}
		return ""
	}
	panic("serve: no rule " + rule) // in a type's tag; Describe finds it
}

// knownRules panics if a binding tag of v's type has a rule that check does not know.
func knownRules(v any) {
	t := reflect.TypeOf(v)
	if t == nil || t.Kind() != reflect.Struct {
		return
	}
	for _, f := range reflect.VisibleFields(t) {
		for rule := range strings.FieldsFuncSeq(f.Tag.Get("binding"), func(r rune) bool { return r == ',' }) {
			switch name, arg, _ := strings.Cut(rule, "="); name {
			case "required", "oneof":
			case "min", "max":
				number(arg)
			default:
				panic(fmt.Sprintf("serve: %s.%s: no rule %s", t, f.Name, rule))
			}
		}
	}
}

// size is the value of a number and the length of anything else.
func size(v reflect.Value) int64 {
	switch {
	case v.CanInt():
		return v.Int()
	case v.CanUint():
		return int64(v.Uint())
	}
	return int64(v.Len())
}

func number(text string) int64 {
	n, err := strconv.ParseInt(text, 10, 64)
	if err != nil {
		panic("serve: no number " + text) // in a type's tag; Describe finds it
	}
	return n
}
