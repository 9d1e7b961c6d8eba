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
	"golang.org/x/sys/unix"

	"github.com/sandlot-dev/sandlot/internal/auth"
)

// errRunning is returned by lock when another process holds the data folder.
var errRunning = errors.New("another sandlot runs on this data folder")

// lock makes this process the only one on a data folder, which it makes if it is missing. The lock ends with the process.
func lock(data string) (*os.File, error) {
	if err := os.MkdirAll(data, 0o700); err != nil {
		return nil, fmt.Errorf("data folder: %w; choose another with --data", err)
	}
	f, err := os.OpenFile(filepath.Join(data, "lock"), os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, fmt.Errorf("data folder: %w; choose another with --data", err)
	}
	if err := unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB); err != nil {
		_ = f.Close() // nothing was written
		if errors.Is(err, unix.EWOULDBLOCK) {
			return nil, fmt.Errorf("%s: %w", data, errRunning)
		}
		return nil, fmt.Errorf("lock %s: %w", f.Name(), err)
	}
	return f, nil
}

// loadKeys reads the keys of a data folder and makes what is missing.
func loadKeys(data string, cfg *config) (keys, error) {
	path := filepath.Join(data, "keys.yaml")
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
	return k, writeWhole(path, raw, 0o600)
}

// state is what a running server leaves for the commands that talk to it.
type state struct {
	PID       int    `json:"pid"`
	APIURL    string `json:"apiUrl"`
	Dashboard string `json:"dashboardUrl"`
	Version   string `json:"version"`
}

func statePath(data string) string { return filepath.Join(data, "running.json") }

func writeState(data string, s state) error {
	raw, err := json.Marshal(s)
	if err != nil {
		return err
	}
	return writeWhole(statePath(data), raw, 0o644)
}

// readState returns the state of the server of a data folder and whether it runs.
func readState(data string) (state, bool, error) {
	var s state
	raw, err := os.ReadFile(statePath(data))
	if errors.Is(err, fs.ErrNotExist) {
		return s, false, nil
	} else if err != nil {
		return s, false, err
	}
	if err := json.Unmarshal(raw, &s); err != nil {
		return s, false, fmt.Errorf("%s: %w", statePath(data), err)
	}
	f, err := lock(data)
	if errors.Is(err, errRunning) {
		return s, true, nil
	} else if err != nil {
		return s, false, err
	}
	return s, false, f.Close()
}

// writeWhole replaces a file so that a reader, or a crash, sees all of it or what was there before.
func writeWhole(path string, content []byte, mode fs.FileMode) error {
	f, err := os.CreateTemp(filepath.Dir(path), ".new-*")
	if err != nil {
		return err
	}
	_, err = f.Write(content)
	err = errors.Join(err, f.Chmod(mode), f.Sync(), f.Close())
	if err == nil {
		err = os.Rename(f.Name(), path)
	}
	if err != nil {
		err = errors.Join(err, os.Remove(f.Name()))
	}
	return err
}
