//go:build e2e

package chaos_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/sandlot-dev/sandlot/tests/harness"
)

// agreement bounds how long the two lists may differ after a fault.
const agreement = 60 * time.Second

// states is sandboxes and whether they run.
type states map[string]bool

// listed is what the API says; an error where a sandbox is in no settled state.
func listed(s *harness.Sandlot) (states, error) {
	req, err := http.NewRequest(http.MethodGet, s.API+"/sandbox?limit=200&includeErroredDeleted=true", nil)
	if err != nil {
		return nil, err
	}
	req.Header.Set("Authorization", "Bearer "+s.Key)
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	var page struct{ Items []struct{ ID, State string } }
	if err := json.NewDecoder(resp.Body).Decode(&page); err != nil || resp.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("list: %s: %w", resp.Status, err)
	}
	all := states{}
	for _, box := range page.Items {
		if box.State != "started" && box.State != "stopped" {
			return nil, fmt.Errorf("sandbox %s is %s", box.ID, box.State)
		}
		all[box.ID] = box.State == "started"
	}
	return all, nil
}

// present is what the engine has of this Sandlot.
func present(s *harness.Sandlot) (states, error) {
	containers, err := s.Containers()
	all := states{}
	for _, line := range containers {
		f := strings.Fields(line) // id name state
		all[f[1]] = f[2] == "running"
	}
	return all, err
}

// agree waits until the API and the engine say the same.
func agree(t *testing.T, s *harness.Sandlot) states {
	t.Helper()
	began := time.Now()
	var api, engine states
	var err1, err2 error
	if harness.Wait(agreement, func() bool {
		api, err1 = listed(s)
		engine, err2 = present(s)
		return err1 == nil && err2 == nil && maps.Equal(api, engine)
	}) {
		t.Logf("the lists agree on %v after %s", slices.Sorted(maps.Keys(api)), time.Since(began).Round(time.Millisecond))
		return api
	}
	t.Fatalf("after %s the API has %v (%v), the engine %v (%v)\nlog of sandlot:\n%s", agreement, api, err1, engine,
		err2, s.Process.Tail())
	return nil
}

// post sends a request in the background; the channel gets its status, 0 when the connection broke.
func post(s *harness.Sandlot, path, body string) <-chan int {
	done := make(chan int, 1)
	go func() {
		req, err := http.NewRequest(http.MethodPost, s.API+path, strings.NewReader(body))
		if err != nil {
			done <- -1
			return
		}
		req.Header.Set("Authorization", "Bearer "+s.Key)
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			done <- 0
			return
		}
		_, _ = io.Copy(io.Discard, resp.Body)
		_ = resp.Body.Close()
		done <- resp.StatusCode
	}()
	return done
}

// event waits for an engine's event of this Sandlot's containers; it listens when event returns, and the channel is
// closed when it came.
func event(t *testing.T, s *harness.Sandlot, e *harness.Engine, name string) <-chan struct{} {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	cmd := exec.CommandContext(ctx, "docker", "events", "--since", fmt.Sprint(time.Now().Unix()-1), "--filter",
		"event="+name,
		"--filter", "label="+harness.Label+"="+s.Instance, "--format", "{{.ID}} {{.TimeNano}}")
	cmd.Env = append(os.Environ(), "DOCKER_HOST="+e.Host)
	out, err := cmd.StdoutPipe()
	if err == nil {
		err = cmd.Start()
	}
	if err != nil {
		t.Fatal(err)
	}
	began := time.Now().UnixNano()
	seen := make(chan struct{})
	go func() {
		defer close(seen)
		defer func() { cancel(); _ = cmd.Wait() }()
		var buf bytes.Buffer
		chunk := make([]byte, 512)
		for {
			n, err := out.Read(chunk)
			buf.Write(chunk[:n])
			for line := range strings.Lines(buf.String()) {
				var id string
				var at int64
				if _, err := fmt.Sscan(line, &id, &at); err == nil && at > began {
					return
				}
			}
			if err != nil {
				return
			}
		}
	}()
	return seen
}

// moments are when to kill while a create is under way.
func moments(t *testing.T, s *harness.Sandlot, e *harness.Engine) map[string]func() <-chan struct{} {
	after := func(d time.Duration) func() <-chan struct{} {
		return func() <-chan struct{} {
			c := make(chan struct{})
			time.AfterFunc(d, func() { close(c) })
			return c
		}
	}
	return map[string]func() <-chan struct{}{
		"with the request":  after(0),
		"after 2 ms":        after(2 * time.Millisecond),
		"after 15 ms":       after(15 * time.Millisecond),
		"after 80 ms":       after(80 * time.Millisecond),
		"container created": func() <-chan struct{} { return event(t, s, e, "create") },
		"container started": func() <-chan struct{} { return event(t, s, e, "start") },
		"50 ms after the start": func() <-chan struct{} {
			c := event(t, s, e, "start")
			d := make(chan struct{})
			go func() { <-c; <-time.After(50 * time.Millisecond); close(d) }()
			return d
		},
	}
}

func TestKillSandlotDuringCreate(t *testing.T) {
	e := harness.StartEngine(t, "")
	s := harness.Start(t, harness.Options{Image: harness.Image(t, e.Host, harness.Busybox), Engine: e.Host})
	for name, moment := range moments(t, s, e) {
		t.Run(name, func(t *testing.T) {
			now := moment()
			answer := post(s, "/sandbox", `{}`)
			<-now
			s.Kill()
			status := <-answer
			if err := s.Run(); err != nil {
				t.Fatal(err)
			}
			t.Logf("the create was answered with %d", status)
			left := agree(t, s)
			if status == http.StatusOK && !slices.Contains(slices.Collect(maps.Values(left)), true) {
				t.Error("the create was answered with success, but there is no sandbox")
			}
			removeAll(t, s)
		})
	}
}

// removeAll deletes every sandbox and looks that nothing is left.
func removeAll(t *testing.T, s *harness.Sandlot) {
	t.Helper()
	all, err := listed(s)
	if err != nil {
		t.Fatal(err)
	}
	c := s.As(t, s.Key)
	for id := range all {
		c.API("DELETE", "/sandbox/"+id, nil).Want(http.StatusOK)
	}
	harness.Until(t, agreement, "no sandbox and no container to be left", func() bool {
		api, err1 := listed(s)
		engine, err2 := present(s)
		return err1 == nil && err2 == nil && len(api) == 0 && len(engine) == 0
	})
}

func TestKillEngine(t *testing.T) {
	e := harness.StartEngine(t, "")
	s := harness.Start(t, harness.Options{Image: harness.Image(t, e.Host, harness.Busybox), Engine: e.Host})
	for name, moment := range moments(t, s, e) {
		t.Run(name, func(t *testing.T) {
			c := s.As(t, s.Key)
			running, stopped := c.Create(nil), c.Create(nil)
			c.API("POST", "/sandbox/"+stopped.ID+"/stop", nil).Want(http.StatusOK)
			stopped.WaitState("stopped")
			now := moment()
			answer := post(s, "/sandbox", `{}`)
			<-now
			e.Kill()
			began := time.Now()
			if status := <-answer; status == 0 || time.Since(began) > 30*time.Second {
				t.Errorf("the create ended with %d after %s", status, time.Since(began))
			}
			refused(t, s)
			if err := e.Run(); err != nil {
				t.Fatal(err)
			}
			left := agree(t, s)
			for _, id := range []string{running.ID, stopped.ID} {
				if _, ok := left[id]; !ok {
					t.Errorf("sandbox %s is lost", id)
				}
			}
			if left[stopped.ID] {
				t.Error("the stopped sandbox runs")
			}
			if again := c.Create(nil); again.MustExec("echo fine") != "fine" {
				t.Error("a new sandbox does not work")
			}
			removeAll(t, s)
		})
	}
}

// refused holds a create without an engine to its answer.
func refused(t *testing.T, s *harness.Sandlot) {
	t.Helper()
	began := time.Now()
	a := s.As(t, s.Key).API("POST", "/sandbox", map[string]any{}).Want(http.StatusServiceUnavailable)
	if !strings.Contains(a.Message(), "engine") || time.Since(began) > 8*time.Second {
		t.Errorf("after %s: %s; want the reason within 8 s", time.Since(began), a.Body)
	}
}

func TestStartWithoutEngine(t *testing.T) {
	e := harness.StartEngine(t, "")
	harness.Image(t, e.Host, harness.Busybox)
	e.Kill()
	s, err := harness.New(t.TempDir(), harness.Options{Image: harness.Busybox, Engine: e.Host})
	if err != nil {
		t.Fatalf("Sandlot does not start without an engine: %v", err)
	}
	defer func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	}()
	refused(t, s)
	out, err := s.Command("doctor")
	if err == nil || !strings.Contains(out, "engine") {
		t.Errorf("doctor: %v, want a failure that names the engine:\n%s", err, out)
	}
	if err := e.Run(); err != nil {
		t.Fatal(err)
	}
	harness.Until(t, 30*time.Second, "a create to work once the engine is there", func() bool {
		return <-post(s, "/sandbox", `{}`) == http.StatusOK
	})
	agree(t, s)
}

func TestNoRoomOnDisk(t *testing.T) {
	disk := harness.SmallDisk(t, 300)
	e := harness.StartEngine(t, filepath.Join(disk, "docker"))
	harness.Image(t, e.Host, harness.Busybox)
	full := func(t *testing.T, s *harness.Sandlot) {
		t.Helper()
		a := s.As(t, s.Key).API("POST", "/sandbox", map[string]any{})
		if a.Status != http.StatusInsufficientStorage || !strings.Contains(a.Message(), "disk") &&
			!strings.Contains(a.Message(), "room") && !strings.Contains(a.Message(), "space") {
			t.Errorf("create without room: %d %s; want 507 that says so", a.Status, a.Body)
		}
		if all := agree(t, s); len(all) > 0 {
			t.Errorf("half a sandbox is left: %v", all)
		}
	}
	t.Run("under the limit that is kept free", func(t *testing.T) {
		full(t, harness.Start(t, harness.Options{Image: harness.Busybox, Engine: e.Host}))
	})
	t.Run("none at all", func(t *testing.T) {
		s := harness.Start(t, harness.Options{
			Image: harness.Busybox, Engine: e.Host,
			Env: []string{"SANDLOT_MIN_FREE_DISK=0"},
		})
		fill, err := os.Create(filepath.Join(disk, "fill"))
		if err != nil {
			t.Fatal(err)
		}
		_, _ = io.Copy(fill, zeros{}) // until there is no room
		_ = fill.Sync()
		_ = fill.Close()
		full(t, s)
		if err := os.Remove(fill.Name()); err != nil {
			t.Fatal(err)
		}
		s.As(t, s.Key).Create(nil).MustExec("true")
	})
}

type zeros struct{}

func (zeros) Read(p []byte) (int, error) { return len(p), nil }

func TestTermDrains(t *testing.T) {
	s := harness.Start(t, harness.Options{Image: harness.Image(t, "", harness.Busybox)})
	c := s.As(t, s.Key)
	box := c.Create(nil)
	exec := func(command string) <-chan string {
		out := make(chan string, 1)
		go func() {
			req, err := http.NewRequest(http.MethodPost, strings.TrimSuffix(box.ToolboxProxyURL,
				"/")+"/"+box.ID+"/process/execute",
				strings.NewReader(`{"command":"`+command+`"}`))
			if err != nil {
				out <- err.Error()
				return
			}
			req.Header.Set("Authorization", "Bearer "+s.Key)
			resp, err := http.DefaultClient.Do(req)
			if err != nil {
				out <- err.Error()
				return
			}
			defer resp.Body.Close()
			data, _ := io.ReadAll(resp.Body)
			out <- string(data)
		}()
		return out
	}
	short, long := exec("echo > /tmp/short; sleep 2; echo ended well"), exec("echo > /tmp/long; sleep 60")
	harness.Until(t, 10*time.Second, "both commands to run", func() bool {
		code, _ := box.Exec("test -e /tmp/short -a -e /tmp/long")
		return code == 0
	})
	took, err := s.Terminate(15 * time.Second)
	if err != nil || took > 10*time.Second {
		t.Errorf("SIGTERM: ended after %s, %v; want within 10 s", took, err)
	}
	if got := <-short; !strings.Contains(got, "ended well") {
		t.Errorf("the request that could end did not: %s", got)
	}
	<-long
	if err := s.Run(); err != nil {
		t.Fatal(err)
	}
	if all := agree(t, s); !all[box.ID] {
		t.Errorf("the sandbox does not run any more: %v", all)
	}
}
