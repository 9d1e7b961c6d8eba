package main

import (
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

// keys are what an installation makes at its first start and keeps in its data folder, readable by its user alone.
type keys struct {
	API    string    `yaml:"api_key"`    // the first API key
	Secret string    `yaml:"runner_key"` // secrets of sandboxes are derived from it
	Runner string    `yaml:"runner_id"`
	Label  string    `yaml:"instance"`
	Began  time.Time `yaml:"began"`
}

// readKeys reads the keys of cfg's data folder and makes none. It sets the instance if cfg leaves it open.
// The error says what to do where there are no keys yet.
func readKeys(cfg *config) (keys, error) {
	k, path, err := storedKeys(cfg)
	if errors.Is(err, fs.ErrNotExist) {
		err = fmt.Errorf("there is no %s: start the server of this data folder first (sandlot up), "+
			"or name another with --data", path)
	}
	return k, err
}

// makeKeys reads the keys of cfg's data folder, makes the missing ones and stores them. An API key of the settings
// replaces the stored one. It sets the instance if cfg leaves it open.
func makeKeys(cfg *config) (keys, error) {
	k, path, err := storedKeys(cfg)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return k, err
	}
	stored := k
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
	fill(&cfg.Instance, func() string { return k.Label })
	if k.Began.IsZero() {
		k.Began = time.Now().UTC().Truncate(time.Second)
	}
	if k == stored {
		return k, nil
	}
	raw, err := yaml.Marshal(k)
	if err != nil {
		return keys{}, err
	}
	return k, writeWhole(path, raw)
}

// storedKeys reads the file of keys. It sets the instance if cfg leaves it open and the file has one.
// Error: fs.ErrNotExist if there is no file.
func storedKeys(cfg *config) (k keys, path string, err error) {
	path = filepath.Join(cfg.Data, keysFile)
	raw, err := os.ReadFile(path)
	if err != nil {
		return keys{}, path, fmt.Errorf("%s: %w", path, err)
	}
	if err := yaml.Unmarshal(raw, &k); err != nil {
		return keys{}, path, fmt.Errorf("%s: %w", path, err)
	}
	if cfg.Instance == "" {
		cfg.Instance = k.Label
	}
	return k, path, nil
}
