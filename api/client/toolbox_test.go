package client_test

import (
	"log/slog"
	"net/http/httptest"
	"os"
	"testing"

	"github.com/sandlot-dev/sandlot/api"
	"github.com/sandlot-dev/sandlot/api/client"
	"github.com/sandlot-dev/sandlot/internal/fault"
	"github.com/sandlot-dev/sandlot/internal/serve"
	"github.com/sandlot-dev/sandlot/process"
	"github.com/sandlot-dev/sandlot/toolbox"
)

// newToolbox serves a toolbox whose work dir is a new folder.
func newToolbox(t *testing.T) (box *client.Toolbox, dir string) {
	t.Helper()
	dir = t.TempDir()
	processes, err := process.NewManager(process.Config{Dir: dir, Env: append(os.Environ(), "HOME="+dir)})
	if err != nil {
		t.Fatal(err)
	}
	s, err := toolbox.New(toolbox.Config{
		WorkDir: dir, Home: "/", Version: "v0", Logger: slog.New(slog.DiscardHandler), Process: processes,
	})
	if err != nil {
		t.Fatal(err)
	}
	server := httptest.NewServer(s.Handler())
	t.Cleanup(func() {
		server.CloseClientConnections()
		server.Close()
		_ = processes.Close(0) // it ends what tests have left
	})
	return client.NewToolbox(server.URL+"/", nil, nil), dir
}

func TestToolboxTellsItsVersion(t *testing.T) {
	box, _ := newToolbox(t)
	if version, state, err := box.Version(t.Context()); version != "v0" || state != "" || err != nil {
		t.Errorf("version %q, state %q, %v", version, state, err)
	}
}

func TestCommandsAndCode(t *testing.T) {
	box, _ := newToolbox(t)
	res, err := box.Execute(t.Context(), api.ExecuteRequest{Command: "echo out; exit 3"})
	if err != nil || res.ExitCode != 3 || res.Result != "out\n" {
		t.Errorf("execute: %+v, %v", res, err)
	}
	res, err = box.RunCode(t.Context(), api.CodeRunRequest{Code: "print(6*7)", Language: "python"})
	if err != nil || res.ExitCode != 0 || res.Result != "42\n" {
		t.Errorf("code: %+v, %v", res, err)
	}
	_, err = box.Execute(t.Context(), api.ExecuteRequest{Command: "sleep 60", Timeout: 1})
	if fault.KindOf(serve.Received(err)) != fault.Timeout {
		t.Errorf("a command that takes too long: %v", err)
	}
}
