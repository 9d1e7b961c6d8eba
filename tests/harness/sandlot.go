package harness

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"
)

// Label is the container label whose value tells one Sandlot's containers from another's.
const Label = "sandlot.instance"

// Options of a private Sandlot. The zero value is the default image on the machine's engine.
type Options struct {
	Image  string   // default image of sandboxes; "" leaves Sandlot's own default
	Engine string   // address of the Docker engine; "" leaves Sandlot's own default
	Env    []string // more settings, as NAME=value
}

// Sandlot is one running `sandlot up` with a data folder, ports and a label of its own.
type Sandlot struct {
	API      string // base URL of the control API, ends in /api
	Proxy    string // host:port of the proxy
	Key      string // the first API key
	Instance string // value of Label on its containers
	Data     string // its data folder
	Process  *Process

	opts   Options
	env    []string
	listen string
}

// Start runs a private Sandlot until the test ends, and fails the test when it leaves a container behind.
func Start(t testing.TB, opts Options) *Sandlot {
	t.Helper()
	s, err := New(t.TempDir(), opts)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Errorf("stopping Sandlot: %v", err)
		}
		if t.Failed() {
			t.Logf("log of sandlot:\n%s", s.Process.Tail())
		}
	})
	return s
}

// New is Start for callers without a test, such as TestMain: they call Close. dir holds the data and the log.
func New(dir string, opts Options) (*Sandlot, error) {
	api, err := FreeAddr()
	if err != nil {
		return nil, err
	}
	proxy, err := FreeAddr()
	if err != nil {
		return nil, err
	}
	s := &Sandlot{
		API: "http://" + api + "/api", Proxy: proxy, Instance: "test-" + strings.ToLower(rand.Text()[:10]),
		Data: filepath.Join(dir, "data"),
		opts: opts, listen: api,
	}
	s.env = append([]string{
		"SANDLOT_DATA=" + s.Data, "SANDLOT_API_LISTEN=" + api, "SANDLOT_PROXY_LISTEN=" + proxy,
		"SANDLOT_INSTANCE=" + s.Instance,
	}, opts.Env...)
	if opts.Image != "" {
		s.env = append(s.env, "SANDLOT_DEFAULT_IMAGE="+opts.Image)
	}
	if opts.Engine != "" {
		s.env = append(s.env, "SANDLOT_DOCKER_HOST="+opts.Engine)
	}
	if err := s.Run(); err != nil {
		return nil, errors.Join(err, s.removeLeft())
	}
	return s, nil
}

// Run starts the program; after a kill it starts it again on the same data and ports.
func (s *Sandlot) Run() error {
	program, err := Bin("sandlot")
	if err != nil {
		return err
	}
	s.Process, err = Spawn(filepath.Join(filepath.Dir(s.Data), "sandlot.log"), s.env, program, "up")
	if err != nil {
		return err
	}
	for _, addr := range []string{s.listen, s.Proxy} {
		if err := s.Process.Answers(addr, 30*time.Second); err != nil {
			s.Process.Kill()
			return err
		}
	}
	if s.Key == "" {
		out, err := s.Command("env")
		if err != nil {
			s.Process.Kill()
			return err
		}
		s.Key = exported(out, "DAYTONA_API_KEY")
		if url := exported(out, "DAYTONA_API_URL"); s.Key == "" || url != s.API {
			s.Process.Kill()
			return fmt.Errorf("`sandlot env` names %q and a key of %d bytes, want %q and a key:\n%s", url, len(s.Key), s.API,
				out)
		}
	}
	return nil
}

// exported finds the value of an exported variable in shell text.
func exported(text, name string) string {
	m := regexp.MustCompile(`(?m)^(?:export )?` + name + `=['"]?([^'"\n]*)['"]?$`).FindStringSubmatch(text)
	if m == nil {
		return ""
	}
	return m[1]
}

// Command runs another verb of sandlot under the same settings and returns what it printed.
func (s *Sandlot) Command(args ...string) (string, error) {
	program, err := Bin("sandlot")
	if err != nil {
		return "", err
	}
	return Run(nil, s.env, program, args...)
}

// Env is the settings of this Sandlot, as NAME=value.
func (s *Sandlot) Env() []string { return slices.Clone(s.env) }

// SetEnv changes a setting, as NAME=value, for the next Run.
func (s *Sandlot) SetEnv(setting string) { s.env = append(s.env, setting) }

// Close deletes all sandboxes, stops the program, and reports every container it left. What is left is removed.
func (s *Sandlot) Close() error {
	select {
	case <-s.Process.Ended():
		return errors.Join(fmt.Errorf("sandlot had ended on its own:\n%s", s.Process.Tail()), s.removeLeft())
	default:
	}
	gone := s.deleteAll()
	if err := s.Process.Stop(10 * time.Second); err != nil {
		gone = errors.Join(gone, fmt.Errorf("SIGTERM: %w\n%s", err, s.Process.Tail()))
	}
	if left, err := s.Containers(); err != nil || len(left) > 0 {
		gone = errors.Join(gone, err, fmt.Errorf("containers left behind: %v\n%s", left, s.Process.Tail()))
	}
	return errors.Join(gone, s.removeLeft())
}

func (s *Sandlot) deleteAll() error {
	var page struct{ Items []struct{ ID string } }
	if err := s.get("/sandbox?limit=200&includeErroredDeleted=true", &page); err != nil {
		return err
	}
	for _, box := range page.Items {
		req, err := s.request(http.MethodDelete, "/sandbox/"+box.ID)
		if err != nil {
			return err
		}
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			return fmt.Errorf("deleting sandbox %s: %w", box.ID, err)
		}
		_ = resp.Body.Close()
	}
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	var err error
	if !until(ctx, func() bool {
		err = s.get("/sandbox?includeErroredDeleted=true", &page)
		return err != nil || len(page.Items) == 0
	}) {
		return fmt.Errorf("sandboxes still listed 30 s after their deletion: %v", page.Items)
	}
	return err
}

func (s *Sandlot) request(method, path string) (*http.Request, error) {
	req, err := http.NewRequest(method, s.API+path, nil)
	if err == nil {
		req.Header.Set("Authorization", "Bearer "+s.Key)
	}
	return req, err
}

func (s *Sandlot) get(path string, v any) error {
	req, err := s.request(http.MethodGet, path)
	if err != nil {
		return err
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("GET %s: %s", path, resp.Status)
	}
	return json.NewDecoder(resp.Body).Decode(v)
}

// Docker runs the docker command against the engine that this Sandlot uses.
func (s *Sandlot) Docker(args ...string) (string, error) {
	return Docker(s.opts.Engine, nil, args...)
}

// Containers is every container of this Sandlot, running or not, as "id name state".
func (s *Sandlot) Containers() ([]string, error) {
	out, err := s.Docker("ps", "-a", "--no-trunc", "--filter", "label="+Label+"="+s.Instance, "--format",
		"{{.ID}} {{.Names}} {{.State}}")
	return strings.FieldsFunc(out, func(r rune) bool { return r == '\n' }), err
}

func (s *Sandlot) removeLeft() error {
	left, err := s.Containers()
	for _, line := range left {
		_, rm := s.Docker("rm", "-f", strings.Fields(line)[0])
		err = errors.Join(err, rm)
	}
	return err
}

// Kill ends the program as a power cut would.
func (s *Sandlot) Kill() { s.Process.Kill() }

// Terminate asks the program to end and returns how long it took.
func (s *Sandlot) Terminate(within time.Duration) (time.Duration, error) {
	began := time.Now()
	s.Process.Signal(syscall.SIGTERM)
	select {
	case <-s.Process.Ended():
		return time.Since(began), s.Process.err
	case <-time.After(within):
		return time.Since(began), fmt.Errorf("still running %s after SIGTERM", within)
	}
}

// HTTP is a client that reaches every host name at the proxy, as a resolver for its domain would.
func (s *Sandlot) HTTP() *http.Client {
	return &http.Client{
		Timeout:       time.Minute,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		Transport:     &http.Transport{DialContext: s.DialProxy},
	}
}

// DialProxy connects to the proxy whatever name was asked for: this machine may not resolve those of previews.
// Addresses stay as they are.
func (s *Sandlot) DialProxy(ctx context.Context, _, addr string) (net.Conn, error) {
	var d net.Dialer
	if at, err := netip.ParseAddrPort(addr); err == nil {
		return d.DialContext(ctx, "tcp", at.String())
	}
	return d.DialContext(ctx, "tcp", s.Proxy)
}

// Docker runs the docker command; engine "" is the machine's own.
func Docker(engine string, stdin []byte, args ...string) (string, error) {
	var env []string
	if engine != "" {
		env = []string{"DOCKER_HOST=" + engine}
	}
	return Run(stdin, env, "docker", args...)
}

// tempDir is for callers without a test.
func tempDir() (string, error) { return os.MkdirTemp("", "sandlot-test-") }
