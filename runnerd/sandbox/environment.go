package sandbox

import (
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/sandlot-dev/sandlot/internal/auth"
	"github.com/sandlot-dev/sandlot/internal/lifecycle"
)

// InjectPath is where a sandbox finds toolboxd and the trusted certificates. Nothing may be mounted over it.
const InjectPath = "/opt/sandlot"

const (
	toolboxd = InjectPath + "/toolboxd"
	caFile   = InjectPath + "/ca-certificates.crt"
)

// ownPrefix begins the names of the variables that configure toolboxd. Only the runner sets them in a sandbox.
const ownPrefix = "SANDLOT_"

// caVariables name the certificate file to tools that do not read the system's store, or read one that the image may
// lack.
var caVariables = []string{
	"SSL_CERT_FILE", "CURL_CA_BUNDLE", "GIT_SSL_CAINFO", "NODE_EXTRA_CA_CERTS", "REQUESTS_CA_BUNDLE", "PIP_CERT",
	"AWS_CA_BUNDLE",
}

// cpuVariables give the number of the sandbox's cores to programs that would count the machine's: nproc, numeric
// libraries and Python. Go, Java and Node read the control group by themselves, for memory too.
var cpuVariables = []string{"OMP_NUM_THREADS", "PYTHON_CPU_COUNT"}

// containerSpec returns what the container of a sandbox is made of.
func (m *Manager) containerSpec(spec lifecycle.Spec, img Image) ContainerSpec {
	return ContainerSpec{
		Sandbox: spec,
		Command: command(img),
		Env:     m.environment(spec, img),
		Mounts:  []Mount{{Source: m.cfg.Inject, Target: InjectPath, ReadOnly: true}},
	}
}

// command is toolboxd, which gets the image's own command as the entrypoint to run.
func command(img Image) []string {
	entrypoint := img.Entrypoint
	if len(entrypoint) > 0 && entrypoint[0] == toolboxd { // one of our own images
		entrypoint = nil
	}
	if len(entrypoint)+len(img.Cmd) == 0 {
		return []string{toolboxd}
	}
	return slices.Concat([]string{toolboxd, "--"}, entrypoint, img.Cmd)
}

// environment returns the variables of a new container. Later parts replace earlier ones: the host's, the creator's,
// and those that say which sandbox it is.
func (m *Manager) environment(spec lifecycle.Spec, img Image) map[string]string {
	env := m.hostEnv(spec.Resources, img)
	maps.Copy(env, foreignEnv(spec.Env))
	maps.Copy(env, m.identityEnv(spec))
	if img.Dir == "" {
		env["DAYTONA_USER_HOME_AS_WORKDIR"] = "true"
	}
	return env
}

// hostEnv is the part of the environment that does not depend on the sandbox's identity: certificates unless the
// image sets its own, the number of cores, and the runner's own variables. A variable for toolboxd that the image
// sets is set to the empty string, which toolboxd reads as not set.
func (m *Manager) hostEnv(r lifecycle.Resources, img Image) map[string]string {
	env := map[string]string{}
	ownCA := func(variable string) bool { return strings.HasPrefix(variable, caVariables[0]+"=") }
	if m.cfg.CA && !slices.ContainsFunc(img.Env, ownCA) {
		for _, name := range caVariables {
			env[name] = caFile
		}
	}
	for _, name := range cpuVariables {
		env[name] = strconv.Itoa(r.CPU)
	}
	maps.Copy(env, foreignEnv(m.cfg.Env))
	for _, variable := range img.Env {
		if name, _, _ := strings.Cut(variable, "="); strings.HasPrefix(name, ownPrefix) {
			env[name] = ""
		}
	}
	return env
}

// identityEnv tells a toolbox which sandbox it serves. Of the sandbox's secret it holds the hash only.
func (m *Manager) identityEnv(spec lifecycle.Spec) map[string]string {
	env := map[string]string{
		"DAYTONA_SANDBOX_ID":       spec.ID,
		"DAYTONA_SANDBOX_SNAPSHOT": spec.Snapshot,
		"DAYTONA_ORGANIZATION_ID":  spec.Organization,
		"DAYTONA_REGION_ID":        spec.Region,
		"SANDLOT_SECRET_SHA256":    auth.Hash(m.secret(spec.ID)),
	}
	if spec.User != "" {
		env["DAYTONA_SANDBOX_USER"] = spec.User
	}
	return env
}

// foreignEnv returns variables that somebody else chose, without those for toolboxd.
func foreignEnv(env map[string]string) map[string]string {
	env = maps.Clone(env)
	maps.DeleteFunc(env, func(name, _ string) bool { return strings.HasPrefix(name, ownPrefix) })
	return env
}

// secret is what callers of a sandbox's toolbox present.
func (m *Manager) secret(id string) string { return auth.SandboxSecret(m.cfg.Key, id) }
