//go:build e2e

package e2e_test

import (
	"encoding/json"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/sandlot-dev/sandlot/tests/harness"
)

// stranger makes a container that is not Sandlot's, under a name, and removes it at the end.
func stranger(t *testing.T, name string, labels ...string) {
	t.Helper()
	args := []string{"run", "-d", "--name", name}
	for _, l := range labels {
		args = append(args, "--label", l)
	}
	if _, err := harness.Docker("", nil, append(args, harness.Image(t, "", harness.Busybox), "sleep",
		"100000")...); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _, _ = harness.Docker("", nil, "rm", "-f", name) })
}

func running(t *testing.T, name string) bool {
	t.Helper()
	out, err := harness.Docker("", nil, "inspect", "-f", "{{.State.Running}}", name)
	return err == nil && strings.TrimSpace(out) == "true"
}

// TestAContainerOfTheSameNameIsLeftAlone has the container of a sandbox taken away and one of somebody else in its
// place.
func TestAContainerOfTheSameNameIsLeftAlone(t *testing.T) {
	s := harness.Start(t, harness.Options{Image: harness.Image(t, "", harness.Busybox)})
	c := s.As(t, s.Key)
	for name, labels := range map[string][]string{
		"no labels":              nil,
		"another instance":       {"sandlot.managed=true", harness.Label + "=another", "sandlot.sandbox=ID"},
		"only one label":         {harness.Label + "=" + s.Instance, "sandlot.sandbox=ID"},
		"another sandbox's name": {"sandlot.managed=true", harness.Label + "=" + s.Instance, "sandlot.sandbox=other"},
	} {
		t.Run(name, func(t *testing.T) {
			box := c.Create(nil)
			if _, err := harness.Docker("", nil, "rm", "-f", box.ID); err != nil {
				t.Fatal(err)
			}
			for i := range labels {
				labels[i] = strings.ReplaceAll(labels[i], "ID", box.ID)
			}
			stranger(t, box.ID, labels...)
			for _, act := range []string{"start", "stop", "stop?force=true"} {
				if a := c.API("POST", "/sandbox/"+box.ID+"/"+act, nil); a.Status < 400 {
					t.Errorf("%s was answered with %d %s", act, a.Status, a.Body)
				}
				if !running(t, box.ID) {
					t.Fatalf("%s ended a container that is not ours", act)
				}
			}
			c.API("DELETE", "/sandbox/"+box.ID, nil).Want(http.StatusOK)
			harness.Until(t, 10*time.Second, "the record to be gone", func() bool {
				return c.API("GET", "/sandbox/"+box.ID, nil).Status == http.StatusNotFound
			})
			if !running(t, box.ID) {
				t.Error("the delete removed a container that is not ours")
			}
			_, _ = harness.Docker("", nil, "rm", "-f", box.ID)
		})
	}
}

// TestACopiedDataFolderTouchesNothing starts a second Sandlot on a copy of the first one's data, under an instance of
// its own.
func TestACopiedDataFolderTouchesNothing(t *testing.T) {
	s := harness.Start(t, harness.Options{Image: harness.Image(t, "", harness.Busybox)})
	c := s.As(t, s.Key)
	box, stopped := c.Create(nil), c.Create(nil)
	c.API("POST", "/sandbox/"+stopped.ID+"/stop", nil).Want(http.StatusOK)
	dir := t.TempDir()
	if err := os.CopyFS(filepath.Join(dir, "data"), os.DirFS(s.Data)); err != nil {
		t.Fatal(err)
	}
	other, err := harness.New(dir, harness.Options{Image: harness.Busybox})
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := other.Close(); err != nil {
			t.Error(err)
		}
	}()
	o := other.As(t, other.Key)
	for _, id := range []string{box.ID, stopped.ID} {
		if got := o.API("GET", "/sandbox/"+id, nil).Want(http.StatusOK); !strings.Contains(string(got.Body), `"error"`) {
			t.Errorf("the copy says of a sandbox that is not its own: %s", got.Body)
		}
		_ = o.API("POST", "/sandbox/"+id+"/start", nil)
		_ = o.API("POST", "/sandbox/"+id+"/stop?force=true", nil)
		o.API("DELETE", "/sandbox/"+id, nil).Want(http.StatusOK)
		harness.Until(t, 10*time.Second, "the copy's record to be gone", func() bool {
			return o.API("GET", "/sandbox/"+id, nil).Status == http.StatusNotFound
		})
	}
	if box.MustExec("echo fine") != "fine" {
		t.Error("the sandbox of the first installation does not work any more")
	}
	c.API("POST", "/sandbox/"+stopped.ID+"/start", nil).Want(http.StatusOK)
}

// TestABridgeThatDoesNotSeparateIsRefused has a network of our name on which containers reach each other.
func TestABridgeThatDoesNotSeparateIsRefused(t *testing.T) {
	const name = "sandlot-test-open"
	if _, err := harness.Docker("", nil, "network", "create", "--subnet", "10.214.7.0/24", name); err != nil {
		t.Fatal(err)
	}
	remove := func() { _, _ = harness.Docker("", nil, "network", "rm", name) }
	t.Cleanup(remove) // after Sandlot's own, whose sandbox is on it
	s := harness.Start(t, harness.Options{
		Image: harness.Image(t, "", harness.Busybox),
		Env:   []string{"SANDLOT_NETWORK=" + name},
	})
	c := s.As(t, s.Key)
	a := c.API("POST", "/sandbox", map[string]any{}).Want(http.StatusServiceUnavailable)
	if !strings.Contains(a.Message(), name) || !strings.Contains(a.Message(), "docker network rm") ||
		strings.Contains(a.Message(), "does not answer") {
		t.Errorf("refused with %q; want the network and what to do", a.Message())
	}
	if out, err := s.Command("doctor"); err == nil || !strings.Contains(out, "docker network rm "+name) {
		t.Errorf("doctor: %v\n%s", err, out)
	}
	remove() // as told
	harness.Until(t, 10*time.Second, "a create to work once the network is gone", func() bool {
		return c.API("POST", "/sandbox", map[string]any{}).Status == http.StatusOK
	})
}

// TestASandboxThatDiesWhileItStartsIsToldAtOnce has an image whose toolbox cannot live.
func TestASandboxThatDiesWhileItStartsIsToldAtOnce(t *testing.T) {
	s := harness.Start(t, harness.Options{Image: harness.Image(t, "", harness.Busybox)})
	c := s.As(t, s.Key)
	box := c.Create(nil)
	c.API("POST", "/sandbox/"+box.ID+"/stop", nil).Want(http.StatusOK)
	done := make(chan struct{})
	go func() {
		defer close(done)
		harness.Wait(10*time.Second, func() bool {
			_, err := harness.Docker("", nil, "kill", box.ID)
			return err == nil
		})
	}()
	began := time.Now()
	a := c.API("POST", "/sandbox/"+box.ID+"/start", nil)
	took := time.Since(began)
	<-done
	if took > 4*time.Second {
		t.Errorf("a start that was killed was answered after %s: %d %s", took, a.Status, a.Body)
	}
	harness.Until(t, 5*time.Second, "the sandbox not to be starting", func() bool {
		var got struct{ State string }
		if err := json.Unmarshal(c.API("GET", "/sandbox/"+box.ID, nil).Body, &got); err != nil {
			t.Fatal(err)
		}
		return got.State == "stopped" || got.State == "error"
	})
}
