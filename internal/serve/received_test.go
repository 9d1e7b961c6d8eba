package serve_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/sandlot-dev/sandlot/api/client"
	"github.com/sandlot-dev/sandlot/internal/fault"
	"github.com/sandlot-dev/sandlot/internal/serve"
)

// TestAnErrorKeepsItsKindOverHTTP answers an error of every kind to our client.
func TestAnErrorKeepsItsKindOverHTTP(t *testing.T) {
	for kind := fault.Unknown; !strings.HasPrefix(kind.String(), "kind("); kind++ {
		for _, code := range []string{"", "SOME_CODE"} {
			err := fault.Codef(kind, code, "the words")
			want := kind
			if kind == fault.Unknown {
				want = fault.Internal
			}
			server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				serve.Answer(w, serve.NewBody("S", r, err))
			}))
			_, answered := client.New(server.URL, "").Get(t.Context(), "x")
			server.Close()
			got := serve.Received(fmt.Errorf("get x: %w", answered))
			if fault.KindOf(got) != want || code != "" && fault.CodeOf(got) != code {
				t.Errorf("%v with code %q became %v with %q", kind, code, fault.KindOf(got), fault.CodeOf(got))
			}
			if fault.Retryable(got) != fault.Retryable(fault.New(want, "")) {
				t.Errorf("%v may be tried again: %v", kind, fault.Retryable(got))
			}
			if kind != fault.Unknown && got.Error() != "get x: the words" {
				t.Errorf("%v says %q", kind, got)
			}
			if refused, ok := errors.AsType[*client.Error](got); !ok || refused.StatusCode < 400 {
				t.Errorf("%v: the answer is not in the chain of %v", kind, got)
			}
		}
	}
}

func TestWhatNoServerOfOursAnswersBlamesNobody(t *testing.T) {
	for _, status := range []int{302, 400 + 18, 599} {
		got := serve.Received(&client.Error{StatusCode: status, Message: strings.Repeat("x", 1<<20)})
		if fault.KindOf(got) != fault.Upstream || len(got.Error()) > 10<<10 {
			t.Errorf("%d became %v in %d bytes", status, fault.KindOf(got), len(got.Error()))
		}
	}
	for _, err := range []error{nil, io.EOF, &json.SyntaxError{}} {
		if got := serve.Received(err); got != err { //nolint:errorlint // it is the same value
			t.Errorf("%v became %v", err, got)
		}
	}
}
