package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/user"
	"path/filepath"
	"slices"
	"strconv"
	"syscall"
)

// The files of the data folder.
const (
	lockFile    = "lock"
	keysFile    = "keys.yaml"
	runningFile = "running.json"
	logFile     = "sandlot.log"
)

// ownFiles distinguish a data folder from any other. scripts/engine makes the folder engine before the first start.
var ownFiles = []string{lockFile, keysFile, databaseFile, logFile, "sandlot.yaml", "engine"}

// privateFolder makes the data folder if it is missing, and makes it readable for this user alone: mode 0700, and
// 0600 for its files. It refuses a folder of another user, also behind a link, and one that others may read and that
// holds other things than Sandlot's, such as /tmp.
func privateFolder(data string) error {
	refuse := func(format string, args ...any) error {
		return fmt.Errorf("data folder %s: %w; choose another with --data", data, fmt.Errorf(format, args...))
	}
	if err := os.MkdirAll(data, 0o700); err != nil {
		return refuse("%w", err)
	}
	dir, err := os.Open(data)
	if err != nil {
		return refuse("%w", err)
	}
	defer dir.Close() // only read from
	link, err := os.Lstat(data)
	if err != nil {
		return refuse("%w", err)
	}
	st, err := dir.Stat() // describes the folder whose entries are read below, also if the path changes
	if err != nil {
		return refuse("%w", err)
	}
	if uid := ownerOf(st); uid != os.Geteuid() {
		return refuse("it belongs to %s; run sandlot as that user, or give the folder to this one: chown -R %d %s",
			userName(uid), os.Geteuid(), data)
	}
	if uid := ownerOf(link); uid != os.Geteuid() && uid != 0 {
		return refuse("it is a link that belongs to %s, who can turn it elsewhere", userName(uid))
	}
	entries, err := dir.ReadDir(-1)
	if err != nil {
		return refuse("%w", err)
	}
	if st.Mode().Perm()&0o077 != 0 {
		ours := slices.ContainsFunc(entries, func(e fs.DirEntry) bool { return slices.Contains(ownFiles, e.Name()) })
		if st.Mode()&fs.ModeSticky != 0 || len(entries) > 0 && !ours {
			return refuse("other users may read it, and it holds other things than Sandlot's; Sandlot needs a folder of its own")
		}
		if err := dir.Chmod(0o700); err != nil {
			return refuse("other users may read it: %w", err)
		}
	}
	for _, e := range entries {
		if err := privateFile(filepath.Join(data, e.Name()), e); err != nil {
			return refuse("%w", err)
		}
	}
	return nil
}

// privateFile removes the rights of others from a file. Folders keep theirs: containers read the folder inject.
func privateFile(path string, e fs.DirEntry) error {
	info, err := e.Info()
	if errors.Is(err, fs.ErrNotExist) || err == nil && (!info.Mode().IsRegular() || info.Mode().Perm()&0o077 == 0) {
		return nil
	} else if err != nil {
		return err
	}
	if err := os.Chmod(path, info.Mode().Perm()&^0o077); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}

func ownerOf(info fs.FileInfo) int {
	st, _ := info.Sys().(*syscall.Stat_t) // always, on Linux
	return int(st.Uid)
}

func userName(uid int) string {
	text := "user " + strconv.Itoa(uid)
	if u, err := user.LookupId(strconv.Itoa(uid)); err == nil {
		text += " (" + u.Username + ")"
	}
	return text
}

// writeWhole replaces a file, readable for this user alone. A reader sees the whole new content or the old one, also
// after a crash.
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
