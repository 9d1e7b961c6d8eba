package docker

import (
	"runtime"
	"slices"
	"strings"
	"testing"

	"github.com/sandlot-dev/sandlot/internal/lifecycle"
	"github.com/sandlot-dev/sandlot/runnerd/sandbox"
)

func newEngine(t *testing.T, change func(*Config)) *Engine {
	t.Helper()
	cfg := Config{Instance: "i"}
	if change != nil {
		change(&cfg)
	}
	e, err := New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = e.Close() }) // it never connected
	return e
}

// specOf describes a container of a sandbox.
func specOf(box lifecycle.Spec) sandbox.ContainerSpec {
	box.ID, box.Organization, box.User = "id", "org", "root"
	return sandbox.ContainerSpec{
		Sandbox: box,
		Command: []string{"/program", "--", "/e", "a"},
		Env:     map[string]string{"B": "2", "A": "1"},
		Mounts:  []sandbox.Mount{{Source: "/host/inject", Target: "/opt/sandlot", ReadOnly: true}},
	}
}

func TestContainerIsHeldAsItShouldBe(t *testing.T) {
	spec := specOf(lifecycle.Spec{Resources: lifecycle.Resources{CPU: 2, Memory: 3}})
	cfg, host := newEngine(t, nil).containerConfig(spec)
	for name, ok := range map[string]bool{
		"not privileged":        !host.Privileged,
		"no capabilities kept":  slices.Equal(host.CapDrop, []string{"ALL"}),
		"few capabilities back": len(host.CapAdd) < 10,
		"none of the host's":    !slices.Contains(host.CapAdd, "SYS_ADMIN") && !slices.Contains(host.CapAdd, "NET_RAW"),
		"no new privileges":     slices.Contains(host.SecurityOpt, "no-new-privileges"),
		"cores":                 host.CPUQuota == 2*host.CPUPeriod,
		"memory without swap":   host.Memory == 3<<30 && host.MemorySwap == host.Memory,
		"processes":             host.PidsLimit != nil && *host.PidsLimit == 1024,
		"log size":              host.LogConfig.Config["max-size"] != "" && host.LogConfig.Config["max-file"] != "",
		"mounts, read-only":     len(host.Mounts) == 1 && host.Mounts[0].ReadOnly && host.Mounts[0].Target == "/opt/sandlot",
		"own bridge":            host.NetworkMode == "sandlot",
		"labels": cfg.Labels[labelInstance] == "i" && cfg.Labels[labelSandbox] == "id" &&
			cfg.Labels[labelManaged] == "true",
		"user":          cfg.User == "root",
		"command":       slices.Equal(slices.Concat(cfg.Entrypoint, cfg.Cmd), spec.Command),
		"first process": slices.Equal(cfg.Entrypoint, []string{"/program"}),
		"environment":   slices.Equal(cfg.Env, []string{"A=1", "B=2"}),
	} {
		if !ok {
			t.Errorf("%s: does not hold; %+v %+v", name, cfg, host)
		}
	}
	_, host = newEngine(t, func(c *Config) { c.Profile = ProfileCompat }).containerConfig(spec)
	if len(host.SecurityOpt) != 0 || len(host.CapDrop) != 0 || host.Privileged {
		t.Errorf("compat profile: %+v", host)
	}
}

func TestSharedMemoryGrowsWithTheSandbox(t *testing.T) {
	for memory, want := range map[int]string{0: "size=67108864", 1: "size=536870912", 8: "size=4294967296"} {
		spec := specOf(lifecycle.Spec{Resources: lifecycle.Resources{CPU: 1, Memory: memory}})
		_, host := newEngine(t, nil).containerConfig(spec)
		options := strings.Split(host.Tmpfs["/dev/shm"], ",")
		if !slices.Contains(options, want) || !slices.Contains(options, "nr_inodes=16384") ||
			!slices.Contains(options, "noexec") {
			t.Errorf("%d GiB: %q, want %s", memory, options, want)
		}
	}
}

func TestKernelTellsTheSandboxsCoresWhereItIsShared(t *testing.T) {
	for _, tc := range []struct {
		runtime string
		cpu     int
		want    bool
	}{
		{"", 1, runtime.NumCPU() > 1}, {"runsc", 1, false}, {"", runtime.NumCPU(), false},
	} {
		e := newEngine(t, func(c *Config) { c.Online, c.Runtime = "/host/online", tc.runtime })
		_, host := e.containerConfig(specOf(lifecycle.Spec{Resources: lifecycle.Resources{CPU: tc.cpu, Memory: 1}}))
		got := false
		for _, m := range host.Mounts {
			got = got || m.Source == "/host/online/1" && m.Target == onlineFile && m.ReadOnly
		}
		if got != tc.want {
			t.Errorf("runtime %q, %d cores: mounted %v, want %v", tc.runtime, tc.cpu, got, tc.want)
		}
	}
}
