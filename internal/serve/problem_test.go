package serve_test

import (
	"bytes"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"syscall"
	"testing"

	"github.com/gin-gonic/gin"

	"github.com/sandlot-dev/sandlot/internal/fault"
	"github.com/sandlot-dev/sandlot/internal/serve"
)

// TestWhatNoCallerIsToBlameForIsLogged has errors of every kind. 501 and 502 are no failures of ours.
func TestWhatNoCallerIsToBlameForIsLogged(t *testing.T) {
	for kind := fault.Unknown; !strings.HasPrefix(kind.String(), "kind("); kind++ {
		var log bytes.Buffer
		f := serve.Face{Source: "S", Logger: slog.New(slog.NewTextHandler(&log, nil))}
		var err error = fault.Newf(kind, "the words: %w", syscall.EIO)
		if kind == fault.Unknown {
			err = fmt.Errorf("the words: %w", syscall.EIO)
		}
		e := f.NewEngine()
		e.GET("/x", f.Wrap(func(*gin.Context) error { return err }))
		w := httptest.NewRecorder()
		e.ServeHTTP(w, httptest.NewRequestWithContext(t.Context(), "GET", "/x", nil))
		if w.Code < 400 {
			t.Errorf("%v is answered with %d", kind, w.Code)
		}
		level := ""
		switch w.Code {
		case http.StatusInternalServerError:
			level = "level=ERROR"
		case http.StatusServiceUnavailable, http.StatusInsufficientStorage:
			level = "level=WARN"
		}
		if got := log.String(); !strings.Contains(got, level) || strings.Contains(got, "the words") != (level != "") ||
			strings.Count(got, "\n") > 1 {
			t.Errorf("%v, answered with %d, is logged as %q; want %q", kind, w.Code, got, level)
		}
	}
}
