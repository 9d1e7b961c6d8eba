package client_test

import (
	"errors"
	"io"
	"strings"
	"testing"

	"github.com/sandlot-dev/sandlot/api"
	"github.com/sandlot-dev/sandlot/api/client"
	"github.com/sandlot-dev/sandlot/internal/fault"
	"github.com/sandlot-dev/sandlot/internal/serve"
)

func TestTerminals(t *testing.T) {
	box, dir := newToolbox(t)
	ctx := t.Context()
	if err := box.CreateTerminal(ctx, api.PtyCreateRequest{ID: "a terminal", Cols: 100, Rows: 30}); err != nil {
		t.Fatal(err)
	}
	if err := box.ResizeTerminal(ctx, "a terminal", 90, 20); err != nil {
		t.Error(err)
	}
	info, err := box.TerminalInfo(ctx, "a terminal")
	if err != nil || info.Cols != 90 || info.Rows != 20 || info.Cwd != dir || !info.Active {
		t.Errorf("info: %+v, %v", info, err)
	}
	if all, err := box.ListTerminals(ctx); err != nil || len(all) != 1 {
		t.Errorf("list: %+v, %v", all, err)
	}
	term, err := box.ConnectTerminal(ctx, "a terminal")
	if err != nil {
		t.Fatal(err)
	}
	defer term.Close()
	if _, ok := term.ExitCode(); ok {
		t.Error("a terminal that runs has an exit code")
	}
	if _, err := io.WriteString(term, "stty size; exit 7\r"); err != nil {
		t.Fatal(err)
	}
	out, err := io.ReadAll(term)
	if code, ok := term.ExitCode(); err != nil || !ok || code != 7 || !strings.Contains(string(out), "20 90") {
		t.Errorf("%q, exit code %d %v, %v", out, code, ok, err)
	}
	if n, err := term.Read(make([]byte, 1)); n != 0 || !errors.Is(err, io.EOF) {
		t.Errorf("behind its end: %d, %v", n, err)
	}
}

func TestATerminalIsDeletedWhileItIsRead(t *testing.T) {
	box, _ := newToolbox(t)
	if err := box.CreateTerminal(t.Context(), api.PtyCreateRequest{ID: "t"}); err != nil {
		t.Fatal(err)
	}
	term, err := box.ConnectTerminal(t.Context(), "t")
	if err != nil {
		t.Fatal(err)
	}
	defer term.Close()
	if err := box.DeleteTerminal(t.Context(), "t"); err != nil {
		t.Error(err)
	}
	if _, err := io.Copy(io.Discard, term); err != nil {
		t.Errorf("reading ended with %v", err)
	}
	if code, ok := term.ExitCode(); !ok || code <= 128 {
		t.Errorf("exit code %d, %v", code, ok)
	}
	_, err = box.ConnectTerminal(t.Context(), "t")
	refused, ok := errors.AsType[*client.Error](err)
	if !ok || fault.KindOf(serve.Received(err)) == fault.Unknown {
		t.Errorf("a terminal that is gone: %v, %v", refused, err)
	}
}
