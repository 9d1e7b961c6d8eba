package main

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/pflag"
	"go.yaml.in/yaml/v3"
)

// setting is one line of the table below. Its value is text wherever it comes from.
type setting struct {
	name, usage string
	otherwise   string // default; for "" config computes one
	secret      bool   // never printed
	parse       func(text string, c *config) error
}

// config is the settings, read.
type config struct {
	Data                          string
	APIListen, ProxyListen        string
	APIURL, ToolboxURL            string
	PreviewURL                    string
	OwnDomain                     bool // preview_url is set
	PreviewMode                   string
	APIKey                        string // "" makes one at the first start
	DefaultImage, DefaultSnapshot string
	DockerHost, Instance, Network string
	Profile, Runtime              string
	Pids                          int64
	MaxCPU, MaxMemory, MaxDisk    int
	MinFreeDisk                   int // MiB
	Region                        string
	CABundle                      string
	SandboxEnv                    map[string]string
	LogLevel, LogFormat           string
	Drain                         time.Duration
}

var table = []setting{
	{
		name:  "data",
		usage: "folder for the database, keys and logs",
		parse: text(func(c *config) *string { return &c.Data }),
	},
	{
		name: "api_listen", otherwise: "127.0.0.1:3001",
		usage: "address of the control API",
		parse: address(func(c *config) *string { return &c.APIListen }),
	},
	{
		name: "proxy_listen", otherwise: "127.0.0.1:4000",
		usage: "address of the proxy to toolboxes and previews",
		parse: address(func(c *config) *string { return &c.ProxyListen }),
	},
	{
		name:  "api_url",
		usage: "address of the control API as clients see it; default from api_listen",
		parse: text(func(c *config) *string { return &c.APIURL }),
	},
	{
		name:  "toolbox_url",
		usage: "base address of toolboxes as clients see it; default from proxy_listen",
		parse: text(func(c *config) *string { return &c.ToolboxURL }),
	},
	{
		name: "preview_url",
		usage: "address of a port of a sandbox, with {{PORT}}-{{sandboxId}} as its first label; default from " +
			"proxy_listen",
		parse: previewURL,
	},
	{
		name: "preview_mode", otherwise: previewAuto,
		usage: "how ports of sandboxes are met: host (preview_url), loopback (an address of its own for each " +
			"sandbox, on this machine alone), path (/p/{id}/{port}/ of the proxy) or auto",
		parse: oneOf(func(c *config) *string { return &c.PreviewMode },
			previewAuto, previewHost, previewLoopback, previewPath),
	},
	{
		name: "api_key", secret: true,
		usage: "the first API key; default: made at the first start and kept in the data folder",
		parse: apiKey,
	},
	{
		name: "default_image", otherwise: "sandlot/sandbox:latest",
		usage: "image of the default snapshot",
		parse: text(func(c *config) *string { return &c.DefaultImage }),
	},
	{
		name: "default_snapshot", otherwise: "default",
		usage: "name of the default snapshot",
		parse: text(func(c *config) *string { return &c.DefaultSnapshot }),
	},
	{
		name:  "docker_host",
		usage: "address of the Docker engine; default DOCKER_HOST or the usual socket",
		parse: text(func(c *config) *string { return &c.DockerHost }),
	},
	{
		name:  "instance",
		usage: "label that separates installations on one engine; default: made at the first start",
		parse: text(func(c *config) *string { return &c.Instance }),
	},
	{
		name: "network", otherwise: "sandlot",
		usage: "name of the bridge that sandboxes are on",
		parse: text(func(c *config) *string { return &c.Network }),
	},
	{
		name: "profile", otherwise: "hardened",
		usage: "hardened (no new privileges, few capabilities) or compat (sudo works)",
		parse: oneOf(func(c *config) *string { return &c.Profile }, "hardened", "compat"),
	},
	{
		name:  "runtime",
		usage: "OCI runtime of sandboxes, such as runsc; default the engine's",
		parse: text(func(c *config) *string { return &c.Runtime }),
	},
	{
		name: "pids_limit", otherwise: "1024",
		usage: "processes and threads of one sandbox",
		parse: func(s string, c *config) (err error) { c.Pids, err = whole(s, 16, 1<<22); return },
	},
	{
		name:  "max_cpu",
		usage: "cores that one sandbox may ask for; default all",
		parse: number(func(c *config) *int { return &c.MaxCPU }, 1, 1<<16),
	},
	{
		name:  "max_memory",
		usage: "GiB of memory that one sandbox may ask for; default all",
		parse: number(func(c *config) *int { return &c.MaxMemory }, 1, 1<<20),
	},
	{
		name: "max_disk", otherwise: "100",
		usage: "GiB of disk that one sandbox may ask for",
		parse: number(func(c *config) *int { return &c.MaxDisk }, 1, 1<<20),
	},
	{
		name: "min_free_disk", otherwise: "1024",
		usage: "MiB that must be free on the engine's disk for a new sandbox",
		parse: number(func(c *config) *int { return &c.MinFreeDisk }, 0, 1<<30),
	},
	{
		name: "region", otherwise: "us",
		usage: "id and name of the region",
		parse: text(func(c *config) *string { return &c.Region }),
	},
	{
		name: "ca_bundle", otherwise: "/etc/ssl/certs/ca-certificates.crt",
		usage: "PEM file of certificates that sandboxes trust",
		parse: text(func(c *config) *string { return &c.CABundle }),
	},
	{
		name:  "sandbox_env",
		usage: "variables that every sandbox gets, as NAME=value, one a line or separated by commas",
		parse: variables,
	},
	{
		name: "log_level", otherwise: "info",
		usage: "debug, info, warn or error",
		parse: oneOf(func(c *config) *string { return &c.LogLevel }, "debug", "info", "warn", "error"),
	},
	{
		name: "log_format", otherwise: "text",
		usage: "text or json",
		parse: oneOf(func(c *config) *string { return &c.LogFormat }, "text", "json"),
	},
	{name: "drain", usage: "time that open requests have to end after SIGTERM", otherwise: "8s", parse: duration},
}

// source says where the value of a setting comes from.
type source struct{ text, from string }

// settings finds the value of every setting: flag over environment over file over default.
type settings struct {
	getenv func(string) string
	given  map[string]string // by flag
	file   string            // --config
}

func newSettings(getenv func(string) string) *settings {
	return &settings{getenv: getenv, given: map[string]string{}}
}

// clientSettings are the settings that are flags of the verbs that talk to a server as any client does. All verbs read
// all settings from environment and file.
var clientSettings = []string{"data", "api_url"}

// flags adds --config and the flags of the named settings to a verb, of all settings if none is named.
func (s *settings) flags(f *pflag.FlagSet, names ...string) {
	f.StringVar(&s.file, "config", "", "settings file in YAML; SANDLOT_CONFIG; "+
		"default sandlot.yaml in the data folder, then /etc/sandlot/sandlot.yaml")
	for _, st := range table {
		if st.secret || len(names) > 0 && !slices.Contains(names, st.name) {
			continue // everybody on the machine can see a command line
		}
		usage := st.usage + "; " + envName(st.name)
		if st.otherwise != "" {
			usage += "; default " + st.otherwise
		}
		f.Func(flagName(st.name), usage, func(text string) error {
			s.given[st.name] = text
			return nil
		})
	}
}

func flagName(name string) string { return strings.ReplaceAll(name, "_", "-") }

func envName(name string) string { return "SANDLOT_" + strings.ToUpper(name) }

func defaultData(getenv func(string) string) string {
	if os.Geteuid() == 0 {
		return "/var/lib/sandlot"
	}
	if dir := getenv("XDG_DATA_HOME"); dir != "" {
		return filepath.Join(dir, "sandlot")
	}
	return filepath.Join(getenv("HOME"), ".local", "share", "sandlot")
}

// sources returns the text of every setting that has one and where it is from.
func (s *settings) sources() (map[string]source, error) {
	found := map[string]source{"data": {defaultData(s.getenv), "default"}}
	for _, st := range table {
		if st.otherwise != "" {
			found[st.name] = source{st.otherwise, "default"}
		}
	}
	s.override(found, "data")
	path, err := s.readFile(found)
	if err != nil {
		return nil, err
	}
	if path != "" && found["data"].from == "file "+path {
		s.override(found, "data")
	}
	for _, st := range table {
		s.override(found, st.name)
	}
	return found, nil
}

// override applies environment and flag of one setting.
func (s *settings) override(found map[string]source, name string) {
	if v := s.getenv(envName(name)); v != "" {
		found[name] = source{v, envName(name)}
	}
	if v, ok := s.given[name]; ok {
		found[name] = source{v, "--" + flagName(name)}
	}
}

func (s *settings) readFile(found map[string]source) (string, error) {
	paths := []string{filepath.Join(found["data"].text, "sandlot.yaml"), "/etc/sandlot/sandlot.yaml"}
	named := s.file
	if named == "" {
		named = s.getenv("SANDLOT_CONFIG")
	}
	if named != "" {
		paths = []string{named}
	}
	for _, path := range paths {
		raw, err := os.ReadFile(path)
		if errors.Is(err, fs.ErrNotExist) && named == "" {
			continue
		} else if err != nil {
			return "", usageError{fmt.Errorf("settings file: %w", err)}
		}
		return path, apply(found, path, raw)
	}
	return "", nil
}

// apply takes the settings of a file. Lists of variables may be a YAML object.
func apply(found map[string]source, path string, raw []byte) error {
	var values map[string]any
	if err := yaml.NewDecoder(bytes.NewReader(raw)).Decode(&values); err != nil {
		return usageError{fmt.Errorf("settings file %s: %w", path, err)}
	}
	for name, v := range values {
		if !slices.ContainsFunc(table, func(st setting) bool { return st.name == name }) {
			return usageError{fmt.Errorf("settings file %s: there is no setting %q; `sandlot config` lists them", path, name)}
		}
		textValue := fmt.Sprint(v)
		if m, ok := v.(map[string]any); ok {
			var lines []string
			for _, key := range slices.Sorted(maps.Keys(m)) {
				lines = append(lines, fmt.Sprintf("%s=%v", key, m[key]))
			}
			textValue = strings.Join(lines, "\n")
		}
		found[name] = source{textValue, "file " + path}
	}
	return nil
}

// config reads and checks all settings.
func (s *settings) config() (config, map[string]source, error) {
	found, err := s.sources()
	if err != nil {
		return config{}, nil, err
	}
	var c config
	for _, st := range table {
		if v, ok := found[st.name]; ok {
			if err := st.parse(v.text, &c); err != nil {
				return config{}, nil, usageError{fmt.Errorf("%s (%s): %w", st.name, v.from, err)}
			}
		}
	}
	derive := func(name string, to *string, value string) {
		if *to == "" {
			*to = value
			found[name] = source{value, "default"}
		}
	}
	derive("api_url", &c.APIURL, "http://"+reachable(c.APIListen)+"/api")
	derive("toolbox_url", &c.ToolboxURL, "http://"+reachable(c.ProxyListen)+"/toolbox")
	_, port, _ := net.SplitHostPort(c.ProxyListen)
	derive("preview_url", &c.PreviewURL, "http://{{PORT}}-{{sandboxId}}.localhost:"+port)
	if c.MaxCPU == 0 {
		c.MaxCPU = runtime.NumCPU()
		found["max_cpu"] = source{strconv.Itoa(c.MaxCPU), "default"}
	}
	if c.MaxMemory == 0 {
		c.MaxMemory = totalMemory()
		found["max_memory"] = source{strconv.Itoa(c.MaxMemory), "default"}
	}
	return c, found, nil
}

// totalMemory returns the machine's memory in GiB, at least 1.
func totalMemory() int {
	raw, err := os.ReadFile("/proc/meminfo")
	if err != nil {
		return 1
	}
	var kib int
	if _, err := fmt.Sscanf(string(raw), "MemTotal: %d kB", &kib); err != nil {
		return 1
	}
	return max(1, kib>>20)
}

func text(field func(*config) *string) func(string, *config) error {
	return func(s string, c *config) error {
		*field(c) = strings.TrimSpace(s)
		return nil
	}
}

// minKey is the least length of an API key. The proxy removes headers that contain the key; a short key would occur
// in the apps' own.
const minKey = 8

func apiKey(s string, c *config) error {
	if c.APIKey = strings.TrimSpace(s); len(c.APIKey) < minKey {
		return fmt.Errorf("an API key has at least %d characters", minKey)
	}
	return nil
}

func address(field func(*config) *string) func(string, *config) error {
	return func(s string, c *config) error {
		if _, _, err := net.SplitHostPort(s); err != nil {
			return fmt.Errorf("%q is not an address like 127.0.0.1:3001", s)
		}
		*field(c) = s
		return nil
	}
}

func oneOf(field func(*config) *string, allowed ...string) func(string, *config) error {
	return func(s string, c *config) error {
		if !slices.Contains(allowed, s) {
			return fmt.Errorf("%q is not one of %s", s, strings.Join(allowed, ", "))
		}
		*field(c) = s
		return nil
	}
}

func whole(s string, from, to int64) (int64, error) {
	n, err := strconv.ParseInt(s, 10, 64)
	if err != nil || n < from || n > to {
		return 0, fmt.Errorf("%q is not a whole number from %d to %d", s, from, to)
	}
	return n, nil
}

func number(field func(*config) *int, from, to int64) func(string, *config) error {
	return func(s string, c *config) error {
		n, err := whole(s, from, to)
		*field(c) = int(n)
		return err
	}
}

func duration(s string, c *config) error {
	d, err := time.ParseDuration(s)
	if err != nil || d < 0 || d > time.Hour {
		return fmt.Errorf("%q is not a time from 0s to 1h", s)
	}
	c.Drain = d
	return nil
}

func previewURL(s string, c *config) error {
	if _, err := previewDomain(s); err != nil {
		return err
	}
	c.PreviewURL, c.OwnDomain = s, true
	return nil
}

// previewDomain returns the host part behind the first label of a preview address, without a port.
func previewDomain(template string) (string, error) {
	_, rest, ok := strings.Cut(template, "://{{PORT}}-{{sandboxId}}.")
	if !ok || rest == "" {
		return "", fmt.Errorf("%q does not look like http://{{PORT}}-{{sandboxId}}.example.com", template)
	}
	if host, _, err := net.SplitHostPort(rest); err == nil {
		rest = host
	}
	return strings.ToLower(rest), nil
}

func variables(s string, c *config) error {
	c.SandboxEnv = map[string]string{}
	separator := ","
	if strings.Contains(s, "\n") {
		separator = "\n"
	}
	for pair := range strings.SplitSeq(s, separator) {
		if pair = strings.TrimSpace(pair); pair == "" {
			continue
		}
		name, value, ok := strings.Cut(pair, "=")
		if !ok || name == "" {
			return fmt.Errorf("%q is not NAME=value", pair)
		}
		if strings.HasPrefix(name, "SANDLOT_") {
			return fmt.Errorf("%s: variables that begin with SANDLOT_ are Sandlot's own", name)
		}
		c.SandboxEnv[name] = value
	}
	return nil
}
