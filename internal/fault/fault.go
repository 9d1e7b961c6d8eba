package fault

import (
	"errors"
	"fmt"
)

// Kind says what sort of thing went wrong; internal/serve turns it into an HTTP status.
type Kind uint8

// The kinds. Unknown is what every error has that was not made here: a defect or an outside failure nobody classified.
const (
	Unknown         Kind = iota
	Invalid              // the caller's input is wrong; the same call cannot succeed
	Unauthenticated      // no credential, or one that is unknown or expired
	Forbidden            // the credential, or the operating system, does not allow it
	NotFound             // the named thing does not exist, or is not the caller's to see
	Conflict             // the named thing exists already, or is in a state that excludes the call
	Gone                 // the named thing existed and has ended for good
	Unprocessable        // well formed, but this kind of object cannot do it
	Timeout              // the work did not end in the time the caller gave it
	TooLarge             // the input is over a stated limit
	Limited              // the caller is over a rate or a quota
	Unavailable          // something the call needs is down; the same call may succeed later
	Full                 // no room on a disk the call needs
	Upstream             // another server, reached on the caller's behalf, failed
	NotBuilt             // the contract has it, this release does not
	BadRange             // the asked-for part lies outside of the thing
	Stale                // the thing is not as the caller's condition says it is
	Internal             // a failure of ours that the caller may be told in words
)

var kindNames = [...]string{
	"unknown", "invalid", "unauthenticated", "forbidden", "not found", "conflict", "gone", "unprocessable", "timeout",
	"too large", "limited", "unavailable", "full", "upstream", "not built", "bad range", "stale", "internal",
}

// String returns the kind in words.
func (k Kind) String() string {
	if int(k) < len(kindNames) {
		return kindNames[k]
	}
	return fmt.Sprintf("kind(%d)", uint8(k))
}

// Error is an error with a kind and, where the wire has one, a code.
//
// Msg is for callers: it names the act, the object and, where there is one, the fix, and ends with the cause's own
// words. It holds no secret. errors.Is and errors.As reach the cause.
type Error struct {
	Kind Kind
	Code string // wire code such as FILE_NOT_FOUND; "" lets internal/serve choose the kind's own
	Msg  string

	cause error
}

// Error returns the message.
func (e *Error) Error() string { return e.Msg }

// Unwrap returns the cause, nil when there is none.
func (e *Error) Unwrap() error { return e.cause }

// New returns a sentinel of one kind. Rooms keep these in package variables and wrap them with %w.
func New(kind Kind, msg string) error { return &Error{Kind: kind, Msg: msg} }

// Newf returns an error of one kind with a formatted message; %w sets its cause.
func Newf(kind Kind, format string, args ...any) error {
	return Codef(kind, "", format, args...)
}

// Codef is Newf with a wire code.
func Codef(kind Kind, code, format string, args ...any) error {
	err := fmt.Errorf(format, args...)
	return &Error{Kind: kind, Code: code, Msg: err.Error(), cause: errors.Unwrap(err)}
}

// KindOf returns the kind of the outermost Error in err's chain, Unknown when there is none.
func KindOf(err error) Kind {
	var e *Error
	if errors.As(err, &e) {
		return e.Kind
	}
	return Unknown
}

// CodeOf returns the first wire code in err's chain, "" when there is none.
func CodeOf(err error) string {
	for err != nil {
		var e *Error
		if !errors.As(err, &e) {
			return ""
		}
		if e.Code != "" {
			return e.Code
		}
		err = e.cause
	}
	return ""
}

// Retryable reports whether the same call may succeed later without any change by the caller.
func Retryable(err error) bool {
	switch KindOf(err) {
	case Timeout, Limited, Unavailable, Full, Upstream:
		return true
	default:
		return false
	}
}
