package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// tree makes 20,000 files of 10 kB in 200 folders, with the word needle in every hundredth.
func tree(dir string) error {
	filler := bytes.Repeat([]byte("nothing to be found in this line of text, as in most of them\n"), 10_000/61)
	for d := range 200 {
		folder := filepath.Join(dir, fmt.Sprintf("folder-%03d", d))
		if err := os.MkdirAll(folder, 0o755); err != nil {
			return err
		}
		for f := range 100 {
			content := filler
			if f == 50 {
				content = append(bytes.Clone(filler), "here is the needle\n"...)
			}
			if err := os.WriteFile(filepath.Join(folder, fmt.Sprintf("file-%03d.txt", f)), content, 0o644); err != nil {
				return err
			}
		}
	}
	return nil
}

func (b *bench) get(url string) ([]byte, error) { return b.getAs(url, "") }

func (b *bench) find() ([]Row, error) {
	s, err := b.toolboxd()
	if err != nil {
		return nil, err
	}
	dir := filepath.Join(b.dir, "tree")
	defer os.RemoveAll(dir)
	if err := tree(dir); err != nil {
		return nil, err
	}
	raw, args := "rg", []string{"--no-config", "-F", "-n", "--no-ignore", "--hidden", "needle", dir}
	if _, err := exec.LookPath(raw); err != nil {
		return nil, fmt.Errorf("ripgrep is needed to compare with: %w", err)
	}
	m, err := alternate(b.count(10), task{name: "ours", do: func() error {
		data, err := b.get(s.url + "/files/find" + "?path=" + url.QueryEscape(dir) + "&pattern=needle")
		var hits []struct{ File string }
		if err == nil {
			err = json.Unmarshal(data, &hits)
		}
		if err == nil && len(hits) != 200 {
			err = fmt.Errorf("%d hits, want 200", len(hits))
		}
		return err
	}}, task{name: "raw", do: func() error {
		out, err := exec.Command(raw, args...).Output()
		if n := bytes.Count(out, []byte("\n")); err == nil && n != 200 {
			err = fmt.Errorf("%d hits, want 200", n)
		}
		return err
	}})
	if err != nil {
		return nil, err
	}
	n, err := alternate(b.count(20), task{name: "ours", do: func() error {
		_, err := b.get(s.url + "/files/search?path=" + url.QueryEscape(dir) + "&pattern=" + url.QueryEscape("file-050*"))
		return err
	}}, task{name: "raw", do: func() error { return exec.Command("find", dir, "-name", "file-050*").Run() }})
	if err != nil {
		return nil, err
	}
	return []Row{
		Row{What: "find text, 20,000 files, 200 MB (raw: ripgrep)", Unit: "ms", Ours: m[0], Raw: m[1]}.atMostRaw(1.4),
		Row{What: "search by name, 20,000 files (raw: find)", Unit: "ms", Ours: n[0], Raw: n[1]}.atMostRaw(1.2),
	}, nil
}

func git(dir string, args ...string) error {
	cmd := exec.Command("git", append([]string{"-C", dir}, args...)...)
	cmd.Env = append(os.Environ(), "GIT_CONFIG_GLOBAL=/dev/null", "GIT_CONFIG_NOSYSTEM=1",
		"GIT_AUTHOR_NAME=A", "GIT_AUTHOR_EMAIL=a@example.com", "GIT_COMMITTER_NAME=A", "GIT_COMMITTER_EMAIL=a@example.com")
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("git %s: %w: %.300s", strings.Join(args, " "), err, out)
	}
	return nil
}

func (b *bench) repository() (rows []Row, err error) {
	s, err := b.toolboxd()
	if err != nil {
		return nil, err
	}
	dir := filepath.Join(b.dir, "repo")
	defer os.RemoveAll(dir)
	if err := tree(dir); err != nil {
		return nil, err
	}
	for _, args := range [][]string{{"init", "-q", "-b", "main"}, {"add", "-A"}, {"commit", "-q", "-m", "all"}} {
		if err := git(dir, args...); err != nil {
			return nil, err
		}
	}
	m, err := alternate(b.count(20),
		task{name: "ours", do: func() error {
			_,
				err := b.get(s.url + "/git/status?path=" + url.QueryEscape(dir))
			return err
		}},
		task{name: "raw", do: func() error { return git(dir, "status", "--porcelain=v2", "--branch") }})
	if err != nil {
		return nil, err
	}
	rows = append(rows, Row{What: "git status, 20,000 files", Unit: "ms", Ours: m[0], Raw: m[1]}.atMostRaw(1.5))

	var files []string
	for n := range 20 {
		files = append(files, fmt.Sprintf("folder-%03d/file-000.txt", n))
	}
	turn := 0
	dirty := func(add func() error) func() error {
		return func() error {
			turn++
			for _, f := range files {
				if err := os.WriteFile(filepath.Join(dir, f), fmt.Appendf(nil, "changed %d\n", turn), 0o644); err != nil {
					return err
				}
			}
			return add()
		}
	}
	m, err = alternate(b.count(20),
		task{name: "ours", do: dirty(func() error {
			_, err := b.post(s.url+"/git/add", "", map[string]any{"path": dir, "files": files})
			return err
		})},
		task{name: "raw", do: dirty(func() error { return git(dir, append([]string{"add", "--"}, files...)...) })})
	if err != nil {
		return rows, err
	}
	rows = append(rows, Row{What: "git add of 20 files", Unit: "ms", Ours: m[0], Raw: m[1]}.atMostRaw(1.5))

	to := filepath.Join(b.dir, "clone")
	m, err = alternate(b.count(5),
		task{name: "ours", do: func() error {
			defer os.RemoveAll(to)
			_, err := b.post(s.url+"/git/clone", "", map[string]any{"url": "file://" + dir, "path": to})
			return err
		}},
		task{name: "raw", do: func() error {
			defer os.RemoveAll(to)
			return git(b.dir, "clone", "-q", "file://"+dir, to)
		}})
	if err != nil {
		return rows, err
	}
	return append(rows, Row{What: "git clone, 20,000 files", Unit: "ms", Ours: m[0], Raw: m[1]}.atMostRaw(1.5)), nil
}
