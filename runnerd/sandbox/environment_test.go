package sandbox_test

import (
	"log/slog"
	"slices"
	"testing"

	"github.com/sandlot-dev/sandlot/internal/auth"
	"github.com/sandlot-dev/sandlot/internal/lifecycle"
	"github.com/sandlot-dev/sandlot/runnerd/sandbox"
)

// specOf returns what a Manager has a container made of.
func specOf(t *testing.T, img sandbox.Image, env, creators map[string]string) sandbox.ContainerSpec {
	t.Helper()
	e := newEngine()
	e.images["image"] = img
	m, err := sandbox.New(sandbox.Config{
		Runner: "r", Driver: e, Toolbox: &answers{}, Key: []byte("k"), Inject: "/host/inject", CA: true, Env: env,
		Logger: slog.New(slog.DiscardHandler),
	})
	if err != nil {
		t.Fatal(err)
	}
	box := lifecycle.Spec{
		Identity:  lifecycle.Identity{ID: "id", Organization: "org"},
		Resources: lifecycle.Resources{CPU: 2, Memory: 1},
		Image:     "image", User: "someone", Env: creators,
	}
	if _, err := m.Create(t.Context(), box); err != nil {
		t.Fatal(err)
	}
	return e.has["id"].spec
}

func TestToolboxdIsMountedReadOnly(t *testing.T) {
	want := []sandbox.Mount{{Source: "/host/inject", Target: "/opt/sandlot", ReadOnly: true}}
	if got := specOf(t, sandbox.Image{}, nil, nil).Mounts; !slices.Equal(got, want) {
		t.Errorf("mounts %+v, want %+v", got, want)
	}
}

func TestImagesOwnProgramIsHandedOn(t *testing.T) {
	const toolboxd = "/opt/sandlot/toolboxd"
	for _, tc := range []struct {
		name            string
		entrypoint, cmd []string
		want            []string
	}{
		{"nothing", nil, nil, []string{toolboxd}},
		{"entrypoint and command", []string{"/e", "a"}, []string{"b"}, []string{toolboxd, "--", "/e", "a", "b"}},
		{"command alone", nil, []string{"serve", "--x"}, []string{toolboxd, "--", "serve", "--x"}},
		{"our own image", []string{toolboxd}, nil, []string{toolboxd}},
		{"our own image with a command", []string{toolboxd}, []string{"/e"}, []string{toolboxd, "--", "/e"}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			spec := specOf(t, sandbox.Image{Entrypoint: tc.entrypoint, Cmd: tc.cmd}, nil, nil)
			if !slices.Equal(spec.Command, tc.want) {
				t.Errorf("command %q, want %q", spec.Command, tc.want)
			}
		})
	}
}

func TestEnvironmentInItsOrder(t *testing.T) {
	runners := map[string]string{"https_proxy": "p", "SET": "runner", "SANDLOT_OUTPUT_FILE": "runner"}
	creators := map[string]string{
		"SET": "creator", "DAYTONA_SANDBOX_ID": "forged", "SANDLOT_SECRET_SHA256": "", "SANDLOT_CLAIM_SHA256": "creator",
		"DAYTONA_USER_HOME_AS_WORKDIR": "creator",
	}
	const none = "\x00" // the variable is not there
	const ca = "/opt/sandlot/ca-certificates.crt"
	hash := auth.Hash(auth.SandboxSecret([]byte("k"), "id"))
	forged := []string{"SANDLOT_CLAIM_SHA256=abc", "SANDLOT_SECRET_SHA256=mine", "SANDLOT_PEER_SILENCE=x", "OTHER=kept"}
	for _, tc := range []struct {
		name string
		img  sandbox.Image
		want map[string]string
	}{
		{"plain image", sandbox.Image{}, map[string]string{
			"SSL_CERT_FILE": ca, "https_proxy": "p", "SET": "creator", "DAYTONA_SANDBOX_ID": "id",
			"DAYTONA_ORGANIZATION_ID": "org", "DAYTONA_SANDBOX_USER": "someone", "SANDLOT_SECRET_SHA256": hash,
			"OMP_NUM_THREADS": "2", "DAYTONA_USER_HOME_AS_WORKDIR": "true",
		}},
		{"image with a folder", sandbox.Image{Dir: "/w"}, map[string]string{"DAYTONA_USER_HOME_AS_WORKDIR": "creator"}},
		{"image that configures toolboxd", sandbox.Image{Env: forged}, map[string]string{
			"SANDLOT_CLAIM_SHA256": "", "SANDLOT_PEER_SILENCE": "", "SANDLOT_SECRET_SHA256": hash, "OTHER": none,
		}},
		{"creator and runner that do", sandbox.Image{}, map[string]string{
			"SANDLOT_CLAIM_SHA256": none, "SANDLOT_OUTPUT_FILE": none,
		}},
		{"image with its own certificates", sandbox.Image{Env: []string{"SSL_CERT_FILE=/own"}}, map[string]string{
			"SSL_CERT_FILE": none, "PIP_CERT": none,
		}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			env := specOf(t, tc.img, runners, creators).Env
			for name, want := range tc.want {
				got, ok := env[name]
				if !ok {
					got = none
				}
				if got != want {
					t.Errorf("%s is %q, want %q; in %v", name, got, want, env)
				}
			}
		})
	}
}
