package git

import (
	"bytes"
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	format "github.com/go-git/go-git/v5/plumbing/format/config"

	"github.com/sandlot-dev/sandlot/internal/fault"
)

// splitKey splits section.sub.section.name at its first and its last dot.
func splitKey(key string) (section, sub, name string, err error) {
	first, last := strings.IndexByte(key, '.'), strings.LastIndexByte(key, '.')
	if first <= 0 || last == len(key)-1 || strings.ContainsAny(key, "\n\x00 ") || strings.HasPrefix(key, "-") {
		return "", "", "", fault.Newf(fault.Invalid, "git config: %q is not a key such as user.name", key)
	}
	if last > first {
		sub = key[first+1 : last]
	}
	return key[:first], sub, key[last+1:], nil
}

// configFile is the file of a scope.
func (l library) configFile(scope, path string) (string, error) {
	switch scope {
	case "local":
		if _, err := l.open(path); err != nil {
			return "", err
		}
		for _, name := range []string{".git/config", "config"} {
			file := filepath.Join(absolute(l.processes, path), name)
			if _, err := os.Stat(file); err == nil {
				return file, nil
			}
		}
		return "", ErrNoGit // a linked work tree
	case "global":
		if home := variable(l.processes, "HOME"); home != "" {
			return filepath.Join(home, ".gitconfig"), nil
		}
	}
	return "", ErrNoGit
}

func readConfig(file string) (*format.Config, error) {
	cfg := format.New()
	data, err := os.ReadFile(file)
	if errors.Is(err, fs.ErrNotExist) {
		return cfg, nil
	}
	if err == nil {
		if err = format.NewDecoder(bytes.NewReader(data)).Decode(cfg); err != nil {
			return nil, fault.Newf(fault.Invalid, "git config: bad config in file %s: %w", file, err)
		}
	}
	return cfg, libraryError("config", err)
}

func (l library) getConfig(_ context.Context, scope, path, key string) (*string, error) {
	section, sub, name, err := splitKey(key)
	if err != nil {
		return nil, err
	}
	file, err := l.configFile(scope, path)
	if err != nil {
		return nil, err
	}
	cfg, err := readConfig(file)
	if err != nil || !cfg.HasSection(section) {
		return nil, err
	}
	options := cfg.Section(section).Options
	if sub != "" {
		if !cfg.Section(section).HasSubsection(sub) {
			return nil, nil
		}
		options = cfg.Section(section).Subsection(sub).Options
	}
	if !options.Has(name) {
		return nil, nil
	}
	value := options.Get(name)
	return &value, nil
}

func (l library) setConfig(_ context.Context, scope, path string, pairs [][2]string) error {
	file, err := l.configFile(scope, path)
	if err != nil {
		return err
	}
	cfg, err := readConfig(file)
	if err != nil {
		return err
	}
	for _, p := range pairs {
		section, sub, name, err := splitKey(p[0])
		if err != nil {
			return err
		}
		if strings.Contains(p[1], "\x00") {
			return fault.Newf(fault.Invalid, "git config: the value of %s holds a NUL byte", p[0])
		}
		cfg.SetOption(section, sub, name, p[1])
	}
	var out bytes.Buffer
	if err := format.NewEncoder(&out).Encode(cfg); err != nil {
		return libraryError("config", err)
	}
	temp := file + ".lock" // the name git itself takes, and respects
	f, err := os.OpenFile(temp, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o644)
	if errors.Is(err, fs.ErrExist) {
		return fault.Newf(fault.Conflict,
			"git config: %s exists: another git is at work, or one was killed; remove the file then", temp)
	}
	if err != nil {
		return libraryError("config", err)
	}
	_, err = f.Write(out.Bytes())
	if err = errors.Join(err, f.Close()); err == nil {
		err = os.Rename(temp, file)
	}
	if err != nil {
		_ = os.Remove(temp) // the write's error is returned
	}
	return libraryError("config", err)
}

func (l library) storeCredentials(context.Context, string, string, Credentials) error {
	return ErrNoGit
}
