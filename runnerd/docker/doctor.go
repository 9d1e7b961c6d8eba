package docker

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"runtime"
	"strings"

	"github.com/docker/docker/api/types/system"

	"github.com/sandlot-dev/sandlot/internal/doctor"
	"github.com/sandlot-dev/sandlot/internal/fault"
)

// Needs is what Check looks for.
type Needs struct {
	Host, Network, Runtime string // as in Config
	Image                  string // must be there
	FreeMiB                uint64 // on the engine's disk
}

// Check examines the engine and its host.
func Check(ctx context.Context, needs Needs) []doctor.Finding {
	const startIt = "install and start it: scripts/engine, or `apt-get install docker.io && systemctl start docker`"
	api, err := NewClient(needs.Host)
	if err != nil {
		const fix = "set docker_host to an address like unix:///var/run/docker.sock"
		return []doctor.Finding{{Check: "engine", Result: doctor.Broken, Detail: err.Error(), Fix: fix}}
	}
	defer api.Close() // nothing to lose
	info, err := api.Info(ctx)
	if err != nil {
		fix := startIt
		if errors.Is(err, fs.ErrPermission) || strings.Contains(err.Error(), "permission denied") {
			fix = "add your user to the group docker (as root: usermod -aG docker NAME) and log in again"
		}
		return []doctor.Finding{{Check: "engine", Result: doctor.Broken, Detail: err.Error(), Fix: fix}}
	}
	engine := fmt.Sprintf("Docker %s at %s, %d containers", info.ServerVersion, api.DaemonHost(), info.Containers)
	found := []doctor.Finding{
		{Check: "engine", Result: doctor.OK, Detail: engine},
		checkStorage(info),
		checkCgroup(info),
		checkProc(ctx, needs.Runtime),
		doctor.Disk("engine disk", info.DockerRootDir, needs.FreeMiB),
	}
	if info.Architecture != "x86_64" && runtime.GOARCH == "amd64" || info.OSType != "linux" {
		found = append(found, doctor.Finding{
			Check: "platform", Result: doctor.Broken, Detail: info.OSType + "/" + info.Architecture,
			Fix: "run Sandlot on the engine's own host",
		})
	}
	if err := CheckNetwork(ctx, api, needs.Network); fault.CodeOf(err) != "" {
		found = append(found, doctor.Finding{
			Check: "network", Result: doctor.Broken, Detail: err.Error(), Fix: "remove it, or set network to another name",
		})
	}
	image := doctor.Finding{Check: "default image", Result: doctor.OK, Detail: needs.Image}
	if _, err := api.ImageInspect(ctx, needs.Image); err != nil {
		image.Result, image.Detail = doctor.Broken, err.Error()
		image.Fix = "build it: make images, or set default_image to one that is there"
	}
	return append(found, image)
}

func checkStorage(info system.Info) doctor.Finding {
	switch info.Driver {
	case "overlay2", "overlayfs", "btrfs", "zfs":
		return doctor.Finding{Check: "storage driver", Result: doctor.OK, Detail: info.Driver}
	}
	return doctor.Finding{
		Check: "storage driver", Result: doctor.Warning, Detail: info.Driver + " is slow: every sandbox copies its image",
		Fix: "put the engine's data on ext4, xfs, btrfs or zfs",
	}
}

func checkCgroup(info system.Info) doctor.Finding {
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
		return doctor.Finding{
			Check: "control groups", Result: doctor.Warning, Detail: detail + ", no limits for " + strings.Join(missing, ", "),
			Fix: "enable these controllers in the kernel's command line (cgroup_enable=memory swapaccount=1)",
		}
	}
	return doctor.Finding{Check: "control groups", Result: doctor.OK, Detail: detail}
}

// checkProc finds out whether programs that read /proc see the memory of their sandbox or of the machine.
func checkProc(ctx context.Context, ociRuntime string) doctor.Finding {
	const (
		check    = "sandbox's /proc"
		machines = "programs see the whole machine's memory and uptime; their limits hold all the same"
	)
	err := CheckLXCFS(ctx)
	switch {
	case ociRuntime != "" && ociRuntime != "runc" && ociRuntime != "crun":
		return doctor.Finding{Check: check, Result: doctor.OK, Detail: "what the runtime " + ociRuntime + " shows"}
	case err == nil:
		return doctor.Finding{
			Check: check, Result: doctor.OK, Detail: "lxcfs: programs in new sandboxes see their own memory and uptime",
		}
	case errors.Is(err, fs.ErrNotExist):
		return doctor.Finding{
			Check: check, Result: doctor.Warning, Detail: "no lxcfs: " + machines,
			Fix: "install it: scripts/engine, or `apt-get install lxcfs`; then make new sandboxes",
		}
	default:
		return doctor.Finding{
			Check: check, Result: doctor.Warning,
			Detail: err.Error() + ": " + machines + "; sandboxes that ran before cannot read memory and uptime at all",
			Fix:    "start it anew: scripts/engine, or `systemctl restart lxcfs`; then stop and start those sandboxes",
		}
	}
}
