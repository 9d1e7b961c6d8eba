//go:build e2e

package e2e_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"log"
	"math/big"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/sandlot-dev/sandlot/api"
	"github.com/sandlot-dev/sandlot/tests/harness"
)

const defaultImage = "sandlot/sandbox:latest"

// inImage runs a script of bash in a container of the default image, with the test's own proxies and package mirrors
// if it has any; args go to docker.
func inImage(t *testing.T, script, network string, args ...string) (string, error) {
	t.Helper()
	run := append([]string{"run", "--rm", "-i", "--network", network, "--entrypoint", "bash"}, registries()...)
	run = append(append(run, args...), defaultImage, "-e", "-o", "pipefail", "-s")
	return harness.Docker("", []byte(script), run...)
}

// registries are arguments of docker that have a container use the test's own proxies and package mirrors, if it has
// any.
func registries() (args []string) {
	for _, name := range []string{
		"PIP_INDEX_URL", "UV_INDEX_URL", "npm_config_registry", "http_proxy", "https_proxy",
		"no_proxy",
	} {
		if os.Getenv(name) != "" {
			args = append(args, "-e", name)
		}
	}
	return args
}

// TestImageHasItsPrograms runs what the image promises, as its user, without a network.
func TestImageHasItsPrograms(t *testing.T) {
	for _, tc := range []struct{ name, script, want string }{
		{"user", `id -un; id -u; pwd; echo $HOME $LANG`, `^daytona\n1000\n/home/daytona\n/home/daytona C.UTF-8\n$`},
		{"sudo", `sudo id -u`, `^0\n$`},
		{"no zsh", `command -v zsh || echo none`, `^none\n$`},
		{"time zones", `TZ=Asia/Tokyo date -d @0 +%H:%M`, `^09:00\n$`},
		{"programs", `for p in curl git rg jq less make unzip ssh ip ps uv npm npx tsserver gcc g++ cc pkg-config python3-config; do command -v $p >/dev/null || echo missing $p; done`, `^$`},
		{"python", `python3 -c 'import numpy, pandas, requests, matplotlib.pyplot as p; p.plot([1, 2]); p.savefig("a.png"); print(pandas.DataFrame({"a": [1, 2]}).a.sum())'; file -b a.png`, `^3\nPNG image data`},
		{"compilers", `echo '#include <cstdio>
int main() { std::puts("built"); }' > a.cc; g++ -O2 -o a a.cc; ./a; echo '#include <Python.h>' > b.c; cc $(python3-config --includes) -c b.c && echo headers`, `^built\nheaders\n$`},
		{"system python", `/usr/bin/python3 -c 'import numpy'; python -m pip --version`, `^pip `},
		{"node", `node -p '1 + 1'`, `^2\n$`},
		{
			"ts-node", `echo 'const a: string = "typed"; console.log(a)' > a.ts; ts-node a.ts; npx ts-node -T a.ts`,
			`^typed\ntyped\n$`,
		},
		{
			"ts-node checks", `echo 'const a: number = "typed"' > a.ts; ts-node a.ts 2>&1 || echo refused`,
			`TS2322[^\0]*refused\n$`,
		},
		{"tsc", `echo 'export const a: number = 1' > a.ts; tsc --module commonjs a.ts; node -p 'require("./a").a'`, `^1\n$`},
		{"language servers", `pylsp --version; typescript-language-server --version`, `^pylsp v[\d.]+\n[\d.]+\n$`},
		{
			"login shell", `bash -lc 'command -v pip node pylsp'`,
			`^/usr/bin/pip\n/usr/local/bin/node\n/usr/local/bin/pylsp\n$`,
		},
		{
			"nothing left from the build", `ls -A ~ ~/.cache /tmp; ls -A /var/lib/apt/lists`,
			`^/home/daytona:\n.bash_logout\n.bashrc\n.cache\n.profile\n\n/home/daytona/.cache:\njedi\n\n/tmp:\n$`,
		},
		{
			"language servers know the standard library", `count() { find ~/.cache/jedi -name '*.pkl' | wc -l; }
				before=$(count)
				python3 -c 'import jedi; print(len(jedi.Script("import os\nos.").complete()) > 100)'
				[ $before -gt 10 ] && [ $before = $(count) ] && echo nothing was read anew`, `^True\nnothing was read anew\n$`,
		},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			out, err := inImage(t, tc.script, "none")
			if err != nil || !regexp.MustCompile(tc.want).MatchString(out) {
				t.Errorf("%s\nprinted %q, %v; want %s", tc.script, out, err, tc.want)
			}
		})
	}
}

// TestImageInstallsPackagesWithoutRoot needs the package registries.
func TestImageInstallsPackagesWithoutRoot(t *testing.T) {
	for _, tc := range []struct{ name, script, want string }{
		{"pip", `pip install -q --no-input cowsay==6.1; /usr/bin/python3 -c 'import cowsay; print(cowsay.__file__)'; command -v cowsay`, `^/usr/local/lib/python3.13/dist-packages/cowsay/__init__.py\n/usr/local/bin/cowsay\n$`},
		{"python -m pip over what is there", `python3 -m pip install -q --no-input packaging==25.0; python3 -c 'import packaging; print(packaging.__version__)'`, `^25.0\n$`},
		{"uv", `uv pip install -q cowsay==6.1; python3 -c 'import cowsay; print(cowsay.__file__)'`, `^/usr/local/lib/`},
		{"uv, the active environment's first", `python3 -m venv v; mkdir p; cd p; uv venv -q; . ../v/bin/activate; uv pip install -q cowsay==6.1; ls -d ../v/lib/python3.13/site-packages/cowsay .venv/lib/python3.13/site-packages/cowsay /usr/local/lib/python3.13/dist-packages/cowsay 2>/dev/null || true`, `^../v/lib/python3.13/site-packages/cowsay\n$`},
		{"uv, then the folder's", `mkdir -p p/below; cd p; uv venv -q; cd below; echo cowsay==6.1 > r; uv pip sync -q r; ls ../.venv/lib/python3.13/site-packages | grep -c cowsay; ls -d /usr/local/lib/python3.13/dist-packages/cowsay 2>/dev/null || python3 -c 'import numpy, pandas; print("whole")'`, `^2\nwhole\n$`},
		{"uv, then the system's", `uv pip install -q cowsay==6.1; uv pip list 2>/dev/null | grep -c -e '^cowsay ' -e '^numpy '; cowsay -t moo; pip uninstall -q -y cowsay; test -e /usr/local/bin/cowsay || uv pip uninstall -q requests; python3 -c 'import requests' 2>&1 | tail -n 1 || true`, `^2\n[^\0]*moo[^\0]*ModuleNotFoundError`},
		{"a package without a wheel", `pip install -q --no-input --no-binary netifaces netifaces==0.11.0; python3 -c 'import netifaces as n; print(n.__file__)'; pip uninstall -q -y netifaces; uv pip install -q --no-binary netifaces netifaces==0.11.0; python3 -c 'import netifaces; print("again")'`, `^/usr/local/lib/python3.13/dist-packages/netifaces.\S+.so\nagain\n$`},
		{"virtual environment", `python3 -m venv v; v/bin/pip install -q --no-input cowsay==6.1; v/bin/cowsay -t moo`, `moo`},
		{
			"npm", `npm install -g --silent cowsay@1.6.0 >/dev/null; command -v cowsay; cowsay moo`,
			`^/usr/local/bin/cowsay\n[^\0]*moo`,
		},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			out, err := inImage(t, tc.script, "host")
			if err != nil || !regexp.MustCompile(tc.want).MatchString(out) {
				t.Errorf("%s\nprinted %q, %v; want %s", tc.script, out, err, tc.want)
			}
		})
	}
}

// TestImageIsUnderAGigabyte holds the size that CONTRIBUTING promises.
func TestImageIsUnderAGigabyte(t *testing.T) {
	out, err := harness.Docker("", nil, "image", "inspect", "-f", "{{.Size}}", defaultImage)
	size, _ := strconv.Atoi(strings.TrimSpace(out))
	if err != nil || size < 1e8 || size > 1e9 {
		t.Errorf("%d MB, %v; want at most 1000", size/1e6, err)
	}
}

// TestWhatAUserInstallsIsFoundFirst asks for programs of ~/.local/bin in each place that runs commands, as the
// image's user and as root.
func TestWhatAUserInstallsIsFoundFirst(t *testing.T) {
	for _, tc := range []struct{ user, home string }{{"daytona", "/home/daytona"}, {"root", "/root"}} {
		t.Run(tc.user, func(t *testing.T) {
			t.Parallel()
			found := tc.home + "/.local/bin/rg" // the image has an rg too
			c := runPID1(t, defaultImage, []string{"--user", tc.user})
			if code, out := c.exec("command -v rg; mkdir -p ~/.local/bin; printf '#!/bin/sh\necho mine\n' > ~/.local/bin/rg; " +
				"chmod 755 ~/.local/bin/rg"); code != 0 || out != "/usr/bin/rg\n" {
				t.Fatalf("%d, %q", code, out)
			}
			for name, command := range map[string]string{
				"execute":              "command -v rg; rg",
				"execute, login shell": "bash -lc 'command -v rg; rg'", "execute, sh": "sh -c 'command -v rg; rg'",
			} {
				if code, out := c.exec(command); code != 0 || out != found+"\nmine\n" {
					t.Errorf("%s: %d, %q", name, code, out)
				}
			}
			c.session("s")
			var res api.SessionExecuteResponse
			if c.call("POST", "/process/session/s/exec", api.SessionExecuteRequest{Command: "command -v rg; rg"},
				&res); *res.Output != found+"\nmine\n" {
				t.Errorf("session: %q", *res.Output)
			}
			if out, _, err := c.terminal("t", "command -v rg; rg; exit\n"); err != nil ||
				!strings.Contains(out, found+"\r\nmine\r\n") {
				t.Errorf("terminal: %v, %q", err, out)
			}
			var run api.ExecuteResponse
			c.call("POST", "/process/code-run", api.CodeRunRequest{
				Language: "python",
				Code:     "import shutil; print(shutil.which('rg'))",
			}, &run)
			if run.Result != found+"\n" {
				t.Errorf("code-run: %q", run.Result)
			}
		})
	}
}

// TestToolsInstallWherePathsLead installs a program with each of the tools that users install for themselves with,
// and asks for it in each place that runs commands. It needs the package registries.
func TestToolsInstallWherePathsLead(t *testing.T) {
	c := runPID1(t, defaultImage, registries())
	install := `set -e
uv tool install -q pycowsay==0.0.0.2
pip install -q --user --no-input --no-warn-script-location cowsay==6.1 pipx
pipx install -q tabulate==0.9.0 >/dev/null
npm config set prefix ~/.local; npm install -g --silent semver@7.7.3 >/dev/null`
	if code, out := c.exec(install); code != 0 {
		t.Fatalf("%d: %s", code, out)
	}
	const ask, path = "command -v pycowsay cowsay pipx tabulate semver", "/home/daytona/.local/bin/"
	want := path + "pycowsay\n" + path + "cowsay\n" + path + "pipx\n" + path + "tabulate\n" + path + "semver\n"
	if _, out := c.exec(ask); out != want {
		t.Errorf("execute: %q", out)
	}
	c.session("s")
	var res api.SessionExecuteResponse
	if c.call("POST", "/process/session/s/exec", api.SessionExecuteRequest{Command: ask}, &res); *res.Output != want {
		t.Errorf("session: %q", *res.Output)
	}
	if out, _, err := c.terminal("t", ask+"; exit\n"); err != nil ||
		!strings.Contains(out, strings.ReplaceAll(want, "\n", "\r\n")) {
		t.Errorf("terminal: %v, %q", err, out)
	}
	if _, out := c.exec("cowsay -t moo && semver 1.2.3 && echo 1 | tabulate"); !strings.Contains(out, "moo") ||
		!strings.Contains(out, "1.2.3\n") {
		t.Errorf("they print %q", out)
	}
}

// TestImageTrustsAnAddedAuthority adds an authority as scripts/images does, and lets each program ask a server that
// only this authority vouches for.
func TestImageTrustsAnAddedAuthority(t *testing.T) {
	authority, certificate := newAuthority(t)
	file := filepath.Join(t.TempDir(), "test.crt")
	if err := os.WriteFile(file, authority, 0o644); err != nil {
		t.Fatal(err)
	}
	var mu sync.Mutex
	asked := map[string]bool{}
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		mu.Lock()
		asked[strings.Split(r.URL.Path, "/")[1]] = true
		mu.Unlock()
		http.NotFound(w, r)
	}))
	server.TLS = &tls.Config{Certificates: []tls.Certificate{certificate}}
	server.Config.ErrorLog = log.New(t.Output(), "", 0)
	server.StartTLS()
	defer server.Close()

	ask := map[string]string{
		"curl":     `curl -s $AT/curl`,
		"wget":     `wget -q -O /dev/null $AT/wget`,
		"git":      `git ls-remote $AT/git`,
		"pip":      `pip download -q --retries 0 --index-url $AT/pip x`,
		"venv-pip": `python3 -m venv v && v/bin/pip download -q --retries 0 --index-url $AT/venv-pip x`,
		"requests": `python3 -c 'import os, requests; requests.get(os.environ["AT"] + "/requests")'`,
		"urllib":   `python3 -c 'import os, urllib.request as u; u.urlopen(os.environ["AT"] + "/urllib")'`,
		"uv":       `uv pip install --index-url $AT/uv x`,
		"node":     `node -e 'fetch(process.env.AT + "/node")'`,
		"npm":      `npm view --registry $AT/npm --fetch-retries 0 x`,
		"sudo":     `sudo env AT=$AT node -e 'fetch(process.env.AT + "/sudo")'`,
	}
	script := "sudo update-ca-certificates >/dev/null 2>&1\n"
	for _, command := range ask {
		script += "(" + command + ") || true\n" // 404 is no success; that the server was asked is what counts
	}
	if _, err := inImage(t, script, "host", "-v", file+":/usr/local/share/ca-certificates/sandlot/test.crt:ro", "-e",
		"AT="+strings.Replace(server.URL, "127.0.0.1", "localhost", 1), "-e", "no_proxy=localhost"); err != nil {
		t.Fatal(err)
	}
	mu.Lock()
	defer mu.Unlock()
	for name, command := range ask {
		if !asked[name] {
			t.Errorf("%s: the server was not asked; the authority is not trusted by: %s", name, command)
		}
	}
}

// newAuthority makes an authority, in PEM, and a certificate of it for localhost.
func newAuthority(t *testing.T) ([]byte, tls.Certificate) {
	t.Helper()
	must := func(err error) {
		if err != nil {
			t.Helper()
			t.Fatal(err)
		}
	}
	caKey, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	must(err)
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: fmt.Sprintf("Test authority of %s", t.Name())},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
	}
	caDER, err := x509.CreateCertificate(rand.Reader, template, template, caKey.Public(), caKey)
	must(err)
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	must(err)
	leaf := &x509.Certificate{
		SerialNumber: big.NewInt(2), Subject: pkix.Name{CommonName: "localhost"}, DNSNames: []string{"localhost"},
		NotBefore: template.NotBefore, NotAfter: template.NotAfter,
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}
	ca, err := x509.ParseCertificate(caDER)
	must(err)
	leafDER, err := x509.CreateCertificate(rand.Reader, leaf, ca, key.Public(), caKey)
	must(err)
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: caDER}),
		tls.Certificate{Certificate: [][]byte{leafDER}, PrivateKey: key}
}
