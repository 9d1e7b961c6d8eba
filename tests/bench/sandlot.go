package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/containerd/errdefs"
	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/client"
	"github.com/docker/docker/pkg/stdcopy"

	"github.com/sandlot-dev/sandlot/tests/harness"
)

// running starts a private Sandlot, once.
func (b *bench) running() (*harness.Sandlot, error) {
	if b.sandlot != nil {
		return b.sandlot, nil
	}
	for _, name := range []string{harness.Scratch, harness.Busybox, harness.OnlyCMD} {
		if b.image == name {
			if err := harness.MakeImage("", name); err != nil {
				return nil, err
			}
		}
	}
	s, err := harness.New(b.dir, harness.Options{Image: b.image})
	if err != nil {
		return nil, err
	}
	b.sandlot = s
	return s, nil
}

// box is what the bench needs to know of a sandbox.
type box struct{ ID, State, ToolboxProxyURL string }

func (x box) url() string { return strings.TrimSuffix(x.ToolboxProxyURL, "/") + "/" + x.ID }

func (b *bench) newBox(s *harness.Sandlot) (x box, err error) {
	data, err := b.post(s.API+"/sandbox", s.Key, map[string]any{})
	if err != nil {
		return x, err
	}
	if err := json.Unmarshal(data, &x); err != nil || x.State != "started" {
		return x, fmt.Errorf("create: state %q, %v", x.State, err)
	}
	return x, nil
}

func (b *bench) deleteBox(s *harness.Sandlot, x box) error {
	req, err := http.NewRequest(http.MethodDelete, s.API+"/sandbox/"+x.ID, nil)
	if err != nil {
		return err
	}
	_, err = b.do(req, s.Key)
	return err
}

// bare is a container as like a sandbox's as can be, without a daemon in it.
type bare struct {
	api  *client.Client
	like container.InspectResponse
}

func (r bare) config(command ...string) (*container.Config, *container.HostConfig) {
	host := *r.like.HostConfig
	host.Mounts, host.Binds = nil, nil
	return &container.Config{
		Image: r.like.Config.Image, User: r.like.Config.User, Env: r.like.Config.Env,
		Entrypoint: command,
	}, &host
}

func (r bare) make(ctx context.Context, command ...string) (id string, remove func() error, err error) {
	cfg, host := r.config(command...)
	made, err := r.api.ContainerCreate(ctx, cfg, host, nil, nil, "")
	if err != nil {
		return "", nil, err
	}
	return made.ID, func() error { return r.api.ContainerRemove(ctx, made.ID, container.RemoveOptions{Force: true}) }, nil
}

// ownCommand makes and starts a container whose own program prints hi, and reads that.
func (r bare) ownCommand(ctx context.Context) (time.Duration, error) {
	began := time.Now()
	id, remove, err := r.make(ctx, "/bin/sh", "-c", "echo hi")
	if err != nil {
		return 0, err
	}
	out, err := r.api.ContainerAttach(ctx, id, container.AttachOptions{Stream: true, Stdout: true})
	if err != nil {
		return 0, errors.Join(err, remove())
	}
	defer out.Close()
	if err := r.api.ContainerStart(ctx, id, container.StartOptions{}); err != nil {
		return 0, errors.Join(err, remove())
	}
	err = readHi(out.Reader)
	took := time.Since(began)
	return took, errors.Join(err, remove())
}

// withExec makes and starts a container that stays, and runs one command in it.
func (r bare) withExec(ctx context.Context) (time.Duration, error) {
	began := time.Now()
	id, remove, err := r.make(ctx, "/bin/sh", "-c", "sleep 1000")
	if err != nil {
		return 0, err
	}
	if err := r.api.ContainerStart(ctx, id, container.StartOptions{}); err != nil {
		return 0, errors.Join(err, remove())
	}
	made, err := r.api.ContainerExecCreate(ctx, id, container.ExecOptions{
		Cmd:          []string{"/bin/sh", "-c", "echo hi"},
		AttachStdout: true,
	})
	if err != nil {
		return 0, errors.Join(err, remove())
	}
	out, err := r.api.ContainerExecAttach(ctx, made.ID, container.ExecAttachOptions{})
	if err != nil {
		return 0, errors.Join(err, remove())
	}
	defer out.Close()
	err = readHi(out.Reader)
	took := time.Since(began)
	return took, errors.Join(err, remove())
}

func readHi(r *bufio.Reader) error {
	var out strings.Builder
	if _, err := stdcopy.StdCopy(&out, &out, r); err != nil {
		return err
	}
	if out.String() != "hi\n" {
		return fmt.Errorf("output %q", out.String())
	}
	return nil
}

func (b *bench) create() ([]Row, error) {
	s, err := b.running()
	if err != nil {
		return nil, err
	}
	ctx := context.Background()
	api, err := client.NewClientWithOpts(client.FromEnv, client.WithAPIVersionNegotiation())
	if err != nil {
		return nil, err
	}
	defer api.Close()
	first, err := b.newBox(s)
	if err != nil {
		return nil, err
	}
	like, err := api.ContainerInspect(ctx, first.ID)
	if err != nil {
		return nil, err
	}
	if err := b.deleteBox(s, first); err != nil {
		return nil, err
	}
	r := bare{api, like}
	var ours, api1, own, exec []float64
	ms := func(d time.Duration) float64 { return float64(d) / 1e6 }
	for turn := range b.count(15) + 1 {
		began := time.Now()
		x, err := b.newBox(s)
		if err != nil {
			return nil, err
		}
		made := time.Since(began)
		if err := b.exec(x.url(), s.Key, "echo hi", "hi\n"); err != nil {
			return nil, err
		}
		took := time.Since(began)
		if err := b.deleteBox(s, x); err != nil {
			return nil, err
		}
		if err := gone(ctx, api, x.ID); err != nil {
			return nil, err
		}
		a, err := r.ownCommand(ctx)
		if err != nil {
			return nil, fmt.Errorf("bare container: %w", err)
		}
		e, err := r.withExec(ctx)
		if err != nil {
			return nil, fmt.Errorf("bare container with exec: %w", err)
		}
		if turn > 0 { // the first is to warm up
			ours, api1, own, exec = append(ours, ms(took)), append(api1, ms(made)), append(own, ms(a)), append(exec, ms(e))
		}
	}
	total := median(ours)
	return []Row{
		Row{
			What: "create to first output ÷ docker create, start, exec", Unit: "ms", Ours: total,
			Raw: median(exec),
		}.atMostRaw(1.3),
		Row{
			What: "create to first output ÷ docker create, start of the command itself", Unit: "ms", Ours: total,
			Raw: median(own),
		}.atMostRaw(1.3),
		{What: "… of that, POST /sandbox", Unit: "ms", Ours: median(api1)},
	}, nil
}

// gone waits until the container is, so that its removal is not in the next figure.
func gone(ctx context.Context, api *client.Client, id string) error {
	ended, failed := api.ContainerWait(ctx, id, container.WaitConditionRemoved)
	select {
	case <-ended:
		return nil
	case err := <-failed:
		if errdefs.IsNotFound(err) {
			return nil
		}
		return err
	}
}

func (b *bench) proxied() ([]Row, error) {
	s, err := b.running()
	if err != nil {
		return nil, err
	}
	x, err := b.newBox(s)
	if err != nil {
		return nil, err
	}
	ours, floor, err := b.both()
	if err != nil {
		return nil, err
	}
	m, err := alternate(b.count(400),
		task{name: "through the proxy", do: func() error { return b.exec(x.url(), s.Key, "true", "") }},
		task{name: "toolboxd on loopback", do: func() error { return b.exec(ours.url, "", "true", "") }},
		task{name: "floor", do: func() error { return b.exec(floor.url, "", "true", "") }},
		task{name: "raw", do: raw("true", "")})
	if err != nil {
		return nil, err
	}
	return []Row{
		Row{
			What: "execute true through the proxy", Unit: "ms", Ours: m[0], Floor: m[1], Raw: m[3],
			Note: "its floor is toolboxd asked without proxy and container; the command runs in the sandbox, with the " +
				"sandbox's shell",
		}.atMost(4),
	}, b.deleteBox(s, x)
}

func (b *bench) sandlotIdle() ([]Row, error) {
	s, err := b.running()
	if err != nil {
		return nil, err
	}
	x, err := b.newBox(s)
	if err != nil {
		return nil, err
	}
	if err := b.exec(x.url(), s.Key, "true", ""); err != nil {
		return nil, err
	}
	out, err := s.Docker("inspect", "--format", "{{.State.Pid}}", x.ID)
	if err != nil {
		return nil, err
	}
	var pid int
	if _, err := fmt.Sscan(out, &pid); err != nil {
		return nil, err
	}
	b.http.CloseIdleConnections()
	<-time.After(3 * time.Second)
	rss, err := memory(s.Process.PID(), "VmRSS")
	if err != nil {
		return nil, err
	}
	inside, err := memory(pid, "VmRSS")
	if err != nil {
		return nil, err
	}
	wakeups, cpu, err := b.idleWork(s.Process.PID())
	if err != nil {
		return nil, err
	}
	wakeups2, cpu2, err := b.idleWork(pid)
	if err != nil {
		return nil, err
	}
	return []Row{
		Row{What: "idle Sandlot, memory", Unit: "MiB", Ours: rss}.atMost(95), // 100 MB
		Row{What: "idle Sandlot, processor time", Unit: "ms/s", Ours: cpu}.atMost(1),
		{What: "idle Sandlot, wake-ups", Unit: "/s", Ours: wakeups},
		Row{What: "idle sandbox, toolboxd's memory", Unit: "MiB", Ours: inside}.atMost(14.3), // 15 MB
		Row{What: "idle sandbox, processor time", Unit: "ms/s", Ours: cpu2}.atMost(0),
		Row{What: "idle sandbox, wake-ups", Unit: "/s", Ours: wakeups2}.atMost(0),
	}, b.deleteBox(s, x)
}
