package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"github.com/google/uuid"
	"go.yaml.in/yaml/v3"

	"github.com/sandlot-dev/sandlot/internal/auth"
)

// loadKeys reads the keys of a data folder and makes what is missing.
func loadKeys(data string, cfg *config) (keys, error) {
	path := filepath.Join(data, keysFile)
	var k keys
	raw, err := os.ReadFile(path)
	if err == nil {
		err = yaml.Unmarshal(raw, &k)
	} else if errors.Is(err, fs.ErrNotExist) {
		err = nil
	}
	if err != nil {
		return keys{}, fmt.Errorf("%s: %w", path, err)
	}
	before := k
	fill := func(to *string, value func() string) {
		if *to == "" {
			*to = value()
		}
	}
	if cfg.APIKey != "" {
		k.API = cfg.APIKey
	}
	fill(&k.API, auth.NewKey)
	fill(&k.Secret, auth.NewKey)
	fill(&k.Runner, uuid.NewString)
	fill(&k.Label, func() string { return uuid.NewString()[:8] })
	if k.Began.IsZero() {
		k.Began = time.Now().UTC().Truncate(time.Second)
	}
	if cfg.Instance == "" {
		cfg.Instance = k.Label
	}
	if k == before {
		return k, nil
	}
	raw, err = yaml.Marshal(k)
	if err != nil {
		return keys{}, err
	}
	return k, writeWhole(path, raw)
}

// state is what a running server leaves for the commands that talk to it.
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

// readState tells whether a server runs on a data folder, and of one that runs its state: the process id alone, or not even that, while it
// starts.
func readState(data string) (s state, running bool, err error) {
	h, running, err := heldBy(data)
	if err != nil || !running {
		return s, running, err
	}
	raw, err := os.ReadFile(statePath(data))
	if err == nil {
		err = json.Unmarshal(raw, &s)
	}
	if errors.Is(err, fs.ErrNotExist) || err == nil && s.PID != h.PID { // that of a server before this one
		return state{PID: h.PID}, true, nil
	} else if err != nil {
		return s, true, fmt.Errorf("%s: %w", statePath(data), err)
	}
	return s, true, nil
}

// writeWhole replaces a file, which this user alone may read, so that a reader, or a crash, sees all of it or what was there before.
func writeWhole(path string, content []byte) error {
	f, err := os.CreateTemp(filepath.Dir(path), ".new-*") // with mode 0600
	if err != nil {
		return err
	}
	_, err = f.Write(content)
	err = errors.Join(err, f.Sync(), f.Close())
	if err == nil {
		err = os.Rename(f.Name(), path)
	}
	if err != nil {
		err = errors.Join(err, os.Remove(f.Name()))
	}
	return err
}
