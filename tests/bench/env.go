package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/sandlot-dev/sandlot/tests/harness"
)

// bench holds what scenarios share; servers are started by the first that asks.
type bench struct {
	dir   string // work folder, on tmpfs where there is one
	image string
	quick bool
	http  *http.Client

	ours, floor *server
	sandlot     *harness.Sandlot
}

// server is a toolboxd or the floor.
type server struct {
	url  string
	proc *harness.Process
}

func newBench(image string, quick bool) (*bench, error) {
	dir, err := os.MkdirTemp(tmpfs(), "sandlot-bench-")
	if err != nil {
		return nil, err
	}
	return &bench{
		dir: dir, image: image, quick: quick,
		http: &http.Client{Timeout: 5 * time.Minute, Transport: &http.Transport{
			MaxIdleConnsPerHost: 64,
			DisableCompression:  true, WriteBufferSize: 64 << 10,
		}},
	}, nil
}

// tmpfs is a folder in memory with room for the large files, "" for the usual one.
func tmpfs() string {
	if data, err := os.ReadFile("/proc/mounts"); err == nil && strings.Contains(string(data), " /dev/shm tmpfs ") {
		return "/dev/shm"
	}
	return ""
}

func (b *bench) close(stderr io.Writer) {
	for _, s := range []*server{b.ours, b.floor} {
		if s != nil {
			_ = s.proc.Stop(10 * time.Second) // the floor has no handler of signals, so this is always an error for it
		}
	}
	if b.sandlot != nil {
		if err := b.sandlot.Close(); err != nil {
			_, _ = fmt.Fprintln(stderr, "bench: stopping Sandlot:", err)
		}
	}
	_ = os.RemoveAll(b.dir)
}

// count is how often to repeat.
func (b *bench) count(n int) int {
	if b.quick {
		return max(n/10, 2)
	}
	return n
}

func (b *bench) toolboxd() (*server, error) {
	if b.ours == nil {
		s, err := b.spawn(func(addr, log string) (*harness.Process, error) { return harness.SpawnToolboxd(addr, b.dir, log) })
		if err != nil {
			return nil, err
		}
		b.ours = s
	}
	return b.ours, nil
}

func (b *bench) floorServer() (*server, error) {
	if b.floor == nil {
		s, err := b.spawn(spawnFloor)
		if err != nil {
			return nil, err
		}
		b.floor = s
	}
	return b.floor, nil
}

func spawnFloor(addr, log string) (*harness.Process, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	return harness.Spawn(log, nil, self, "floor", addr)
}

func (b *bench) spawn(start func(addr, log string) (*harness.Process, error)) (*server, error) {
	addr, err := harness.FreeAddr()
	if err != nil {
		return nil, err
	}
	p, err := start(addr, filepath.Join(b.dir, "server.log"))
	if err != nil {
		return nil, err
	}
	if err := p.Answers(addr, 10*time.Second); err != nil {
		p.Kill()
		return nil, err
	}
	return &server{url: "http://" + addr, proc: p}, nil
}

// both starts toolboxd and the floor.
func (b *bench) both() (ours, floor *server, err error) {
	ours, err1 := b.toolboxd()
	floor, err2 := b.floorServer()
	return ours, floor, errors.Join(err1, err2)
}

// post sends a body and returns the answer's; an answer that is no success is an error.
func (b *bench) post(url, key string, body any) ([]byte, error) {
	r, raw := body.(io.Reader)
	if !raw {
		data, err := json.Marshal(body)
		if err != nil {
			return nil, err
		}
		r = bytes.NewReader(data)
	}
	req, err := http.NewRequest(http.MethodPost, url, r)
	if err != nil {
		return nil, err
	}
	return b.do(req, key)
}

func (b *bench) do(req *http.Request, key string) ([]byte, error) {
	if key != "" {
		req.Header.Set("Authorization", "Bearer "+key)
	}
	resp, err := b.http.Do(req)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	data, err := io.ReadAll(resp.Body)
	if err == nil && resp.StatusCode >= 300 {
		err = fmt.Errorf("%s %s: %s: %.300s", req.Method, req.URL.Path, resp.Status, data)
	}
	return data, err
}

// exec runs a command at a server and checks its output.
func (b *bench) exec(base, key, command, want string) error {
	data, err := b.post(base+"/process/execute", key, map[string]string{"command": command})
	if err != nil {
		return err
	}
	var out struct {
		ExitCode int
		Result   string
	}
	if err := json.Unmarshal(data, &out); err != nil || out.ExitCode != 0 || out.Result != want {
		return fmt.Errorf("execute %q: %v: %.300s", command, err, data)
	}
	return nil
}

// task is one of the things that alternate take turns.
type task struct {
	name   string
	do     func() error
	before func() error // what do needs, not part of the time; may be nil
}

// alternate runs each task n times, turn by turn after one turn to warm up, and returns the median time of each in
// milliseconds.
func alternate(n int, tasks ...task) ([]float64, error) {
	times := make([][]float64, len(tasks))
	for turn := range n + 1 {
		for i, t := range tasks {
			if t.before != nil {
				if err := t.before(); err != nil {
					return nil, fmt.Errorf("%s: %w", t.name, err)
				}
			}
			began := time.Now()
			if err := t.do(); err != nil {
				return nil, fmt.Errorf("%s: %w", t.name, err)
			}
			if turn > 0 {
				times[i] = append(times[i], float64(time.Since(began))/1e6)
			}
		}
	}
	medians := make([]float64, len(tasks))
	for i := range tasks {
		medians[i] = median(times[i])
	}
	return medians, nil
}

func median(v []float64) float64 {
	slices.Sort(v)
	if len(v) == 0 {
		return 0
	}
	return (v[(len(v)-1)/2] + v[len(v)/2]) / 2
}

// resetPeak makes the kernel forget a process's peak of resident memory.
func resetPeak(pid int) error {
	return os.WriteFile(fmt.Sprintf("/proc/%d/clear_refs", pid), []byte("5"), 0)
}

// memory reads a line of a process's status, such as VmRSS or VmHWM, in MiB.
func memory(pid int, line string) (float64, error) {
	data, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return 0, err
	}
	for l := range strings.Lines(string(data)) {
		if rest, ok := strings.CutPrefix(l, line+":"); ok {
			kb, err := strconv.ParseFloat(strings.Fields(rest)[0], 64)
			return kb / 1024, err
		}
	}
	return 0, fmt.Errorf("process %d has no %s", pid, line)
}

// work is how often the threads of a process were switched to, and the processor time they took.
type work struct {
	switches float64
	cpu      time.Duration
}

func workOf(pid int) (work, error) {
	var w work
	tasks, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*", pid))
	if err != nil || len(tasks) == 0 {
		return w, fmt.Errorf("process %d is gone", pid)
	}
	for _, dir := range tasks {
		status, err := os.ReadFile(filepath.Join(dir, "status"))
		if err != nil {
			continue // the thread has ended meanwhile
		}
		for line := range strings.Lines(string(status)) {
			if name, value, ok := strings.Cut(line, ":"); ok && strings.HasSuffix(name, "ctxt_switches") {
				n, _ := strconv.ParseFloat(strings.TrimSpace(value), 64)
				w.switches += n
			}
		}
		if sched, err := os.ReadFile(filepath.Join(dir, "schedstat")); err == nil {
			ns, _ := strconv.ParseInt(strings.Fields(string(sched))[0], 10, 64)
			w.cpu += time.Duration(ns)
		}
	}
	return w, nil
}

// idleWork watches a process for some seconds and returns wake-ups and processor milliseconds per second.
func (b *bench) idleWork(pids ...int) (wakeups, cpu float64, err error) {
	span := time.Duration(b.count(6)) * time.Second
	before := work{}
	sum := func(to *work) error {
		for _, pid := range pids {
			w, err := workOf(pid)
			if err != nil {
				return err
			}
			to.switches += w.switches
			to.cpu += w.cpu
		}
		return nil
	}
	if err := sum(&before); err != nil {
		return 0, 0, err
	}
	<-time.After(span)
	after := work{}
	if err := sum(&after); err != nil {
		return 0, 0, err
	}
	return (after.switches - before.switches) / span.Seconds(), float64(after.cpu-before.cpu) / 1e6 / span.Seconds(), nil
}
