//go:build e2e

package docker_test

import (
	"context"
	"crypto/rand"
	"strings"
	"testing"

	"github.com/google/uuid"

	"github.com/sandlot-dev/sandlot/internal/lifecycle"
	"github.com/sandlot-dev/sandlot/runnerd/docker"
	"github.com/sandlot-dev/sandlot/runnerd/sandbox"
	"github.com/sandlot-dev/sandlot/runnerd/sandbox/sandboxtest"
	"github.com/sandlot-dev/sandlot/tests/harness"
)

// open returns an Engine of a new instance on this machine's engine.
func open(t *testing.T, network string) *docker.Engine {
	t.Helper()
	e, err := docker.New(docker.Config{
		Instance: "test-" + strings.ToLower(rand.Text()[:10]), Network: network, Proc: t.TempDir(),
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := e.Close(); err != nil {
			t.Error(err)
		}
	})
	return e
}

// TestEngine holds the Engine to the contract of all Drivers.
func TestEngine(t *testing.T) {
	image := harness.Image(t, "", harness.Busybox)
	stranger := func(t *testing.T, name string) (is func() bool) {
		if _, err := harness.Docker("", nil, "run", "-d", "--name", name, image, "sleep", "100000"); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _, _ = harness.Docker("", nil, "rm", "-f", name) })
		return func() bool {
			out, err := harness.Docker("", nil, "inspect", "-f", "{{.State.Running}}", name)
			return err == nil && strings.TrimSpace(out) == "true"
		}
	}
	sandboxtest.Driver(t, func(t *testing.T) sandboxtest.Engine {
		return sandboxtest.Engine{Driver: open(t, ""), Image: image, Stranger: stranger}
	})
}

// TestASandboxStartsAgainAfterItsNetworkWasMadeAnew does what doctor tells to do with a network that does not keep
// sandboxes apart.
func TestASandboxStartsAgainAfterItsNetworkWasMadeAnew(t *testing.T) {
	name := "sandlot-test-" + strings.ToLower(rand.Text()[:8])
	id, image := uuid.NewString(), harness.Image(t, "", harness.Busybox)
	e := open(t, name)
	t.Cleanup(func() {
		if err := e.Remove(context.WithoutCancel(t.Context()), id); err != nil {
			t.Error(err)
		}
		_, _ = harness.Docker("", nil, "network", "rm", name)
	})
	prepared := func() { // as whenever a runner connects to its engine
		ctx, cancel := context.WithCancel(t.Context())
		if err := e.Watch(ctx, cancel, func(string, bool) {}); ctx.Err() == nil {
			t.Fatal(err)
		}
	}
	start := func(c sandbox.Container) {
		t.Helper()
		for range 2 {
			if err := e.Attach(t.Context(), c); err != nil {
				t.Fatal(err)
			}
		}
		started, err := e.Start(t.Context(), c)
		if err != nil || !started.Addr.IsValid() || !started.Attached {
			t.Fatalf("Start = %+v, %v", started, err)
		}
		if err := e.Stop(t.Context(), id, 0); err != nil {
			t.Fatal(err)
		}
	}
	prepared()
	c, _, err := e.Make(t.Context(), sandbox.ContainerSpec{
		Sandbox: lifecycle.Spec{
			Identity: lifecycle.Identity{ID: id}, Resources: lifecycle.Resources{CPU: 1, Memory: 1}, Image: image,
		},
		Command: []string{"/bin/sleep", "100000"},
	})
	if err != nil {
		t.Fatal(err)
	}
	start(c)
	if _, err := harness.Docker("", nil, "network", "rm", name); err != nil {
		t.Fatal(err)
	}
	prepared()
	if c, err = e.Inspect(t.Context(), id); err != nil || c.Attached {
		t.Fatalf("Inspect = %+v, %v; want it detached", c, err)
	}
	start(c)
}
