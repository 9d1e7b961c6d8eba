package main

import (
	"bufio"
	"bytes"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"mime/multipart"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/sandlot-dev/sandlot/tests/harness"
)

func raw(script, want string) func() error {
	return func() error {
		out, err := exec.Command("bash", "-c", script).CombinedOutput()
		if err == nil && string(out) != want {
			err = fmt.Errorf("output %q", out)
		}
		return err
	}
}

func (b *bench) execute() (rows []Row, err error) {
	ours, floor, err := b.both()
	if err != nil {
		return nil, err
	}
	for _, tc := range []struct{ command, want string }{{"true", ""}, {"echo hi", "hi\n"}} {
		m, err := alternate(b.count(400),
			task{name: "ours", do: func() error { return b.exec(ours.url, "", tc.command, tc.want) }},
			task{name: "floor", do: func() error { return b.exec(floor.url, "", tc.command, tc.want) }},
			task{name: "raw", do: raw(tc.command, tc.want)})
		if err != nil {
			return rows, err
		}
		rows = append(rows, Row{What: "execute " + tc.command, Unit: "ms", Ours: m[0], Floor: m[1], Raw: m[2]}.atMostRaw(1.3))
	}
	return rows, nil
}

// rate is how often per second n workers can do work.
func rate(n int, span time.Duration, do func() error) (float64, error) {
	var done atomic.Int64
	var failed atomic.Pointer[error]
	var wg sync.WaitGroup
	began := time.Now()
	for range n {
		wg.Go(func() {
			for time.Since(began) < span && failed.Load() == nil {
				if err := do(); err != nil {
					failed.Store(&err)
					return
				}
				done.Add(1)
			}
		})
	}
	wg.Wait()
	if err := failed.Load(); err != nil {
		return 0, *err
	}
	return float64(done.Load()) / time.Since(began).Seconds(), nil
}

func (b *bench) clients() (rows []Row, err error) {
	ours, floor, err := b.both()
	if err != nil {
		return nil, err
	}
	for _, n := range []int{8, 32} {
		rates := make([][]float64, 3)
		for range b.count(12) { // short rounds, so that a noisy second hits all three
			for i, do := range []func() error{
				func() error { return b.exec(ours.url, "", "true", "") },
				func() error { return b.exec(floor.url, "", "true", "") },
				raw("true", ""),
			} {
				r, err := rate(n, 400*time.Millisecond, do)
				if err != nil {
					return rows, err
				}
				rates[i] = append(rates[i], r)
			}
		}
		rows = append(rows, Row{
			What: fmt.Sprintf("execute true, %d clients", n), Unit: "/s", Ours: median(rates[0]), Floor: median(rates[1]),
			Raw: median(rates[2]),
		}.atLeastRaw(0.85))
	}
	return rows, nil
}

const mib = 1 << 20

func (b *bench) output() ([]Row, error) {
	ours, floor, err := b.both()
	if err != nil {
		return nil, err
	}
	const script = "head -c 67108864 /dev/zero | tr '\\0' x"
	read := func(base string) func() error {
		return func() error {
			resp, err := b.http.Post(base+"/process/execute", "application/json",
				strings.NewReader(`{"command":"head -c 67108864 /dev/zero | tr '\\0' x"}`))
			if err != nil {
				return err
			}
			defer resp.Body.Close()
			n, err := io.Copy(io.Discard, resp.Body)
			if err == nil && n < 64*mib {
				err = fmt.Errorf("only %d bytes of 64 MiB", n)
			}
			return err
		}
	}
	if err := resetPeak(ours.proc.PID()); err != nil {
		return nil, err
	}
	m, err := alternate(b.count(7), task{name: "ours", do: read(ours.url)}, task{name: "floor", do: read(floor.url)},
		task{name: "raw", do: func() error {
			cmd := exec.Command("bash", "-c", script)
			out, err := cmd.StdoutPipe()
			if err != nil {
				return err
			}
			if err := cmd.Start(); err != nil {
				return err
			}
			n, err := io.Copy(io.Discard, bufio.NewReaderSize(out, mib))
			if err == nil && n != 64*mib {
				err = fmt.Errorf("%d bytes", n)
			}
			return errors.Join(err, cmd.Wait())
		}})
	if err != nil {
		return nil, err
	}
	peak, err := memory(ours.proc.PID(), "VmHWM")
	if err != nil {
		return nil, err
	}
	peakFloor, err := memory(floor.proc.PID(), "VmHWM")
	return []Row{
		Row{What: "64 MiB of output", Unit: "ms", Ours: m[0], Floor: m[1], Raw: m[2]}.atMostRaw(2),
		Row{What: "64 MiB of output, peak memory", Unit: "MiB", Ours: peak, Floor: peakFloor}.atMost(40),
	}, err
}

// size is that of the large file.
func (b *bench) size() int64 {
	if b.quick {
		return 64 * mib
	}
	return 512 * mib
}

// big makes the large file and returns its path and sum.
func (b *bench) big() (path string, sum [sha256.Size]byte, err error) {
	path = filepath.Join(b.dir, "big")
	f, err := os.Create(path)
	if err != nil {
		return "", sum, err
	}
	defer f.Close()
	block := make([]byte, mib)
	for i := range block {
		block[i] = byte(i * 7)
	}
	h := sha256.New()
	for i := range b.size() / mib {
		block[0] = byte(i)
		if _, err := io.MultiWriter(f, h).Write(block); err != nil {
			return "", sum, err
		}
	}
	return path, [sha256.Size]byte(h.Sum(nil)), nil
}

func sumOf(path string) (sum [sha256.Size]byte, err error) {
	f, err := os.Open(path)
	if err != nil {
		return sum, err
	}
	defer f.Close()
	h := sha256.New()
	_, err = io.Copy(h, f)
	return [sha256.Size]byte(h.Sum(nil)), err
}

func (b *bench) upload() (rows []Row, err error) {
	path, sum, err := b.big()
	if err != nil {
		return nil, err
	}
	defer os.Remove(path)
	floor, err := b.floorServer()
	if err != nil {
		return nil, err
	}
	// A daemon of its own, so that the peak is that of uploads alone.
	ours, err := b.spawn(func(addr, log string) (*harness.Process,
		error,
	) {
		return harness.SpawnToolboxd(addr, b.dir, log)
	})
	if err != nil {
		return nil, err
	}
	defer ours.proc.Kill()
	if err := b.exec(ours.url, "", "true", ""); err != nil {
		return nil, err
	}
	idle, err := memory(ours.proc.PID(), "VmRSS")
	if err != nil {
		return nil, err
	}
	to := filepath.Join(b.dir, "up")
	defer os.Remove(to)
	// send posts the file, in a form or as it is, with its length said before or in chunks. The floor stores what it gets.
	send := func(target string, inForm, chunked bool) func() error {
		return func() error {
			f, err := os.Open(path)
			if err != nil {
				return err
			}
			defer f.Close()
			head, tail, kind := "", "", "application/octet-stream"
			var body io.Reader = f
			if inForm {
				var boundary string
				if head, boundary, err = formHead(to); err != nil {
					return err
				}
				tail, kind = "\r\n--"+boundary+"--\r\n", "multipart/form-data; boundary="+boundary
				body = io.MultiReader(strings.NewReader(head), f, strings.NewReader(tail))
			}
			req, err := http.NewRequest(http.MethodPost, target, body)
			if err != nil {
				return err
			}
			req.Header.Set("Content-Type", kind)
			if !chunked {
				req.ContentLength = int64(len(head)) + b.size() + int64(len(tail))
			}
			_, err = b.do(req, "")
			return err
		}
	}
	anew := func() error { // each writes a new file
		if err := os.Remove(to); !errors.Is(err, fs.ErrNotExist) {
			return err
		}
		return nil
	}
	single, many := "/files/upload-v2?path="+url.QueryEscape(to), "/files/bulk-upload"
	m, err := alternate(b.count(5),
		task{name: "body", before: anew, do: send(ours.url+single, false, false)},
		task{name: "body, floor", before: anew, do: send(floor.url+single, false, false)},
		task{name: "form", before: anew, do: send(ours.url+many, true, false)},
		task{name: "form, floor", before: anew, do: send(floor.url+single, true, false)},
		task{name: "chunks", before: anew, do: send(ours.url+many, true, true)},
		task{name: "chunks, floor", before: anew, do: send(floor.url+single, true, true)},
		task{name: "raw", before: anew, do: func() error {
			f, err := os.Open(path)
			if err != nil {
				return err
			}
			defer f.Close()
			out, err := os.Create(to)
			if err != nil {
				return err
			}
			_, err = io.CopyBuffer(struct{ io.Writer }{out}, struct{ io.Reader }{f}, make([]byte, mib))
			return errors.Join(err, out.Close())
		}})
	if err != nil {
		return nil, err
	}
	peak, err := memory(ours.proc.PID(), "VmHWM")
	if err != nil {
		return nil, err
	}
	// Once more, to see that the bytes are right.
	for _, do := range []func() error{send(ours.url+single, false, false), send(ours.url+many, true, true)} {
		if err := errors.Join(anew(), do()); err != nil {
			return nil, err
		}
		if got, err := sumOf(to); err != nil || got != sum {
			return nil, fmt.Errorf("the uploaded file differs (%v)", err)
		}
	}
	mbs := func(ms float64) float64 { return float64(b.size()) / 1e3 / ms }
	name := fmt.Sprintf("upload %d MiB", b.size()/mib)
	return []Row{
		Row{What: name + ", body", Unit: "MB/s", Ours: mbs(m[0]), Floor: mbs(m[1]), Raw: mbs(m[6])}.atLeastFloor(0.85),
		Row{What: name + ", form", Unit: "MB/s", Ours: mbs(m[2]), Floor: mbs(m[3]), Raw: mbs(m[6])}.atLeastFloor(0.85),
		Row{
			What: name + ", form in chunks", Unit: "MB/s", Ours: mbs(m[4]), Floor: mbs(m[5]),
			Raw: mbs(m[6]),
		}.atLeastFloor(0.85),
		Row{What: name + ", memory over idle", Unit: "MiB", Ours: peak - idle}.atMost(8),
	}, nil
}

func formHead(to string) (head, boundary string, err error) {
	var buf strings.Builder
	w := multipart.NewWriter(&buf)
	if err = w.WriteField("files[0].path", to); err == nil {
		_, err = w.CreateFormFile("files[0].file", "big")
	}
	return buf.String(), w.Boundary(), err
}

func (b *bench) download() ([]Row, error) {
	path, sum, err := b.big()
	if err != nil {
		return nil, err
	}
	defer os.Remove(path)
	floor, err := b.floorServer()
	if err != nil {
		return nil, err
	}
	ours, err := b.spawn(func(addr, log string) (*harness.Process,
		error,
	) {
		return harness.SpawnToolboxd(addr, b.dir, log)
	})
	if err != nil {
		return nil, err
	}
	defer ours.proc.Kill()
	if err := b.exec(ours.url, "", "true", ""); err != nil {
		return nil, err
	}
	idle, err := memory(ours.proc.PID(), "VmRSS")
	if err != nil {
		return nil, err
	}
	buf := make([]byte, mib)
	get := func(base string, w io.Writer) error {
		resp, err := b.http.Get(base + "/files/download?path=" + url.QueryEscape(path))
		if err != nil {
			return err
		}
		defer resp.Body.Close()
		n, err := io.CopyBuffer(w, struct{ io.Reader }{resp.Body}, buf)
		if err == nil && n != b.size() {
			err = fmt.Errorf("%d bytes of %d", n, b.size())
		}
		return err
	}
	inForm := func() error { // as the clients of two languages read every file
		body, err := json.Marshal(map[string][]string{"paths": {path}})
		if err != nil {
			return err
		}
		resp, err := b.http.Post(ours.url+"/files/bulk-download", "application/json", bytes.NewReader(body))
		if err != nil {
			return err
		}
		defer resp.Body.Close()
		n, err := io.CopyBuffer(struct{ io.Writer }{io.Discard}, struct{ io.Reader }{resp.Body}, buf)
		if err == nil && n < b.size() {
			err = fmt.Errorf("%d bytes of %d", n, b.size())
		}
		return err
	}
	discard := struct{ io.Writer }{io.Discard}
	m, err := alternate(b.count(7), task{name: "ours", do: func() error { return get(ours.url, discard) }},
		task{name: "floor", do: func() error { return get(floor.url, discard) }},
		task{name: "form", do: inForm})
	if err != nil {
		return nil, err
	}
	peak, err := memory(ours.proc.PID(), "VmHWM")
	if err != nil {
		return nil, err
	}
	h := sha256.New()
	if err := get(ours.url, h); err != nil || [sha256.Size]byte(h.Sum(nil)) != sum {
		return nil, fmt.Errorf("the downloaded file differs (%v)", err)
	}
	mbs := func(ms float64) float64 { return float64(b.size()) / 1e3 / ms }
	name := fmt.Sprintf("download %d MiB", b.size()/mib)
	return []Row{
		Row{What: name, Unit: "MB/s", Ours: mbs(m[0]), Floor: mbs(m[1])}.atLeastFloor(0.85),
		Row{What: name + " in a form", Unit: "MB/s", Ours: mbs(m[2]), Floor: mbs(m[1])}.atLeastFloor(0.85),
		Row{What: name + ", memory over idle", Unit: "MiB", Ours: peak - idle}.atMost(8),
	}, nil
}

func (b *bench) list() ([]Row, error) {
	ours, err := b.toolboxd()
	if err != nil {
		return nil, err
	}
	const entries = 10_000
	dir := filepath.Join(b.dir, "many")
	if err := os.Mkdir(dir, 0o755); err != nil {
		return nil, err
	}
	defer os.RemoveAll(dir)
	for i := range entries {
		if err := os.WriteFile(filepath.Join(dir, fmt.Sprintf("file-%05d.txt", i)), nil, 0o644); err != nil {
			return nil, err
		}
	}
	// What the answer says is looked at once; afterwards its bytes are read to their end and counted, as raw has no
	// client.
	target := ours.url + "/files?path=" + url.QueryEscape(dir)
	data, err := b.get(target)
	if n := bytes.Count(data, []byte(`"isDir"`)); err == nil && n != entries {
		err = fmt.Errorf("%d entries, want %d", n, entries)
	}
	if err != nil {
		return nil, err
	}
	m, err := alternate(b.count(30), task{name: "ours", do: func() error {
		resp, err := b.http.Get(target)
		if err != nil {
			return err
		}
		defer resp.Body.Close()
		n := 0
		for err == nil {
			var got int
			got, err = resp.Body.Read(data)
			n += got
		}
		if !errors.Is(err, io.EOF) {
			return err
		}
		if n != len(data) {
			return fmt.Errorf("%d bytes, want %d", n, len(data))
		}
		return nil
	}}, task{name: "raw", do: func() error {
		d, err := os.Open(dir)
		if err != nil {
			return err
		}
		defer d.Close()
		names, err := d.Readdirnames(-1)
		for _, name := range names {
			if _, err := os.Lstat(dir + "/" + name); err != nil {
				return err
			}
		}
		return err
	}})
	if err != nil {
		return nil, err
	}
	return []Row{Row{What: "list 10,000 entries", Unit: "ms", Ours: m[0], Raw: m[1]}.atMostRaw(1.2)}, nil
}

func (b *bench) start() ([]Row, error) {
	n := 0
	until := func(spawn func(addr, log string) (*harness.Process, error)) func() error {
		return func() error {
			addr, err := harness.FreeAddr()
			if err != nil {
				return err
			}
			n++
			p, err := spawn(addr, filepath.Join(b.dir, fmt.Sprintf("start-%d.log", n)))
			if err != nil {
				return err
			}
			defer func() { go p.Kill() }() // not part of the time
			for {
				resp, err := b.http.Get("http://" + addr + "/version")
				if err == nil {
					return resp.Body.Close()
				}
				select {
				case <-p.Ended():
					return errors.New(p.Tail())
				case <-time.After(100 * time.Microsecond):
				}
			}
		}
	}
	m, err := alternate(b.count(30),
		task{name: "ours", do: until(func(addr, log string) (*harness.Process,
			error,
		) {
			return harness.SpawnToolboxd(addr, b.dir, log)
		})},
		task{name: "floor", do: until(spawnFloor)})
	if err != nil {
		return nil, err
	}
	return []Row{Row{What: "start to first healthy answer", Unit: "ms", Ours: m[0], Floor: m[1]}.atMost(8)}, nil
}

func (b *bench) idle() ([]Row, error) {
	ours, err := b.spawn(func(addr, log string) (*harness.Process,
		error,
	) {
		return harness.SpawnToolboxd(addr, b.dir, log)
	})
	if err != nil {
		return nil, err
	}
	defer ours.proc.Kill()
	floor, err := b.spawn(spawnFloor)
	if err != nil {
		return nil, err
	}
	defer floor.proc.Kill()
	for _, s := range []*server{ours, floor} {
		if err := b.exec(s.url, "", "true", ""); err != nil {
			return nil, err
		}
	}
	b.http.CloseIdleConnections()
	<-time.After(2 * time.Second) // what the command left to tidy is done
	rss, err := memory(ours.proc.PID(), "VmRSS")
	if err != nil {
		return nil, err
	}
	rssFloor, err := memory(floor.proc.PID(), "VmRSS")
	if err != nil {
		return nil, err
	}
	anon, err := memory(ours.proc.PID(), "RssAnon")
	if err != nil {
		return nil, err
	}
	wakeups, cpu, err := b.idleWork(ours.proc.PID())
	if err != nil {
		return nil, err
	}
	program, err := harness.Bin("toolboxd")
	if err != nil {
		return nil, err
	}
	info, err := os.Stat(program)
	if err != nil {
		return nil, err
	}
	return []Row{
		Row{What: "idle memory", Unit: "MiB", Ours: rss, Floor: rssFloor}.atMost(14),
		{What: "idle anonymous memory", Unit: "MiB", Ours: anon},
		Row{What: "idle wake-ups", Unit: "/s", Ours: wakeups}.atMost(0),
		Row{What: "idle processor time", Unit: "ms/s", Ours: cpu}.atMost(0),
		Row{What: "size of toolboxd", Unit: "MB", Ours: float64(info.Size()) / 1e6}.atMost(16),
	}, nil
}
