package fault

import (
	"fmt"
	"runtime/debug"
)

// Recovered turns a panic in the function that defers it into an error with the stack in its text:
//
//	defer fault.Recovered(&err)
//
// It is for goroutines that process what hostile code wrote, where a panic would end the whole program. The error has
// no Kind: internal/serve logs it whole and answers 500 without its text.
func Recovered(err *error) {
	if p := recover(); p != nil {
		*err = fmt.Errorf("panic: %v\n%s", p, debug.Stack())
	}
}
