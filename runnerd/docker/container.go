package docker

import (
	"encoding/json"
	"fmt"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"

	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/api/types/mount"
	"github.com/docker/go-units"

	"github.com/sandlot-dev/sandlot/runnerd/sandbox"
)

// Labels of what Sandlot makes in an engine.
const (
	labelManaged  = "sandlot.managed"  // "true" on every container, network and image of any instance
	labelInstance = "sandlot.instance" // which installation it belongs to
	labelSandbox  = "sandlot.sandbox"  // the sandbox's id
	labelOrg      = "sandlot.organization"
	labelSpec     = "sandlot.spec" // lifecycle.Spec as JSON, from which a lost record is written again
)

const (
	cpuPeriod = 100_000 // µs
	logSize   = "10m"   // of each of the two files in which the engine keeps what toolboxd prints
)

// onlineFile is what C programs and getconf read to count processors. In Config.Online a file named for each number
// of cores below the host's has the content that the kernel would show on a host of that size.
const onlineFile = "/sys/devices/system/cpu/online"

// leastShared is the size that engines give /dev/shm by default.
const leastShared = 64 << 20

// sharedMemory returns the mount options of /dev/shm in a sandbox with so many bytes of memory. The size is half of
// it. The number of files is limited, because empty files alone could fill the whole memory, and killing a process
// would not free it.
func sharedMemory(memory int64) string {
	return fmt.Sprintf("rw,nosuid,nodev,noexec,mode=1777,size=%d,nr_inodes=16384", max(memory/2, leastShared))
}

// capabilities of hardened sandboxes: those that package managers need, and servers that change their user.
var capabilities = []string{
	"CHOWN", "DAC_OVERRIDE", "FOWNER", "KILL", "NET_BIND_SERVICE", "SETFCAP", "SETGID", "SETUID", "SYS_CHROOT",
}

// containerConfig translates spec for the engine.
func (e *Engine) containerConfig(spec sandbox.ContainerSpec) (*container.Config, *container.HostConfig) {
	box := spec.Sandbox
	whole, _ := json.Marshal(box) // strings and numbers: it cannot fail
	cfg := &container.Config{
		Hostname:   box.ID,
		User:       box.User,
		Image:      box.Image,
		Env:        variables(spec.Env),
		Entrypoint: spec.Command[:1],
		Cmd:        spec.Command[1:],
		Labels: map[string]string{
			labelManaged: "true", labelInstance: e.cfg.Instance, labelSandbox: box.ID, labelOrg: box.Organization,
			labelSpec: string(whole),
		},
	}
	memory, pids := int64(box.Memory)<<30, e.cfg.PidsLimit
	host := &container.HostConfig{
		NetworkMode: container.NetworkMode(e.cfg.Network),
		// A sandbox finds its own limits at the root of its control groups, where Node reads them.
		CgroupnsMode: container.CgroupnsModePrivate,
		LogConfig:    container.LogConfig{Type: "json-file", Config: map[string]string{"max-size": logSize, "max-file": "2"}},
		Runtime:      e.cfg.Runtime,
		Resources: container.Resources{
			CPUPeriod: cpuPeriod, CPUQuota: int64(box.CPU) * cpuPeriod,
			Memory: memory, MemorySwap: memory, // the sum of both: no swap
			PidsLimit: &pids,
			Ulimits:   []*units.Ulimit{{Name: "core"}},
		},
	}
	for _, m := range spec.Mounts {
		host.Mounts = append(host.Mounts, bind(m.Source, m.Target, m.ReadOnly))
	}
	shares := slices.Contains(sharing, e.cfg.Runtime)
	if shares && e.cfg.Online != "" && box.CPU > 0 && box.CPU < runtime.NumCPU() {
		host.Mounts = append(host.Mounts, bind(filepath.Join(e.cfg.Online, strconv.Itoa(box.CPU)), onlineFile, true))
	}
	if shares {
		host.Tmpfs = map[string]string{"/dev/shm": sharedMemory(memory)}
	}
	if e.cfg.Profile != ProfileCompat {
		host.CapDrop, host.CapAdd, host.SecurityOpt = []string{"ALL"}, capabilities, []string{"no-new-privileges"}
	}
	return cfg, host
}

func bind(source, target string, readOnly bool) mount.Mount {
	return mount.Mount{Type: mount.TypeBind, Source: source, Target: target, ReadOnly: readOnly}
}

// variables returns an environment as the engine takes it, in an order that is always the same.
func variables(env map[string]string) []string {
	list := make([]string, 0, len(env))
	for name, value := range env {
		list = append(list, name+"="+value)
	}
	slices.Sort(list)
	return list
}
