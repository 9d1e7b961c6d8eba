package process_test

import (
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/sandlot-dev/sandlot/process"
)

// TestHandlerOfSIGTERMIsLeftToItsWork ends programs that handle SIGTERM and not SIGHUP, as most do: nothing else may
// end them meanwhile.
func TestHandlerOfSIGTERMIsLeftToItsWork(t *testing.T) {
	const wait = `while :; do sleep 0.01; done`
	for _, way := range []struct {
		name string
		end  func(*process.Manager, *process.Process)
	}{
		{"End", func(_ *process.Manager, p *process.Process) { p.End(20 * time.Second) }},
		{"own session", func(_ *process.Manager, p *process.Process) { p.EndWith(process.OwnSession, 20*time.Second) }},
		{"Close", func(m *process.Manager, _ *process.Process) { _ = m.Close(20 * time.Second) }},
	} {
		for _, tc := range []struct{ name, script string }{
			{"bash", `trap 'for i in 1 2 3 4 5 6 7 8; do sleep 0.02; done; echo saved; exit' TERM; echo up; ` + wait},
			{"longer than a second", `trap 'sleep 1.3; echo saved; exit' TERM; echo up; ` + wait},
			{"child of a shell", `sh -c "trap 'sleep 0.1; echo saved; exit' TERM; echo up; ` + wait + `"; true`},
			{"EXIT", `trap 'exit 3' TERM; trap 'echo saved' EXIT; echo up; ` + wait},
		} {
			t.Run(way.name+"/"+tc.name, func(t *testing.T) {
				m := newManager(t, process.Config{})
				p, err := m.Start(process.Spec{Argv: []string{"bash", "-c", tc.script}})
				if err != nil {
					t.Fatal(err)
				}
				speaks(t, p)
				way.end(m, p)
				<-p.Drained()
				if got := text(t, p.Output(), 0); !strings.Contains(got, "saved\n") {
					t.Errorf("output = %q, want what it saved", got)
				}
			})
		}
	}
}

// TestIgnoredSIGTERMIsFollowedBySIGHUP needs no kill: what does not listen to the one is asked by the other, a second
// later.
func TestIgnoredSIGTERMIsFollowedBySIGHUP(t *testing.T) {
	m := newManager(t, process.Config{})
	for _, trap := range []string{`trap '' TERM`, `trap 'echo no' TERM`} {
		script := trap + `; trap 'echo hung up; exit 5' HUP; echo up; while :; do sleep 0.01; done`
		p, err := m.Start(process.Spec{Script: script})
		if err != nil {
			t.Fatal(err)
		}
		speaks(t, p)
		began := time.Now()
		p.End(20 * time.Second)
		<-p.Drained()
		if res, took := p.Result(), time.Since(began); res.ExitCode != 5 || took < time.Second || took > 10*time.Second {
			t.Errorf("%s: exit code %d after %v; want 5 after a second or more", trap, res.ExitCode, took)
		}
	}
}

// TestOwnSessionEndsAndWhatLeftItLivesOn is what a deleted session and a killed terminal do.
func TestOwnSessionEndsAndWhatLeftItLivesOn(t *testing.T) {
	m := newManager(t, process.Config{})
	for name, end := range map[string]func(*process.Process, process.Scope){
		"EndWith":  func(p *process.Process, s process.Scope) { p.EndWith(s, 200*time.Millisecond) },
		"KillWith": func(p *process.Process, s process.Scope) { p.KillWith(s) },
	} {
		for i, tc := range []struct {
			name, script string
			lives        bool
		}{
			{"child", `sleep W & sleep 1000`, false},
			{"double fork", `(sleep W &); sleep 1000`, false},
			{"no environment", `(env -i sleep W &); sleep 1000`, false},
			{"ignores all", `trap '' HUP TERM INT; sleep W & sleep 1000`, false},
			{"group of its own", `set -m; sleep W & sleep 1000`, false},
			{"stopped", `sleep W & sleep 0.2; kill -STOP $!; sleep 1000`, false},
			{"setsid", `setsid sleep W & sleep 1000`, true},
			{"setsid, parents gone", `(setsid sh -c '(sleep W &) >/dev/null 2>&1' &); sleep 1000`, true},
			{"setsid, no environment", `(env -i setsid sleep W &); sleep 1000`, true},
			{"nohup", `nohup sleep W >/dev/null 2>&1 & sleep 1000`, true},
			{"child of nohup", `nohup sh -c 'sleep W; true' >/dev/null 2>&1 & sleep 1000`, true},
			{
				"child of nohup that obeys SIGHUP again",
				`nohup env --default-signal=HUP sh -c 'sleep W; true' >/dev/null 2>&1 & sleep 1000`, false,
			},
			{
				"child of a nohup'd program that obeys it again",
				`nohup bash -c 'env --default-signal=HUP sleep W; true' >/dev/null 2>&1 & sleep 1000`, true,
			},
		} {
			t.Run(name+"/"+tc.name, func(t *testing.T) {
				t.Parallel()
				word := fmt.Sprintf("%d.%s%02d", 82000+os.Getpid()%1000, name[:1], i+10)
				word = strings.NewReplacer("E", "1", "K", "2").Replace(word)
				p, err := m.Start(process.Spec{Argv: []string{"bash", "-c", strings.ReplaceAll(tc.script, "W", word)}})
				if err != nil {
					t.Fatal(err)
				}
				runs := func() (n int) { // as sleep alone, not as a word of a shell
					for _, line := range alive(t, word) {
						if _, args, _ := strings.Cut(line, " "); strings.HasPrefix(args, "sleep "+word) {
							n++
						}
					}
					return n
				}
				for late := time.Now().Add(20 * time.Second); runs() == 0; {
					if time.Now().After(late) {
						t.Fatalf("it does not run: %q", alive(t, word))
					}
				}
				end(p, process.OwnSession)
				if got := runs() > 0; got != tc.lives {
					t.Errorf("it lives on: %v, want %v", got, tc.lives)
				}
				end(p, process.Descendants)
				if runs() > 0 {
					t.Error("it is left after the end of all descendants")
				}
			})
		}
	}
}

// speaks waits for the first that a process writes.
func speaks(t *testing.T, p *process.Process) {
	t.Helper()
	r := p.Output().Follow(0)
	defer r.Close()
	if _, err := r.Next(t.Context()); err != nil {
		t.Fatal(err)
	}
}

func TestWhatBreedsIsKilledAtOnce(t *testing.T) {
	m := newManager(t, process.Config{})
	p, err := m.Start(process.Spec{Script: `trap '' TERM HUP; echo up; while :; do sleep 0.05 & done`})
	if err != nil {
		t.Fatal(err)
	}
	speaks(t, p)
	began := time.Now()
	p.End(20 * time.Second)
	if took := time.Since(began); took > 10*time.Second {
		t.Errorf("the end took %v", took)
	}
	if !p.Gone(0) {
		t.Error("something is left")
	}
}

func TestCleaningUpHasItsTime(t *testing.T) {
	m := newManager(t, process.Config{})
	script := `trap '' HUP; trap 'for i in 1 2 3 4 5 6 7 8; do sleep 0.02; done; echo clean; exit' TERM;` +
		` echo up; while :; do sleep 0.01; done`
	p, err := m.Start(process.Spec{Script: script})
	if err != nil {
		t.Fatal(err)
	}
	speaks(t, p)
	p.End(20 * time.Second)
	<-p.Drained()
	got := text(t, p.Output(), 0) // the shell may tell of its child between
	if !strings.HasPrefix(got, "up\n") || !strings.HasSuffix(got, "clean\n") {
		t.Errorf("output = %q, want what it did after SIGTERM too", got)
	}
}
