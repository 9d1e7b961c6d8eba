//go:build e2e

package chaos_test

import (
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/sandlot-dev/sandlot/tests/harness"
)

// full returns n, or less where tests run in small sizes.
func full(n, small int) int {
	if os.Getenv("SANDLOT_FULL") == "" {
		return small
	}
	return n
}

// happened is what the engine did to this Sandlot's containers between a time and now, and within a little while from
// now.
func happened(t *testing.T, s *harness.Sandlot, since time.Time, events ...string) string {
	t.Helper()
	args := []string{
		"events", "--since", fmt.Sprintf("%d.%09d", since.Unix(), since.Nanosecond()), "--until", "400ms",
		"--filter", "label=" + harness.Label + "=" + s.Instance, "--format", "{{.Action}} {{.Actor.Attributes.name}}",
	}
	until := time.Now().Add(400 * time.Millisecond)
	args[4] = fmt.Sprintf("%d.%09d", until.Unix(), until.Nanosecond())
	for _, e := range events {
		args = append(args, "--filter", "event="+e)
	}
	out, err := s.Docker(args...)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// database copies the database of a Sandlot that does not run to a folder, or from there into its place.
func database(t *testing.T, s *harness.Sandlot, dir string, back bool) {
	t.Helper()
	for _, suffix := range []string{"", "-wal", "-shm"} {
		from, to := filepath.Join(s.Data, "sandlot.db"+suffix), filepath.Join(dir, "sandlot.db"+suffix)
		if back {
			from, to = to, from
		}
		_ = os.Remove(to)
		content, err := os.ReadFile(from)
		if os.IsNotExist(err) && suffix != "" {
			continue
		}
		if err == nil {
			err = os.WriteFile(to, content, 0o600)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
}

func lose(s *harness.Sandlot) {
	for _, suffix := range []string{"", "-wal", "-shm"} {
		_ = os.Remove(filepath.Join(s.Data, "sandlot.db"+suffix))
	}
}

// TestLostOldAndForeignDatabasesRemoveNothing starts Sandlot again and again beside the same sandboxes, with a
// database that is empty, older, or another installation's. Nothing is removed, ended or started; and in the end the
// lost sandboxes are adopted.
func TestLostOldAndForeignDatabasesRemoveNothing(t *testing.T) {
	image := harness.Image(t, "", harness.Busybox)
	other := harness.Start(t, harness.Options{Image: image})
	other.As(t, other.Key).Create(nil)
	if _, err := other.Terminate(15 * time.Second); err != nil {
		t.Fatal(err)
	}
	foreign := t.TempDir()
	database(t, other, foreign, false)
	if err := other.Run(); err != nil {
		t.Fatal(err)
	}

	s := harness.Start(t, harness.Options{Image: image})
	c := s.As(t, s.Key)
	kept, ended, gone := c.Create(map[string]any{
		"name": "kept", "labels": map[string]string{"team": "core"},
		"env": map[string]string{"A": "1"},
	}), c.Create(nil), c.Create(nil)
	rested := c.Create(map[string]any{"autoDeleteInterval": 0, "autoStopInterval": 1})
	kept.MustExec("echo data > /root/file")
	stop := func() {
		t.Helper()
		if _, err := s.Terminate(15 * time.Second); err != nil {
			t.Fatal(err)
		}
	}
	run := func() {
		t.Helper()
		if err := s.Run(); err != nil {
			t.Fatal(err)
		}
	}
	stop()
	older, today := t.TempDir(), t.TempDir()
	database(t, s, older, false)
	run()
	c.API("POST", "/sandbox/"+ended.ID+"/stop", nil).Want(http.StatusOK)
	c.API("DELETE", "/sandbox/"+gone.ID, nil).Want(http.StatusOK)
	late := c.Create(nil)
	harness.Until(t, 10*time.Second, "the deleted one to be gone", func() bool {
		all, err := present(s)
		_, there := all[gone.ID]
		return err == nil && !there
	})
	stop()
	database(t, s, today, false)
	want, err := present(s)
	if err != nil || len(want) != 4 {
		t.Fatalf("%v, %v; want four containers", want, err)
	}

	for i := range full(100, 12) {
		began := time.Now()
		switch i % 3 {
		case 0:
			lose(s)
		case 1:
			database(t, s, older, true)
		case 2:
			database(t, s, foreign, true)
		}
		run() // its first full report has been taken when it answers
		if out := happened(t, s, began, "die", "kill", "stop", "destroy", "start", "pause"); out != "" {
			t.Fatalf("start %d, with a database that is %s:\n%s\nlog:\n%s", i, []string{"empty", "older", "foreign"}[i%3],
				out, s.Process.Tail())
		}
		if i == 0 && !strings.Contains(s.Process.Tail(), "sandlot adopt") {
			t.Errorf("an empty database beside sandboxes is not told:\n%s", s.Process.Tail())
		}
		if i%2 == 0 {
			s.Kill()
		} else {
			stop()
		}
	}

	lose(s)
	run()
	out, err := s.Command("doctor")
	if !strings.Contains(out, "4 sandboxes that the database does not know") {
		t.Errorf("doctor (%v):\n%s", err, out)
	}
	if all, err := listed(s); err != nil || len(all) > 0 {
		t.Errorf("without being asked it adopted %v, %v", all, err)
	}
	out, err = s.Command("adopt", "--json")
	var lines []struct {
		ID, Name string
		Running  bool
	}
	if err != nil || json.Unmarshal([]byte(out), &lines) != nil || len(lines) != 4 {
		t.Errorf("adopt --json: %v\n%s", err, out)
	}
	if out, err := s.Command("adopt", "nonsense"); err == nil {
		t.Errorf("adopt of what is not there: %s", out)
	}
	if out, err := s.Command("adopt", kept.ID); err != nil || !strings.Contains(out, `as "kept"`) {
		t.Errorf("adopt: %v\n%s", err, out)
	}
	if out, err := s.Command("adopt", "--all"); err != nil || strings.Count(out, "adopted ") != 3 {
		t.Errorf("adopt --all: %v\n%s", err, out)
	}
	if got := agree(t, s); len(got) != 4 || !got[kept.ID] || !got[late.ID] || !got[rested.ID] || got[ended.ID] {
		t.Errorf("adopted %v", got)
	}
	var record struct {
		Name               string
		Labels, Env        map[string]string
		AutoStopInterval   int
		AutoDeleteInterval int
	}
	if err := json.Unmarshal(c.API("GET", "/sandbox/kept", nil).Want(http.StatusOK).Body, &record); err != nil ||
		record.Labels["team"] != "core" || record.Env["A"] != "1" || record.AutoStopInterval != 0 ||
		record.AutoDeleteInterval != -1 {
		t.Errorf("adopted record %+v, %v", record, err)
	}
	if got := kept.MustExec("cat /root/file"); got != "data" {
		t.Errorf("its file holds %q", got)
	}
	c.API("POST", "/sandbox/"+ended.ID+"/start", nil).Want(http.StatusOK)
	stop()
	database(t, s, today, true) // and the right one is still right
	run()
	if got := agree(t, s); len(got) != 4 {
		t.Errorf("with the database of the day: %v", got)
	}
}

// TestSelfEndedSandboxesAreNotStartedAgain ends sandboxes from outside of Sandlot while their reports are killed or
// the database fails.
func TestSelfEndedSandboxesAreNotStartedAgain(t *testing.T) {
	image := harness.Image(t, "", harness.Busybox)
	disk := harness.SmallDisk(t, 64)
	s, err := harness.New(disk, harness.Options{Image: image})
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if t.Failed() {
			t.Logf("log of sandlot:\n%s", s.Process.Tail())
		}
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	}()
	c := s.As(t, s.Key)
	kill := func() {
		s.Kill()
		if err := s.Run(); err != nil {
			t.Fatal(err)
		}
	}
	fill := func() (free func()) {
		f, err := os.Create(filepath.Join(disk, "fill"))
		if err != nil {
			t.Fatal(err)
		}
		_, _ = io.Copy(f, zeros{}) // until there is no room
		return func() { _ = f.Close(); _ = os.Remove(f.Name()) }
	}
	ways := []struct {
		name string
		tell func(end func())
	}{
		{"killed before", func(end func()) { s.Kill(); end(); kill() }},
		{"killed while it is told", func(end func()) {
			done := make(chan struct{})
			go func() { defer close(done); end() }()
			<-time.After(rand.N(150 * time.Millisecond))
			kill()
			<-done
		}},
		{"killed just after", func(end func()) { end(); kill() }},
		{"database fails, then killed", func(end func()) { free := fill(); end(); s.Kill(); free(); kill() }},
		{"database fails for a while", func(end func()) { free := fill(); end(); free() }},
	}
	const together = 8
	rounds := full(25, 5) // times 8: 200 sandboxes
	for i := range rounds {
		way := ways[i%len(ways)]
		ids := make([]string, together)
		var made sync.WaitGroup
		for n := range ids {
			made.Go(func() {
				var box struct{ ID, State string }
				if err := json.Unmarshal(c.API("POST", "/sandbox", map[string]any{}).Body, &box); err != nil ||
					box.State != "started" {
					t.Errorf("create: %+v, %v", box, err)
				}
				ids[n] = box.ID
			})
		}
		if made.Wait(); t.Failed() {
			t.FailNow()
		}
		began := time.Now()
		t.Logf("round %d: %s", i, way.name)
		way.tell(func() {
			var all sync.WaitGroup
			for n, id := range ids {
				how := []string{"KILL", "TERM", "SEGV"}[n%3] // the last two as anybody's mistake inside would
				all.Go(func() { _, _ = s.Docker("kill", "-s", how, id) })
			}
			all.Wait()
			harness.Until(t, 20*time.Second, "the sandboxes to have ended", func() bool {
				has, err := present(s)
				if err != nil {
					return false
				}
				for _, id := range ids {
					if has[id] {
						_, _ = s.Docker("kill", id) // it took the signal and lives
						return false
					}
				}
				return true
			})
		})
		harness.Until(t, agreement, "every one to be stopped", func() bool {
			all, err := listed(s)
			for _, id := range ids {
				if up, there := all[id]; up || !there {
					return false
				}
			}
			return err == nil
		})
		t.Logf("all stopped after %s", time.Since(began).Round(time.Millisecond))
		if out := happened(t, s, began, "start"); out != "" {
			t.Fatalf("%s: started again:\n%s", way.name, out)
		}
		for _, id := range ids {
			c.API("DELETE", "/sandbox/"+id, nil).Want(http.StatusOK)
		}
	}
	agree(t, s)
}
