package sdk

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/sandlot-dev/sandlot/tests/harness"
)

// install runs fill in an empty folder of the cache, once for each content of the pin file, and returns the folder.
// An install that was cut short is done again.
func install(kind, pins string, fill func(dir string) error) (string, error) {
	data, err := os.ReadFile(pins)
	if err != nil {
		return "", err
	}
	sum := sha256.Sum256(append([]byte(kind+"\n"), data...))
	dir, err := harness.Cache("sdk", hex.EncodeToString(sum[:8]))
	if err != nil {
		return "", err
	}
	whole := filepath.Join(dir, ".whole")
	if _, err := os.Stat(whole); err == nil {
		return dir, nil
	}
	if err := os.RemoveAll(dir); err != nil {
		return "", err
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return "", err
	}
	if err := fill(dir); err != nil {
		return "", fmt.Errorf("installing %s: %w", filepath.Base(pins), err)
	}
	return dir, os.WriteFile(whole, nil, 0o644)
}

// Latest in place of a release installs the newest one there is, anew for each day.
const Latest = "latest"

// latest is install for what has no pins.
func latest(kind string, fill func(dir string) error) (string, error) {
	dir, err := harness.Cache("sdk", "latest")
	if err != nil {
		return "", err
	}
	pins := filepath.Join(dir, "pins-"+kind)
	if err := os.WriteFile(pins, []byte(time.Now().UTC().Format(time.DateOnly)), 0o644); err != nil {
		return "", err
	}
	return install(kind+" "+Latest, pins, fill)
}

// Python is the interpreter of a virtual environment with one release of the daytona package.
func Python(release string) (string, error) {
	fill := func(packages ...string) func(dir string) error {
		return func(dir string) error {
			if _, err := harness.Run(nil, nil, "python3", "-m", "venv", "--without-pip", dir); err != nil {
				return err
			}
			return pip(dir, packages...)
		}
	}
	if release == Latest {
		dir, err := latest("python", fill("daytona<1"))
		return filepath.Join(dir, "bin", "python"), err
	}
	pins := filepath.Join(folder(), "python", "requirements-"+release+".txt")
	dir, err := install("python", pins, fill("--no-deps", "-r", pins))
	return filepath.Join(dir, "bin", "python"), err
}

// pip installs packages into a virtual environment by uv, which takes 2 s where pip takes 25: environments share the
// files of the cache.
func pip(env string, packages ...string) error {
	pins := filepath.Join(folder(), "python", "uv.txt")
	uv, err := install("uv", pins, func(dir string) error {
		if _, err := harness.Run(nil, nil, "python3", "-m", "venv", dir); err != nil {
			return err
		}
		_, err := harness.Run(nil, nil, filepath.Join(dir, "bin", "pip"), "install", "-q", "-r", pins)
		return err
	})
	if err != nil {
		return err
	}
	cache, err := harness.Cache("sdk", "uv")
	if err != nil {
		return err
	}
	args := append([]string{
		"pip", "install", "-q", "--compile-bytecode", "--system-certs", "--cache-dir", cache,
		"--python", filepath.Join(env, "bin", "python"),
	}, packages...)
	_, err = harness.Run(nil, nil, filepath.Join(uv, "bin", "uv"), args...)
	return err
}

// TypeScript is a folder in which programs may import @daytona/sdk: the pinned release, or Latest.
func TypeScript(release string) (string, error) {
	if release == Latest {
		return latest("typescript", func(dir string) error {
			_, err := harness.Run(nil, nil, "npm", "install", "--prefix", dir, "--ignore-scripts", "--no-audit", "--no-fund",
				"--loglevel=error", "@daytona/sdk")
			return err
		})
	}
	return npm(filepath.Join(folder(), "typescript"))
}

// TypeScriptReleases is a folder in which programs may import daytona-{release} for each release of the matrix.
func TypeScriptReleases() (string, error) {
	return npm(filepath.Join(folder(), "typescript", "releases"))
}

// npm installs what the package.json and package-lock.json of a folder say.
func npm(from string) (string, error) {
	return install("typescript", filepath.Join(from, "package-lock.json"), func(dir string) error {
		for _, name := range []string{"package.json", "package-lock.json"} {
			data, err := os.ReadFile(filepath.Join(from, name))
			if err != nil {
				return err
			}
			if err := os.WriteFile(filepath.Join(dir, name), data, 0o644); err != nil {
				return err
			}
		}
		_, err := harness.Run(nil, nil, "npm", "ci", "--prefix", dir, "--ignore-scripts", "--no-audit", "--no-fund",
			"--loglevel=error")
		return err
	})
}

func folder() string { return filepath.Join(harness.Root(), "tests", "sdk") }
