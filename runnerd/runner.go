package runnerd

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"time"

	"github.com/sandlot-dev/sandlot/runnerd/docker"
	"github.com/sandlot-dev/sandlot/runnerd/inject"
	"github.com/sandlot-dev/sandlot/runnerd/sandbox"
)

// Config is what a Runner needs. ID, Data, Instance, Key and Logger are required.
type Config struct {
	ID       string
	After    uint64 // see sandbox.Config
	Data     string // folder for what sandboxes mount
	Instance string // see docker.Config, as the next five
	Host     string
	Network  string
	Profile  string
	Runtime  string
	Pids     int64
	Env      map[string]string // variables of every sandbox
	CABundle string            // PEM file that sandboxes trust; "" none
	MinRoom  uint64            // bytes that must be free for a create
	Key      []byte            // secrets of sandboxes are derived from it
	Logger   *slog.Logger
}

// Runner owns the sandboxes of this host. It is safe for concurrent use.
type Runner struct {
	*sandbox.Manager

	engine *docker.Engine
}

// New installs what sandboxes mount and returns a Runner. It does not connect to the engine.
func New(cfg Config) (*Runner, error) {
	folder, hasCA, err := install(cfg.Data, cfg.CABundle)
	if err != nil {
		return nil, fmt.Errorf("runner: install toolboxd: %w", err)
	}
	engine, err := docker.New(docker.Config{
		Host: cfg.Host, Instance: cfg.Instance, Network: cfg.Network, Online: filepath.Join(folder, onlineFolder),
		Proc: filepath.Join(cfg.Data, "proc"), Profile: cfg.Profile, Runtime: cfg.Runtime, PidsLimit: cfg.Pids,
	})
	if err != nil {
		return nil, err
	}
	m, err := sandbox.New(sandbox.Config{
		Runner: cfg.ID, After: cfg.After, Driver: engine, Toolbox: prober{}, Key: cfg.Key, Inject: folder, CA: hasCA,
		Env: cfg.Env, MinFree: cfg.MinRoom, Logger: cfg.Logger,
	})
	if err != nil {
		return nil, errors.Join(err, engine.Close())
	}
	return &Runner{Manager: m, engine: engine}, nil
}

// Run follows the engine and reports until ctx ends.
func (r *Runner) Run(ctx context.Context, to sandbox.Reporter) error {
	return errors.Join(r.Manager.Run(ctx, to), r.engine.Close())
}

// Close closes the connections of a Runner that was never run.
func (r *Runner) Close() error { return r.engine.Close() }

// onlineFolder is where install writes a file for each number of cores, see docker.Config.
const onlineFolder = "online"

// install writes toolboxd, the certificates and the files that tell the number of cores into a folder named by their
// content.
func install(data, caBundle string) (folder string, hasCA bool, err error) {
	program, err := inject.Toolboxd()
	if err != nil {
		return "", false, err
	}
	var ca []byte
	if caBundle != "" {
		if ca, err = os.ReadFile(caBundle); errors.Is(err, fs.ErrNotExist) {
			ca = nil
		} else if err != nil {
			return "", false, fmt.Errorf("ca_bundle: %w", err)
		}
	}
	sum := sha256.New()
	_, _ = sum.Write(program) // a hash never fails to write
	_, _ = sum.Write(ca)
	_, _ = fmt.Fprint(sum, runtime.NumCPU())
	folder = filepath.Join(data, "inject", hex.EncodeToString(sum.Sum(nil))[:16])
	if _, err := os.Stat(folder); err == nil {
		return folder, ca != nil, nil
	}
	parts := folder + ".new"
	online := filepath.Join(parts, onlineFolder)
	if err := errors.Join(os.RemoveAll(parts), os.MkdirAll(online, 0o755)); err != nil {
		return "", false, err
	}
	write := func(name string, content []byte, mode fs.FileMode) error {
		path := filepath.Join(parts, name)
		// Every user of a container has to read them, so the mode must not depend on the umask.
		return errors.Join(os.WriteFile(path, content, mode), os.Chmod(path, mode))
	}
	for _, dir := range []string{filepath.Dir(parts), parts, online} {
		err = errors.Join(err, os.Chmod(dir, 0o755))
	}
	err = errors.Join(err, write("toolboxd", program, 0o755))
	if err == nil && ca != nil {
		err = write("ca-certificates.crt", ca, 0o644)
	}
	for n := 1; n < runtime.NumCPU() && err == nil; n++ {
		list := "0\n"
		if n > 1 {
			list = fmt.Sprintf("0-%d\n", n-1)
		}
		err = write(filepath.Join(onlineFolder, strconv.Itoa(n)), []byte(list), 0o644)
	}
	if err == nil {
		err = os.Rename(parts, folder)
	}
	return folder, ca != nil, err
}

// readyWithin bounds the time from the start of a container to the first answer of its toolbox.
const readyWithin = 10 * time.Second
