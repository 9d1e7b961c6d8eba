package main

import (
	"bytes"
	"errors"
	"fmt"
	"mime/multipart"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
)

// bulk sends many small files in one form, and gets them back in one.
func (b *bench) bulk() ([]Row, error) {
	s, err := b.toolboxd()
	if err != nil {
		return nil, err
	}
	const files, size = 200, 1024
	dir := filepath.Join(b.dir, "bulk")
	defer os.RemoveAll(dir)
	content := bytes.Repeat([]byte("0123456789abcdef"), size/16)
	var form bytes.Buffer
	w := multipart.NewWriter(&form)
	names := make([]string, files)
	for i := range names {
		names[i] = filepath.Join(dir, fmt.Sprintf("file-%03d", i))
		err := w.WriteField(fmt.Sprintf("files[%d].path", i), names[i])
		part, err2 := w.CreateFormFile(fmt.Sprintf("files[%d].file", i), names[i])
		if err = errors.Join(err, err2); err != nil {
			return nil, err
		}
		if _, err := part.Write(content); err != nil {
			return nil, err
		}
	}
	if err := w.Close(); err != nil {
		return nil, err
	}
	anew := func() error { return errors.Join(os.RemoveAll(dir), os.Mkdir(dir, 0o755)) }
	upload := func() error {
		req, err := http.NewRequest(http.MethodPost, s.url+"/files/bulk-upload", bytes.NewReader(form.Bytes()))
		if err != nil {
			return err
		}
		req.Header.Set("Content-Type", w.FormDataContentType())
		_, err = b.do(req, "")
		return err
	}
	read := func() error {
		for _, name := range names {
			if data, err := os.ReadFile(name); err != nil || !bytes.Equal(data, content) {
				return fmt.Errorf("%s: %d bytes, %w", name, len(data), err)
			}
		}
		return nil
	}
	m, err := alternate(b.count(50), task{name: "ours", before: anew, do: upload},
		task{name: "raw", before: anew, do: func() error {
			for _, name := range names {
				if err := os.WriteFile(name, content, 0o644); err != nil {
					return err
				}
			}
			return nil
		}})
	if err := errors.Join(err, anew(), upload(), read()); err != nil {
		return nil, err
	}
	d, err := alternate(b.count(50), task{name: "ours", do: func() error {
		data, err := b.post(s.url+"/files/bulk-download", "", map[string][]string{"paths": names})
		if n := bytes.Count(data, content); err == nil && n != files {
			err = fmt.Errorf("%d files, want %d", n, files)
		}
		return err
	}}, task{name: "raw", do: read})
	if err != nil {
		return nil, err
	}
	return []Row{
		Row{What: "bulk upload of 200 × 1 KiB (raw: write)", Unit: "ms", Ours: m[0], Raw: m[1]}.atMostRaw(2.2),
		{What: "bulk download of 200 × 1 KiB (raw: read)", Unit: "ms", Ours: d[0], Raw: d[1]},
	}, nil
}

// replace changes a word in many files; raw reads and writes each.
func (b *bench) replace() ([]Row, error) {
	s, err := b.toolboxd()
	if err != nil {
		return nil, err
	}
	const files = 1000
	dir := filepath.Join(b.dir, "replace")
	if err := os.Mkdir(dir, 0o755); err != nil {
		return nil, err
	}
	defer os.RemoveAll(dir)
	line := "this line has nothing of the kind, like most of them\n"
	content := []byte(strings.Repeat(line, 100) + "here is one word\n" + strings.Repeat(line, 90))
	names := make([]string, files)
	for i := range names {
		names[i] = filepath.Join(dir, fmt.Sprintf("file-%04d", i))
		if err := os.WriteFile(names[i], content, 0o644); err != nil {
			return nil, err
		}
	}
	const one, two = "one word", "two words"
	m, err := alternate(b.count(20), task{name: "ours", do: func() error {
		data, err := b.post(s.url+"/files/replace", "", map[string]any{"files": names, "pattern": one, "newValue": two})
		if n := bytes.Count(data, []byte(`"success":true`)); err == nil && n != files {
			err = fmt.Errorf("%d files changed, want %d", n, files)
		}
		return err
	}}, task{name: "raw", do: func() error {
		for _, name := range names {
			data, err := os.ReadFile(name)
			if err != nil {
				return err
			}
			if err := os.WriteFile(name, bytes.ReplaceAll(data, []byte(two), []byte(one)), 0o644); err != nil {
				return err
			}
		}
		return nil
	}})
	if err != nil {
		return nil, err
	}
	return []Row{Row{
		What: "replace in 1,000 files (raw: read and write)", Unit: "ms", Ours: m[0],
		Raw: m[1],
	}.atMostRaw(1)}, nil
}

// info asks for one file.
func (b *bench) info() ([]Row, error) {
	ours, floor, err := b.both()
	if err != nil {
		return nil, err
	}
	ask := func(base string) func() error {
		return func() error {
			data, err := b.get(base + "/files/info?path=" + url.QueryEscape(b.dir))
			if err == nil && !bytes.Contains(data, []byte(`"isDir":true`)) {
				err = fmt.Errorf("not the folder: %.200s", data)
			}
			return err
		}
	}
	m, err := alternate(b.count(3000), task{name: "ours", do: ask(ours.url)}, task{name: "floor", do: ask(floor.url)})
	if err != nil {
		return nil, err
	}
	return []Row{Row{What: "info on a file", Unit: "ms", Ours: m[0], Floor: m[1]}.atMostFloor(1.2)}, nil
}
