package docker

import (
	"encoding/json"
	"fmt"
	"maps"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"

	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/api/types/image"
	"github.com/docker/docker/api/types/mount"
	"github.com/docker/docker/api/types/network"
	"github.com/docker/go-units"

	"github.com/sandlot-dev/sandlot/internal/lifecycle"
)

// Labels of what Sandlot makes in an engine.
const (
	labelManaged  = "sandlot.managed"  // "true" on every container, network and image of any instance
	labelInstance = "sandlot.instance" // which installation it belongs to
	labelSandbox  = "sandlot.sandbox"  // the sandbox's id
	labelOrg      = "sandlot.organization"
	labelSpec     = "sandlot.spec" // lifecycle.Spec as JSON, from which a lost record is written anew
)

// InjectPath is where a sandbox finds toolboxd and the trusted certificates. Nothing may be mounted over it.
const InjectPath = "/opt/sandlot"

const (
	toolboxd  = InjectPath + "/toolboxd"
	caFile    = InjectPath + "/ca-certificates.crt"
	cpuPeriod = 100_000 // µs
	logSize   = "10m"   // of the engine's record of what toolboxd prints, twice that in all
)

// caVariables name the certificate file to tools that do not ask the system's store, or ask one that the image may not have.
var caVariables = []string{
	"SSL_CERT_FILE", "CURL_CA_BUNDLE", "GIT_SSL_CAINFO", "NODE_EXTRA_CA_CERTS", "REQUESTS_CA_BUNDLE", "PIP_CERT", "AWS_CA_BUNDLE",
}

// cpuVariables tell the sandbox's cores to what counts the machine's otherwise: nproc and numeric libraries, and Python. Go, Java and
// Node ask the control group by themselves, for memory too.
var cpuVariables = []string{"OMP_NUM_THREADS", "PYTHON_CPU_COUNT"}

// OnlineFolder is where in Config.Inject a file for each number of cores less than the host's says what the kernel would say of a host of
// that size. It stands in for the kernel's own file, which C programs and getconf ask.
const (
	OnlineFolder = "online"
	onlineFile   = "/sys/devices/system/cpu/online"
)

// leastShared is the size of /dev/shm that engines give by themselves.
const leastShared = 64 << 20

// sharedMemory are the options of /dev/shm in a sandbox of that much memory: half of it, and a part of it. Without a limit of files, empty ones alone
// could fill all of it, and no process could be killed to free it but toolboxd.
func sharedMemory(memory int64) string {
	return fmt.Sprintf("rw,nosuid,nodev,noexec,mode=1777,size=%d,nr_inodes=16384", max(memory/2, leastShared))
}

// sharing are runtimes that share the host's kernel and so its view of processors. Others have one of their own.
var sharing = []string{"", "runc", "crun"}

// capabilities that hardened sandboxes keep: what package managers and servers that change user need (runtime.md X1).
var capabilities = []string{
	"CHOWN", "DAC_OVERRIDE", "FOWNER", "KILL", "NET_BIND_SERVICE", "SETFCAP", "SETGID", "SETUID", "SYS_CHROOT",
}

func (e *Engine) containerConfig(spec lifecycle.Spec, img image.InspectResponse) (*container.Config, *container.HostConfig, *network.NetworkingConfig) {
	whole, _ := json.Marshal(spec) // texts and numbers: it cannot fail
	imgEnv, entrypoint, cmd, dir := []string(nil), []string(nil), []string(nil), ""
	if img.Config != nil {
		imgEnv, entrypoint, cmd, dir = img.Config.Env, img.Config.Entrypoint, img.Config.Cmd, img.Config.WorkingDir
	}
	if len(entrypoint) > 0 && entrypoint[0] == toolboxd { // our own images
		entrypoint = nil
	}
	start := slices.Concat(entrypoint, cmd)
	if len(start) > 0 {
		start = slices.Insert(start, 0, "--")
	}
	cfg := &container.Config{
		Hostname:   spec.ID,
		User:       spec.User,
		Image:      spec.Image,
		Env:        e.environment(spec, imgEnv, dir == ""),
		Entrypoint: []string{toolboxd},
		Cmd:        start,
		WorkingDir: dir,
		Labels: map[string]string{
			labelManaged: "true", labelInstance: e.cfg.Instance, labelSandbox: spec.ID, labelOrg: spec.Organization,
			labelSpec: string(whole),
		},
	}
	memory, pids := int64(spec.Memory)<<30, e.cfg.PidsLimit
	host := &container.HostConfig{
		NetworkMode: container.NetworkMode(e.cfg.Network),
		// A sandbox finds its own limits at the root of what it sees of control groups, where Node looks for them.
		CgroupnsMode: container.CgroupnsModePrivate,
		Mounts:       []mount.Mount{{Type: mount.TypeBind, Source: e.cfg.Inject, Target: InjectPath, ReadOnly: true}},
		LogConfig:    container.LogConfig{Type: "json-file", Config: map[string]string{"max-size": logSize, "max-file": "2"}},
		Runtime:      e.cfg.Runtime,
		Resources: container.Resources{
			CPUPeriod: cpuPeriod, CPUQuota: int64(spec.CPU) * cpuPeriod,
			Memory: memory, MemorySwap: memory, // the sum of both: no swap
			PidsLimit: &pids,
			Ulimits:   []*units.Ulimit{{Name: "core"}},
		},
	}
	if spec.CPU > 0 && spec.CPU < runtime.NumCPU() && slices.Contains(sharing, e.cfg.Runtime) {
		host.Mounts = append(host.Mounts, mount.Mount{
			Type: mount.TypeBind, Source: filepath.Join(e.cfg.Inject, OnlineFolder, strconv.Itoa(spec.CPU)), Target: onlineFile, ReadOnly: true,
		})
	}
	if slices.Contains(sharing, e.cfg.Runtime) {
		host.Tmpfs = map[string]string{"/dev/shm": sharedMemory(memory)}
	}
	if e.cfg.Profile != ProfileCompat {
		host.CapDrop, host.CapAdd, host.SecurityOpt = []string{"ALL"}, capabilities, []string{"no-new-privileges"}
	}
	return cfg, host, nil
}

// ownPrefix begins the names of variables that tell toolboxd what it is. Nobody else sets them in a sandbox.
const ownPrefix = "SANDLOT_"

// environment is, later over earlier: certificates where the image does not see to them itself, the number of cores, the runner's own settings, the creator's
// variables, and who the sandbox is. What others say in variables of ours is made empty, which toolboxd takes for not set.
func (e *Engine) environment(spec lifecycle.Spec, image []string, homeAsDir bool) []string {
	env := map[string]string{}
	if e.cfg.CA && !slices.ContainsFunc(image, func(kv string) bool { return strings.HasPrefix(kv, caVariables[0]+"=") }) {
		for _, name := range caVariables {
			env[name] = caFile
		}
	}
	for _, name := range cpuVariables {
		env[name] = strconv.Itoa(spec.CPU)
	}
	maps.Copy(env, e.cfg.Env)
	maps.Copy(env, spec.Env)
	maps.DeleteFunc(env, func(name, _ string) bool { return strings.HasPrefix(name, ownPrefix) })
	for _, variable := range image {
		if name, _, _ := strings.Cut(variable, "="); strings.HasPrefix(name, ownPrefix) {
			env[name] = ""
		}
	}
	maps.Copy(env, map[string]string{
		"DAYTONA_SANDBOX_ID":       spec.ID,
		"DAYTONA_SANDBOX_SNAPSHOT": spec.Snapshot,
		"DAYTONA_ORGANIZATION_ID":  spec.Organization,
		"DAYTONA_REGION_ID":        spec.Region,
		"SANDLOT_SECRET_SHA256":    e.cfg.SecretHash(spec.ID),
	})
	if spec.User != "" {
		env["DAYTONA_SANDBOX_USER"] = spec.User
	}
	if homeAsDir {
		env["DAYTONA_USER_HOME_AS_WORKDIR"] = "true"
	}
	list := make([]string, 0, len(env))
	for name, value := range env {
		list = append(list, name+"="+value)
	}
	slices.Sort(list)
	return list
}
