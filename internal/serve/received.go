package serve

import (
	"errors"
	"strings"

	"github.com/sandlot-dev/sandlot/internal/fault"
)

// Received gives an error that another server of ours answered its kind and code back: it is the inverse of NewBody.
// The error tells its status and code by a method Answer, as those of api/client do; any other error is returned as
// it is.
//
// 500 becomes fault.Internal, also where the kind was fault.Unknown. A status that no kind has becomes
// fault.Upstream: it is not known who is to blame.
func Received(err error) error {
	var answered interface {
		error
		Answer() (status int, code string)
	}
	if !errors.As(err, &answered) {
		return err
	}
	status, code := answered.Answer()
	text := err.Error()
	if len(text) > maxMessage {
		text = strings.ToValidUTF8(text[:maxMessage], "") + "…"
	}
	return fault.Codef(kindOf(status), code, "%w", shortError{text, err})
}

// kindOf is the inverse of answers.
func kindOf(status int) fault.Kind {
	for kind, a := range answers {
		if a.status == status && kind != fault.Unknown {
			return kind
		}
	}
	return fault.Upstream
}
