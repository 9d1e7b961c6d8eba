//go:build e2e

package e2e_test

import (
	"encoding/json"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/sandlot-dev/sandlot/tests/harness"
)

// container is what the engine says of a sandbox's container.
type container struct {
	Config     struct{ Labels map[string]string }
	HostConfig struct {
		Privileged                    bool
		CapDrop, CapAdd, SecurityOpt  []string
		Memory, MemorySwap, NanoCpus  int64
		CPUQuota                      int64 `json:"CpuQuota"`
		CPUPeriod                     int64 `json:"CpuPeriod"`
		PidsLimit                     *int64
		LogConfig                     struct{ Config map[string]string }
		Binds                         []string
		PidMode, IpcMode, NetworkMode string
	}
	Mounts []struct {
		Source, Destination string
		RW                  bool
	}
	NetworkSettings struct {
		Networks map[string]struct{ IPAddress string }
	}
}

func inspect(t *testing.T, s *harness.Sandlot, id string) container {
	t.Helper()
	out, err := s.Docker("inspect", id)
	if err != nil {
		t.Fatal(err)
	}
	var all []container
	if err := json.Unmarshal([]byte(out), &all); err != nil || len(all) != 1 {
		t.Fatalf("docker inspect %s: %v", id, err)
	}
	return all[0]
}

func (c container) ip() string {
	for _, n := range c.NetworkSettings.Networks {
		if n.IPAddress != "" {
			return n.IPAddress
		}
	}
	return ""
}

func TestContainerIsHeldShort(t *testing.T) {
	s, c := small.up(t)
	box := c.Create(nil)
	got := inspect(t, s, box.ID)
	h := got.HostConfig
	if h.Privileged || h.PidMode == "host" || h.NetworkMode == "host" || h.IpcMode == "host" {
		t.Errorf("host namespaces or privilege: %+v", h)
	}
	if h.Memory != int64(box.Memory)<<30 || h.MemorySwap != h.Memory {
		t.Errorf("memory %d, with swap %d; want both %d GiB", h.Memory, h.MemorySwap, box.Memory)
	}
	if h.NanoCpus != int64(box.CPU)*1e9 && (h.CPUPeriod == 0 || h.CPUQuota/h.CPUPeriod != int64(box.CPU)) {
		t.Errorf("cpu: %d nano, %d/%d; want %d cores", h.NanoCpus, h.CPUQuota, h.CPUPeriod, box.CPU)
	}
	if h.PidsLimit == nil || *h.PidsLimit <= 0 {
		t.Error("no limit of processes")
	}
	if h.LogConfig.Config["max-size"] == "" {
		t.Error("the engine's log of the container has no limit")
	}
	if strings.Join(h.CapDrop, ",") != "ALL" || !strings.Contains(strings.Join(h.SecurityOpt, ","), "no-new-privileges") {
		t.Errorf("capabilities dropped %v, security options %v", h.CapDrop, h.SecurityOpt)
	}
	for _, m := range got.Mounts {
		if m.RW || strings.Contains(m.Source, "docker.sock") {
			t.Errorf("mount %+v can be written, or is the engine's socket", m)
		}
	}
	if got.Config.Labels[harness.Label] != s.Instance {
		t.Errorf("label %s is %q, want %q", harness.Label, got.Config.Labels[harness.Label], s.Instance)
	}
	for _, probe := range []string{
		"mount -t tmpfs none /mnt", "mknod /tmp/sda b 8 0 && cat /tmp/sda", "echo 1 > /proc/sys/kernel/panic",
		"echo b > /proc/sysrq-trigger",
		"echo x > /opt/sandlot/toolboxd", "rm -f /opt/sandlot/toolboxd", "echo x > /sys/kernel/mm/ksm/run",
		"chroot /proc/1/root/.. true && cat /proc/kcore",
	} {
		if code, out := box.Exec(probe); code == 0 {
			t.Errorf("%q succeeded inside: %s", probe, out)
		}
	}
	if out := box.MustExec("grep -E 'CapEff|NoNewPrivs' /proc/self/status"); !strings.Contains(out, "NoNewPrivs:\t1") {
		t.Errorf("inside: %s", out)
	}
}

func TestForkBombIsHeld(t *testing.T) {
	_, c := small.up(t)
	box := c.Create(nil)
	box.MustExec("(for i in $(seq 1 3000); do sleep 60 & done; true) >/dev/null 2>&1 &")
	harness.Until(t, 30*time.Second, "an execute beside a fork bomb", func() bool {
		a := box.Toolbox("GET", "/version", nil)
		return a.Status == http.StatusOK
	})
	if other := c.Create(nil); other.MustExec("echo fine") != "fine" {
		t.Error("a neighbour suffers")
	}
}

func TestToolboxRefusesWithoutSecret(t *testing.T) {
	s, c := small.up(t)
	box := c.Create(nil)
	base := "http://" + inspect(t, s, box.ID).ip() + ":2280"
	client := &http.Client{Timeout: 5 * time.Second}
	for _, secret := range []string{"", "x", strings.Repeat("0", 64)} {
		for _, path := range []string{"/version", "/files", "/work-dir"} {
			req, _ := http.NewRequestWithContext(t.Context(), http.MethodGet, base+path, nil)
			req.Header.Set("X-Sandlot-Secret", secret)
			resp, err := client.Do(req)
			if err != nil {
				continue // not reachable at all is as good
			}
			_ = resp.Body.Close()
			if resp.StatusCode != http.StatusUnauthorized {
				t.Errorf("GET %s with secret %q: %d, want 401", path, secret, resp.StatusCode)
			}
		}
	}
	if code, out := box.Exec("wget -q -O - http://127.0.0.1:2280/version"); code == 0 {
		t.Errorf("the sandbox's own processes may call the toolbox: %s", out)
	}
}

func TestNeighboursCannotReachEachOther(t *testing.T) {
	s, c := small.up(t)
	one, two := c.Create(nil), c.Create(nil)
	two.MustExec("(nohup nc -lk -p 7000 -e echo reached >/dev/null 2>&1 &)")
	ip := inspect(t, s, two.ID).ip()
	if code, out := one.Exec("wget -q -T 3 -O - http://" + ip + ":2280/version"); code == 0 {
		t.Errorf("a neighbour's toolbox answered: %s", out)
	}
	if code, out := one.Exec("nc -w 3 " + ip + " 7000 </dev/null"); code == 0 && strings.Contains(out, "reached") {
		t.Errorf("a neighbour's port answered: %s", out)
	}
}

func TestEnvReachesEveryCommand(t *testing.T) {
	_, c := full.up(t)
	box := c.Create(map[string]any{"env": map[string]string{"PLAIN": "a b", "QUOTED": `"$HOME" 'x'`, "EMPTY": ""}})
	if got := box.MustExec(`printf '%s|%s|%s' "$PLAIN" "$QUOTED" "${EMPTY-unset}"`); got != `a b|"$HOME" 'x'|` {
		t.Errorf("in a shell: %q", got)
	}
	var out struct{ Result string }
	box.Toolbox("POST", "/process/code-run", map[string]any{
		"language": "python",
		"code":     "import os; print(os.environ['QUOTED'])",
	}).
		Want(http.StatusOK).Into(&out)
	if out.Result != "\"$HOME\" 'x'\n" {
		t.Errorf("in Python: %q", out.Result)
	}
	if got := box.Refresh().Env["QUOTED"]; got != `"$HOME" 'x'` {
		t.Errorf("in the API: %q", got)
	}
}

func TestDefaultImageIsAUsableComputer(t *testing.T) {
	_, c := full.up(t)
	box := c.Create(nil)
	if got := box.MustExec("id -un; pwd; echo $HOME"); got != "daytona\n/home/daytona\n/home/daytona" {
		t.Errorf("user, folder, home: %q", got)
	}
	box.MustExec("for p in bash git curl rg python3 pip uv node npm tsc ts-node pylsp typescript-language-server; do " +
		"command -v $p >/dev/null || { echo no $p; exit 1; }; done")
	box.MustExec("python3 -c 'import numpy, pandas, matplotlib, requests'")
	for _, tc := range []struct{ language, code, want string }{
		{"python", "print(6 * 7)", "42\n"},
		{"javascript", "console.log(6 * 7)", "42\n"},
		{"typescript", "const n: number = 42; console.log(n)", "42\n"},
	} {
		var out struct {
			ExitCode int
			Result   string
		}
		box.Toolbox("POST", "/process/code-run", map[string]any{
			"language": tc.language, "code": tc.code,
			"timeout": 60,
		}).Want(http.StatusOK).Into(&out)
		if out.ExitCode != 0 || out.Result != tc.want {
			t.Errorf("%s: %d %q, want %q", tc.language, out.ExitCode, out.Result, tc.want)
		}
	}
}

func TestAnyImageServes(t *testing.T) {
	t.Run("one that holds nothing", func(t *testing.T) {
		s := harness.Start(t, harness.Options{Image: harness.Image(t, "", harness.Scratch)})
		c := s.As(t, s.Key)
		box := c.Create(nil)
		box.Toolbox("POST", "/files/upload-v2?path=/dir/file", strings.NewReader("text")).Want(http.StatusOK)
		if got := box.Toolbox("GET", "/files/download?path=/dir/file", nil).Want(http.StatusOK); string(got.Body) != "text" {
			t.Errorf("the file came back as %q", got.Body)
		}
		if code, out := box.Exec("echo hi"); code != 127 || !strings.Contains(out, "echo") {
			t.Errorf("execute of what is not there: %d %q, want 127 and its name", code, out)
		}
	})
	t.Run("one with only a CMD", func(t *testing.T) {
		s := harness.Start(t, harness.Options{Image: harness.Image(t, "", harness.OnlyCMD)})
		c := s.As(t, s.Key)
		box := c.Create(nil)
		harness.Until(t, 10*time.Second, "the image's command to run", func() bool {
			code, out := box.Exec("cat /tmp/cmd-ran")
			return code == 0 && strings.HasPrefix(out, "ran ")
		})
		if out := box.MustExec("ps -o pid,args"); !strings.Contains(out, "sleep 100000") {
			t.Errorf("the image's command does not run:\n%s", out)
		}
		if a := box.Toolbox("GET", "/process/session/entrypoint", nil); a.Status == http.StatusOK {
			var session struct {
				SessionID string
				Commands  []struct{ ID, Command string }
			}
			a.Into(&session)
			if session.SessionID != "entrypoint" || len(session.Commands) != 1 ||
				session.Commands[0].ID != "entrypoint_command" {
				t.Errorf("entrypoint session: %s", a.Body)
			}
		} else {
			a.Want(http.StatusNotImplemented)
		}
	})
}

func TestOrphansAreReaped(t *testing.T) {
	_, c := small.up(t)
	box := c.Create(nil)
	box.MustExec(`for i in $(seq 1 200); do (sh -c 'sleep 0.1 & exec true' &) ; done`)
	harness.Until(t, 20*time.Second, "no zombie and no sleep to be left", func() bool {
		_, out := box.Exec("grep -l 'State:.*Z' /proc/[0-9]*/status 2>/dev/null | wc -l; pidof sleep | wc -w")
		return out == "0\n0\n"
	})
}
