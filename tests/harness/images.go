package harness

import (
	"archive/tar"
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// The small images that tests run, beside the default one.
const (
	Scratch = "sandlot-test/scratch:latest" // not one file in it
	Busybox = "sandlot-test/busybox:latest" // a static busybox and its names; no bash, no user but root
	OnlyCMD = "sandlot-test/onlycmd:latest" // as Busybox, with a CMD that writes /tmp/cmd-ran and stays
)

// Image makes sure that the engine has one of the small images, and returns its name. engine "" is the machine's own.
func Image(t testing.TB, engine, name string) string {
	t.Helper()
	if err := MakeImage(engine, name); err != nil {
		t.Fatal(err)
	}
	return name
}

// MakeImage is Image for callers without a test.
func MakeImage(engine, name string) error {
	if _, err := Docker(engine, nil, "image", "inspect", name); err == nil {
		return nil
	}
	var files []byte
	var err error
	changes := []string{}
	switch name {
	case Scratch:
		files, err = pack(nil)
	case Busybox, OnlyCMD:
		files, err = packBusybox()
		changes = append(changes, "-c", "ENV PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin")
		if name == OnlyCMD {
			changes = append(changes, "-c",
				`CMD ["/bin/sh", "-c", "echo ran $0 by $(id -u) > /tmp/cmd-ran; echo from the command; sleep 100000"]`)
		}
	default:
		return fmt.Errorf("harness: unknown image %s", name)
	}
	if err != nil {
		return err
	}
	_, err = Docker(engine, files, append(append([]string{"import"}, changes...), "-", name)...)
	return err
}

// pack makes a tar file. A name that ends in / is a folder, a value that starts with "-> " a symbolic link.
func pack(files map[string]string) ([]byte, error) {
	var buf bytes.Buffer
	w := tar.NewWriter(&buf)
	for name, content := range files {
		h := &tar.Header{Name: name, Mode: 0o755, Size: int64(len(content)), Typeflag: tar.TypeReg}
		if to, ok := strings.CutPrefix(content, "-> "); ok {
			h.Typeflag, h.Linkname, h.Size, content = tar.TypeSymlink, to, 0, ""
		} else if strings.HasSuffix(name, "/") {
			h.Typeflag = tar.TypeDir
			if name == "tmp/" {
				h.Mode = 0o1777
			}
		}
		if err := w.WriteHeader(h); err != nil {
			return nil, err
		}
		if _, err := io.WriteString(w, content); err != nil {
			return nil, err
		}
	}
	if err := w.Close(); err != nil {
		return nil, err
	}
	return buf.Bytes(), nil
}

func packBusybox() ([]byte, error) {
	path, err := busybox()
	if err != nil {
		return nil, err
	}
	program, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	names, err := Run(nil, nil, path, "--list")
	if err != nil {
		return nil, err
	}
	files := map[string]string{
		"bin/busybox": string(program), "tmp/": "", "root/": "",
		"etc/passwd": "root:x:0:0:root:/root:/bin/sh\n", "etc/group": "root:x:0:\n",
	}
	for name := range strings.FieldsSeq(names) {
		if name != "busybox" {
			files["bin/"+name] = "-> busybox"
		}
	}
	return pack(files)
}

// busybox is the path of a static busybox: Debian's, unpacked into the cache and not installed.
func busybox() (string, error) {
	dir, err := Cache("busybox")
	if err != nil {
		return "", err
	}
	path := filepath.Join(dir, "bin", "busybox")
	if _, err := os.Stat(path); err == nil {
		return path, nil
	}
	temp, err := tempDir()
	if err != nil {
		return "", err
	}
	defer os.RemoveAll(temp)
	if _, err := Run(nil, nil, "sh", "-c",
		`cd "$0" && chmod 755 . && apt-get download -q busybox-static && dpkg-deb -x busybox-static_*.deb x`,
		temp); err != nil {
		return "", fmt.Errorf("getting Debian's busybox-static: %w", err)
	}
	for _, at := range []string{"bin", "usr/bin"} {
		data, err := os.ReadFile(filepath.Join(temp, "x", at, "busybox"))
		if err != nil {
			continue
		}
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			return "", err
		}
		whole := path + ".part"
		if err := os.WriteFile(whole, data, 0o755); err != nil {
			return "", err
		}
		return path, os.Rename(whole, path)
	}
	return "", errors.New("no busybox in Debian's busybox-static")
}
