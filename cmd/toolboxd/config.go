package main

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"os"
	"os/user"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"github.com/sandlot-dev/sandlot/api"
	"github.com/sandlot-dev/sandlot/internal/fault"
	"github.com/sandlot-dev/sandlot/process/journal"
	"github.com/sandlot-dev/sandlot/toolbox"
)

var errHelp = errors.New("help was asked for")

// config is what toolboxd was told by its arguments and its environment.
type config struct {
	Listen     string   // --listen; default ":2280"
	Version    bool     // --version
	Logs       bool     // "entrypoint logs" is asked for
	Entrypoint []string // the other arguments

	SecretHash string            // SANDLOT_SECRET_SHA256; "" admits all callers
	ClaimHash  string            // SANDLOT_CLAIM_SHA256; "" means that the toolbox has its sandbox
	Secret     string            // SANDLOT_SECRET; for "entrypoint logs" alone
	Sandbox    string            // DAYTONA_SANDBOX_ID; names the sandbox in logs
	LogLevel   slog.Level        // LOG_LEVEL; default info
	Telemetry  toolbox.Telemetry // DAYTONA_OTEL_ENDPOINT; "" exports nothing

	// Grace is the time from SIGTERM to SIGKILL when a session is deleted: DAYTONA_TERMINATION_GRACE_PERIOD, default 5s,
	// at least 1s.
	Grace time.Duration
	// Silence is the time after which a peer that acknowledges nothing is cut off: SANDLOT_PEER_SILENCE, default 5m, 0
	// means the kernel's own.
	Silence time.Duration
	// Output bounds what is kept of each command's output: SANDLOT_OUTPUT_MEMORY, default 1 MiB, and SANDLOT_OUTPUT_FILE,
	// default 256 MiB.
	Output journal.Limits

	Home    string // of the user; "/" when there is none
	WorkDir string // where it was started; the home with DAYTONA_USER_HOME_AS_WORKDIR=true
	Env     []string

	Claimed map[string]string // variables of Env that a claim brought, not looked at yet
}

func parse(args, env []string, stderr io.Writer) (config, error) {
	c := config{Env: env}
	flags := flag.NewFlagSet("toolboxd", flag.ContinueOnError)
	flags.SetOutput(stderr)
	flags.StringVar(&c.Listen, "listen", ":"+strconv.Itoa(api.ToolboxPort), "address to serve on")
	flags.BoolVar(&c.Version, "version", false, "print the version and exit")
	if err := flags.Parse(args); errors.Is(err, flag.ErrHelp) {
		return c, errHelp
	} else if err != nil {
		return c, err
	}
	c.Entrypoint = flags.Args()
	c.Logs = slices.Equal(c.Entrypoint, []string{"entrypoint", "logs"}) && !slices.Contains(args, "--")
	get := func(name string) string {
		for _, v := range env {
			if value, ok := strings.CutPrefix(v, name+"="); ok {
				return value
			}
		}
		return ""
	}
	c.SecretHash, c.Secret, c.Sandbox = get(api.EnvSecretHash), get(api.EnvSecret), get(api.EnvSandboxID)
	if level := get(api.EnvLogLevel); level != "" && c.LogLevel.UnmarshalText([]byte(level)) != nil {
		c.LogLevel = slog.LevelInfo // other programs read LOG_LEVEL too, and know other levels
	}
	c.ClaimHash = get(api.EnvClaimHash)
	c.Telemetry = telemetry(get)
	c.Grace = 5 * time.Second
	if d, err := time.ParseDuration(get(api.EnvGrace)); err == nil {
		c.Grace = max(d, time.Second)
	}
	c.Silence = 5 * time.Minute
	if v := get(api.EnvPeerSilence); v != "" {
		d, err := time.ParseDuration(v)
		if err != nil || d < 0 {
			return c, fmt.Errorf("%s must be a duration such as 90s or 5m, not %q", api.EnvPeerSilence, v)
		}
		c.Silence = d
	}
	for name, limit := range map[string]*int64{api.EnvOutputMemory: &c.Output.Memory, api.EnvOutputFile: &c.Output.File} {
		if v := get(name); v != "" {
			n, err := strconv.ParseInt(v, 10, 64)
			if err != nil {
				return c, fmt.Errorf("%s must be a number of bytes, not %q", name, v)
			}
			*limit = n
		}
	}
	c.Home = home(get("HOME"))
	if get("HOME") == "" {
		c.Env = append(c.Env, "HOME="+c.Home)
	}
	if get("PATH") == "" {
		c.Env = append(c.Env, "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin")
	}
	if get(api.EnvHomeAsWorkDir) == "true" {
		if err := os.Chdir(c.Home); err != nil {
			_, _ = fmt.Fprintln(stderr, "toolboxd: the home is not used as working directory:", err)
		}
	}
	var err error
	if c.WorkDir, err = os.Getwd(); err != nil || !filepath.IsAbs(c.WorkDir) || unix.Access(c.WorkDir, unix.X_OK) != nil {
		c.WorkDir = "/" // the image's folder is gone, or is another user's
	}
	return c, nil
}

// claimed returns the configuration for the sandbox that a claim tells of: its environment is added to that of the
// container and read as that is.
func (c config) claimed(claim toolbox.Claim, stderr io.Writer) (config, error) {
	set := map[string]string{}
	maps.Copy(set, claim.Env)
	if claim.SandboxID != "" {
		set[api.EnvSandboxID] = claim.SandboxID
	}
	env := slices.DeleteFunc(slices.Clone(c.Env), func(v string) bool {
		name, _, _ := strings.Cut(v, "=")
		_, is := set[name]
		return is
	})
	for _, name := range slices.Sorted(maps.Keys(set)) {
		env = append(env, name+"="+set[name])
	}
	next, err := parse([]string{"--listen", c.Listen}, env, stderr)
	if err != nil {
		return c, fault.Newf(fault.Invalid, "claim: %w", err)
	}
	next.SecretHash, next.ClaimHash, next.Entrypoint = claim.SecretHash, "", claim.Entrypoint
	next.Claimed = set
	if claim.WorkDir != "" {
		if st, err := os.Stat(claim.WorkDir); !filepath.IsAbs(claim.WorkDir) || err != nil || !st.IsDir() {
			return c, fault.Newf(fault.Invalid, "workDir %q is not the absolute path of a folder in the sandbox", claim.WorkDir)
		}
		next.WorkDir = claim.WorkDir
	}
	return next, nil
}

// home is $HOME, else what the user database says, else the root.
func home(variable string) string {
	if filepath.IsAbs(variable) {
		return variable
	}
	if u, err := user.Current(); err == nil && filepath.IsAbs(u.HomeDir) {
		return u.HomeDir
	}
	return "/"
}

// telemetry reads where measurements go and what they say of the sandbox. Extra attributes are k=v pairs with commas
// between.
func telemetry(get func(string) string) toolbox.Telemetry {
	t := toolbox.Telemetry{
		Endpoint: get(api.EnvOTLPEndpoint), Attributes: map[string]string{"service.name": "sandbox-" + get(api.EnvSandboxID)},
	}
	for attribute, name := range map[string]string{
		"daytona.organization_id": api.EnvOrganization, "daytona.region_id": api.EnvRegion,
		"daytona.snapshot": api.EnvSnapshot,
	} {
		if v := get(name); v != "" {
			t.Attributes[attribute] = v
		}
	}
	for pair := range strings.SplitSeq(get(api.EnvOTLPLabels), ",") {
		if k, v, ok := strings.Cut(pair, "="); ok {
			t.Attributes[strings.TrimSpace(k)] = strings.TrimSpace(v)
		}
	}
	return t
}
