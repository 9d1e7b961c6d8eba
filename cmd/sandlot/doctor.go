package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/http"
	"os"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/docker/docker/api/types/system"
	"github.com/spf13/cobra"

	"github.com/sandlot-dev/sandlot/cli"
	"github.com/sandlot-dev/sandlot/internal/fault"
	"github.com/sandlot-dev/sandlot/runnerd/docker"
	"github.com/sandlot-dev/sandlot/runnerd/inject"
)

// finding is the result of one check.
type finding struct {
	Check  string `json:"check"`
	Result string `json:"result"` // ok, warning or broken
	Detail string `json:"detail"`
	Fix    string `json:"fix,omitempty"`
}

const (
	ok      = "ok"
	warning = "warning"
	broken  = "broken"
)

func doctorCommand(set *settings) *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "doctor",
		Short: "Check what Sandlot needs and say what to mend",
		Long:  "Checks engine, storage driver, control groups, /proc, image, ports, previews, certificates, disk, clock and records. Ends with 1 if something is broken.\n" + localHelp,
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			cfg, _, err := set.config()
			if err != nil {
				return err
			}
			found := examine(cmd.Context(), cfg)
			if asJSON {
				err = json.NewEncoder(cmd.OutOrStdout()).Encode(found)
			} else {
				err = printFindings(cmd.OutOrStdout(), found)
			}
			if err == nil && slices.ContainsFunc(found, func(f finding) bool { return f.Result == broken }) {
				return cli.ExitCode(1)
			}
			return err
		},
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	return cmd
}

func printFindings(w io.Writer, found []finding) error {
	var errs []error
	for _, f := range found {
		mark := map[string]string{ok: "✓", warning: "!", broken: "✗"}[f.Result]
		_, err := fmt.Fprintf(w, "%s %-15s %s\n", mark, f.Check, f.Detail)
		errs = append(errs, err)
		if f.Fix != "" {
			_, err = fmt.Fprintf(w, "  %-15s fix: %s\n", "", f.Fix)
			errs = append(errs, err)
		}
	}
	return errors.Join(errs...)
}

func examine(ctx context.Context, cfg config) []finding {
	ctx, cancel := context.WithTimeout(ctx, 20*time.Second)
	defer cancel()
	_, running, _ := readState(cfg.Data) // an unreadable state is a server that does not run
	found := checkEngine(ctx, cfg)
	found = append(found, checkProgram())
	for _, p := range []struct{ name, addr string }{{"api port", cfg.APIListen}, {"proxy port", cfg.ProxyListen}} {
		found = append(found, checkPort(ctx, p.name, p.addr, running))
	}
	return append(found, checkPreviews(ctx, cfg), checkCA(cfg), checkDisk("data disk", cfg.Data, 256), checkClock(ctx, cfg, running), checkStrangers(ctx, cfg))
}

func checkEngine(ctx context.Context, cfg config) []finding {
	const startIt = "install and start it: scripts/engine, or `apt-get install docker.io && systemctl start docker`"
	api, err := docker.NewClient(cfg.DockerHost)
	if err != nil {
		return []finding{{"engine", broken, err.Error(), "set docker_host to an address like unix:///var/run/docker.sock"}}
	}
	defer api.Close() // nothing to lose
	info, err := api.Info(ctx)
	if err != nil {
		fix := startIt
		if errors.Is(err, fs.ErrPermission) || strings.Contains(err.Error(), "permission denied") {
			fix = "add your user to the group docker (as root: usermod -aG docker NAME) and log in again"
		}
		return []finding{{"engine", broken, err.Error(), fix}}
	}
	found := []finding{
		{"engine", ok, fmt.Sprintf("Docker %s at %s, %d containers", info.ServerVersion, api.DaemonHost(), info.Containers), ""},
		checkStorage(info),
		checkCgroup(info),
		checkProc(ctx, cfg),
		checkDisk("engine disk", info.DockerRootDir, uint64(cfg.MinFreeDisk)),
	}
	if info.Architecture != "x86_64" && runtime.GOARCH == "amd64" || info.OSType != "linux" {
		found = append(found, finding{"platform", broken, info.OSType + "/" + info.Architecture, "run Sandlot on the engine's own host"})
	}
	if err := docker.CheckNetwork(ctx, api, cfg.Network); fault.CodeOf(err) != "" {
		found = append(found, finding{"network", broken, err.Error(), "remove it, or set network to another name"})
	}
	if _, err := api.ImageInspect(ctx, cfg.DefaultImage); err != nil {
		found = append(found, finding{"default image", broken, err.Error(), "build it: make images, or set default_image to one that is there"})
	} else {
		found = append(found, finding{"default image", ok, cfg.DefaultImage, ""})
	}
	return found
}

func checkStorage(info system.Info) finding {
	switch info.Driver {
	case "overlay2", "overlayfs", "btrfs", "zfs":
		return finding{"storage driver", ok, info.Driver, ""}
	}
	return finding{"storage driver", warning, info.Driver + " is slow: every sandbox copies its image", "put the engine's data on ext4, xfs, btrfs or zfs"}
}

func checkCgroup(info system.Info) finding {
	var missing []string
	for _, c := range []struct {
		name string
		has  bool
	}{{"memory", info.MemoryLimit}, {"cpu", info.CPUCfsQuota}, {"pids", info.PidsLimit}, {"swap", info.SwapLimit}} {
		if !c.has {
			missing = append(missing, c.name)
		}
	}
	detail := "version " + info.CgroupVersion
	if len(missing) > 0 {
		return finding{"control groups", warning, detail + ", no limits for " + strings.Join(missing, ", "), "enable these controllers in the kernel's command line (cgroup_enable=memory swapaccount=1)"}
	}
	return finding{"control groups", ok, detail, ""}
}

// checkProc says what programs see that ask /proc for the memory that they have.
func checkProc(ctx context.Context, cfg config) finding {
	const check, machines = "sandbox's /proc", "programs see the whole machine's memory and uptime; their limits hold all the same"
	err := docker.CheckLXCFS(ctx)
	switch {
	case cfg.Runtime != "" && cfg.Runtime != "runc" && cfg.Runtime != "crun":
		return finding{check, ok, "what the runtime " + cfg.Runtime + " shows", ""}
	case err == nil:
		return finding{check, ok, "lxcfs: programs in new sandboxes see their own memory and uptime", ""}
	case errors.Is(err, fs.ErrNotExist):
		return finding{check, warning, "no lxcfs: " + machines, "install it: scripts/engine, or `apt-get install lxcfs`; then make new sandboxes"}
	default:
		return finding{
			check, warning, err.Error() + ": " + machines + "; sandboxes that ran before cannot read memory and uptime at all",
			"start it anew: scripts/engine, or `systemctl restart lxcfs`; then stop and start those sandboxes",
		}
	}
}

func checkProgram() finding {
	program, err := inject.Toolboxd()
	if err != nil {
		return finding{"toolboxd", broken, err.Error(), "make build"}
	}
	return finding{"toolboxd", ok, fmt.Sprintf("%.1f MB inside this program", float64(len(program))/1e6), ""}
}

func checkPort(ctx context.Context, name, addr string, running bool) finding {
	if running {
		d := net.Dialer{Timeout: time.Second}
		conn, err := d.DialContext(ctx, "tcp", reachable(addr))
		if err != nil {
			return finding{name, broken, "Sandlot runs but " + addr + " does not answer: " + err.Error(), "sandlot down, then sandlot up"}
		}
		_ = conn.Close() // nothing was sent
		return finding{name, ok, addr + " answers", ""}
	}
	var lc net.ListenConfig
	ln, err := lc.Listen(ctx, "tcp", addr)
	if err != nil {
		return finding{name, broken, err.Error(), "end what listens there, or choose another address (" + strings.ReplaceAll(name, " port", "_listen") + ")"}
	}
	_ = ln.Close() // nothing came in
	return finding{name, ok, addr + " is free", ""}
}

func checkPreviews(ctx context.Context, cfg config) finding {
	found := resolvePreviews(ctx, cfg)
	switch {
	case found.mode == previewHost && found.limits == "":
		return finding{"previews", ok, "host: " + cfg.PreviewURL, ""}
	case found.mode == previewHost:
		return finding{"previews", warning, "host: " + found.limits, "set preview_mode to loopback, or preview_url to a domain whose names resolve to this machine"}
	case found.mode == previewLoopback:
		return finding{"previews", ok, "loopback: each sandbox has an address of its own in 127.64.0.0/10; " + found.limits, ""}
	}
	return finding{"previews", warning, "path: " + found.limits, "set preview_url to a domain whose names resolve to this machine"}
}

func checkCA(cfg config) finding {
	raw, err := os.ReadFile(cfg.CABundle)
	if err != nil {
		return finding{"certificates", warning, err.Error(), "install ca-certificates, or set ca_bundle"}
	}
	n := strings.Count(string(raw), "-----BEGIN CERTIFICATE-----")
	if n == 0 {
		return finding{"certificates", broken, cfg.CABundle + " holds no certificate", "set ca_bundle to a PEM file"}
	}
	return finding{"certificates", ok, fmt.Sprintf("%s, %d certificates", cfg.CABundle, n), ""}
}

func checkDisk(name, path string, needMiB uint64) finding {
	for {
		if _, err := os.Stat(path); err == nil || len(path) < 2 {
			break
		}
		path = path[:max(1, strings.LastIndexByte(path, '/'))]
	}
	var st syscall.Statfs_t
	if err := syscall.Statfs(path, &st); err != nil {
		return finding{name, warning, path + ": " + err.Error(), ""}
	}
	free := st.Bavail * uint64(st.Bsize) >> 20
	detail := fmt.Sprintf("%s, %d MiB free", path, free)
	if free < needMiB {
		return finding{name, broken, detail, fmt.Sprintf("free at least %d MiB there", needMiB)}
	}
	return finding{name, ok, detail, ""}
}

// checkClock holds this machine's clock against the times that its file system writes, and against a running server's.
func checkClock(ctx context.Context, cfg config, running bool) finding {
	if year := time.Now().Year(); year < 2026 {
		return finding{"clock", broken, time.Now().UTC().Format(time.RFC3339) + " is in the past; certificates will be refused", "set the clock, for example with systemd-timesyncd"}
	}
	if running {
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+reachable(cfg.APIListen)+"/api/health", nil)
		if err == nil {
			if res, err := http.DefaultClient.Do(req); err == nil {
				_ = res.Body.Close() // only its header counts
				at, err := http.ParseTime(res.Header.Get("Date"))
				if skew := time.Since(at).Abs(); err == nil && skew > 10*time.Second {
					return finding{"clock", broken, fmt.Sprintf("the server's clock differs by %v", skew), "synchronise the clocks"}
				}
			}
		}
	}
	return finding{"clock", ok, time.Now().UTC().Format(time.RFC3339), ""}
}
