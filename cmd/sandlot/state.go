package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
)

// state is what a running server writes for the commands that talk to it.
type state struct {
	PID       int    `json:"pid"`
	APIURL    string `json:"apiUrl"`
	Dashboard string `json:"dashboardUrl"`
	Version   string `json:"version"`
}

func statePath(data string) string { return filepath.Join(data, runningFile) }

func writeState(data string, s state) error {
	raw, err := json.Marshal(s)
	if err != nil {
		return err
	}
	return writeWhole(statePath(data), raw)
}

// readState reports whether a server runs on a data folder, and returns its state: while it starts, the process id
// alone or nothing.
func readState(data string) (s state, running bool, err error) {
	h, running, err := heldBy(data)
	if err != nil || !running {
		return s, running, err
	}
	raw, err := os.ReadFile(statePath(data))
	if err == nil {
		err = json.Unmarshal(raw, &s)
	}
	if errors.Is(err, fs.ErrNotExist) || err == nil && s.PID != h.PID { // an earlier server has left it
		return state{PID: h.PID}, true, nil
	} else if err != nil {
		return s, true, fmt.Errorf("%s: %w", statePath(data), err)
	}
	return s, true, nil
}
