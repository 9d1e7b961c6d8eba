package docker

import (
	"slices"
	"testing"

	"github.com/docker/docker/api/types/image"
	dockerspec "github.com/moby/docker-image-spec/specs-go/v1"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/sandlot-dev/sandlot/internal/lifecycle"
)

func newEngine(t *testing.T, change func(*Config)) *Engine {
	t.Helper()
	cfg := Config{Instance: "i", Inject: "/host/inject", CA: true, SecretHash: func(id string) string { return "hash-of-" + id }}
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

func inspect(env, entrypoint, cmd []string, dir string) image.InspectResponse {
	return image.InspectResponse{Config: &dockerspec.DockerOCIImageConfig{ImageConfig: ocispec.ImageConfig{
		Env: env, Entrypoint: entrypoint, Cmd: cmd, WorkingDir: dir,
	}}}
}

func TestContainerIsHeldAsItShouldBe(t *testing.T) {
	spec := lifecycle.Spec{
		Identity:  lifecycle.Identity{ID: "id", Organization: "org"},
		Resources: lifecycle.Resources{CPU: 2, Memory: 3},
		User:      "root",
	}
	cfg, host, _ := newEngine(t, nil).containerConfig(spec, inspect(nil, nil, nil, "/w"))
	for name, ok := range map[string]bool{
		"not privileged":        !host.Privileged,
		"no capabilities kept":  slices.Equal(host.CapDrop, []string{"ALL"}),
		"few capabilities back": len(host.CapAdd) < 10 && !slices.Contains(host.CapAdd, "SYS_ADMIN") && !slices.Contains(host.CapAdd, "NET_RAW"),
		"no new privileges":     slices.Contains(host.SecurityOpt, "no-new-privileges"),
		"cores":                 host.CPUQuota == 2*host.CPUPeriod,
		"memory without swap":   host.Memory == 3<<30 && host.MemorySwap == host.Memory,
		"processes":             host.PidsLimit != nil && *host.PidsLimit == 1024,
		"log size":              host.LogConfig.Config["max-size"] != "" && host.LogConfig.Config["max-file"] != "",
		"toolboxd read-only":    len(host.Mounts) == 1 && host.Mounts[0].ReadOnly && host.Mounts[0].Target == "/opt/sandlot",
		"own bridge":            host.NetworkMode == "sandlot",
		"labels":                cfg.Labels[labelInstance] == "i" && cfg.Labels[labelSandbox] == "id" && cfg.Labels[labelManaged] == "true",
		"user":                  cfg.User == "root",
		"secret only as hash":   slices.Contains(cfg.Env, "SANDLOT_SECRET_SHA256=hash-of-id"),
	} {
		if !ok {
			t.Errorf("%s: does not hold; %+v %+v", name, cfg, host)
		}
	}
	_, host, _ = newEngine(t, func(c *Config) { c.Profile = ProfileCompat }).containerConfig(spec, inspect(nil, nil, nil, "/w"))
	if len(host.SecurityOpt) != 0 || len(host.CapDrop) != 0 || host.Privileged {
		t.Errorf("compat profile: %+v", host)
	}
}

func TestImagesOwnProgramIsHandedOn(t *testing.T) {
	for _, tc := range []struct {
		name            string
		entrypoint, cmd []string
		want            []string
	}{
		{"nothing", nil, nil, nil},
		{"entrypoint and command", []string{"/e", "a"}, []string{"b"}, []string{"--", "/e", "a", "b"}},
		{"command alone", nil, []string{"serve", "--x"}, []string{"--", "serve", "--x"}},
		{"our own image", []string{toolboxd}, nil, nil},
		{"our own image with a command", []string{toolboxd}, []string{"/e"}, []string{"--", "/e"}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			cfg, _, _ := newEngine(t, nil).containerConfig(lifecycle.Spec{Identity: lifecycle.Identity{ID: "id"}}, inspect(nil, tc.entrypoint, tc.cmd, "/w"))
			if !slices.Equal(cfg.Cmd, tc.want) || !slices.Equal(cfg.Entrypoint, []string{toolboxd}) {
				t.Errorf("entrypoint %v, command %v; want %v", cfg.Entrypoint, cfg.Cmd, tc.want)
			}
		})
	}
}

func TestEnvironmentInItsOrder(t *testing.T) {
	e := newEngine(t, func(c *Config) {
		c.Env = map[string]string{"https_proxy": "p", "SET": "runner", "SANDLOT_OUTPUT_FILE": "runner"}
	})
	spec := lifecycle.Spec{
		Identity:  lifecycle.Identity{ID: "id"},
		Resources: lifecycle.Resources{CPU: 2},
		Env: map[string]string{
			"SET": "creator", "DAYTONA_SANDBOX_ID": "forged", "SANDLOT_SECRET_SHA256": "", "SANDLOT_CLAIM_SHA256": "creator",
		},
	}
	for _, tc := range []struct {
		name  string
		image []string
		want  map[string]bool // line → must be there
	}{
		{"plain image", nil, map[string]bool{
			"SSL_CERT_FILE=/opt/sandlot/ca-certificates.crt": true, "https_proxy=p": true, "SET=creator": true, "SET=runner": false,
			"DAYTONA_SANDBOX_ID=id": true, "SANDLOT_SECRET_SHA256=hash-of-id": true, "OMP_NUM_THREADS=2": true,
			"DAYTONA_USER_HOME_AS_WORKDIR=true": true,
		}},
		{"image that says what toolboxd is", []string{"SANDLOT_CLAIM_SHA256=abc", "SANDLOT_SECRET_SHA256=mine", "SANDLOT_PEER_SILENCE=x", "OTHER=kept"}, map[string]bool{
			"SANDLOT_CLAIM_SHA256=": true, "SANDLOT_PEER_SILENCE=": true, "SANDLOT_SECRET_SHA256=hash-of-id": true, "OTHER=": false,
		}},
		{"creator and settings that do", nil, map[string]bool{
			"SANDLOT_CLAIM_SHA256=creator": false, "SANDLOT_OUTPUT_FILE=runner": false,
		}},
		{"image that sees to certificates itself", []string{"SSL_CERT_FILE=/own"}, map[string]bool{
			"SSL_CERT_FILE=/opt/sandlot/ca-certificates.crt": false, "PIP_CERT=/opt/sandlot/ca-certificates.crt": false,
		}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			cfg, _, _ := e.containerConfig(spec, inspect(tc.image, nil, nil, ""))
			for line, want := range tc.want {
				if got := slices.Contains(cfg.Env, line); got != want {
					t.Errorf("%q is there: %v, want %v; in %v", line, got, want, cfg.Env)
				}
			}
		})
	}
}
