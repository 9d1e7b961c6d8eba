package process_test

import (
	"bytes"
	"errors"
	"io"
	"os"
	"sync"
	"testing"
	"time"

	"github.com/sandlot-dev/sandlot/process"
)

// both reads both outputs to their ends.
func both(t *testing.T, p *process.Piped) (out, errs []byte) {
	t.Helper()
	var reading sync.WaitGroup
	for to, from := range map[*[]byte]io.Reader{&out: p.Stdout, &errs: p.Stderr} {
		reading.Go(func() {
			var err error
			if *to, err = io.ReadAll(from); err != nil {
				t.Error(err)
			}
		})
	}
	reading.Wait()
	return out, errs
}

func TestPipedStreamsAreExact(t *testing.T) {
	m := newManager(t, process.Config{})
	p, err := m.StartPiped(process.Spec{Script: "tee /proc/self/fd/2; exit 7"})
	if err != nil {
		t.Fatal(err)
	}
	defer p.Close()
	want := bytes.Repeat([]byte("\x00\xff\r\n\x01\x01\x01\xc3("), 200_000)
	var writing sync.WaitGroup
	writing.Go(func() {
		if n, err := p.Stdin.Write(want); n != len(want) || err != nil {
			t.Errorf("wrote %d, %v", n, err)
		}
		_ = p.Stdin.Close()
	})
	out, errs := both(t, p)
	writing.Wait()
	if !bytes.Equal(out, want) || !bytes.Equal(errs, want) {
		t.Errorf("stdout has %d bytes and stderr %d of %d, or others", len(out), len(errs), len(want))
	}
	if res := p.Result(); res.ExitCode != 7 {
		t.Errorf("exit code %d", res.ExitCode)
	}
	if _, err := p.Stdin.Write([]byte("x")); !errors.Is(err, process.ErrInputClosed) {
		t.Errorf("input behind the end: %v", err)
	}
}

// TestPipedOutputIsHeldBackAndNotLost looks that nothing is kept without bound, and that what was written before the
// end is read however late.
func TestPipedOutputIsHeldBackAndNotLost(t *testing.T) {
	m := newManager(t, process.Config{})
	script := "head -c 60000 /dev/zero; sleep 300 & echo end >&2"
	p, err := m.StartPiped(process.Spec{Script: script, Linger: time.Millisecond})
	if err != nil {
		t.Fatal(err)
	}
	<-p.Done()
	out, errs := both(t, p)
	if len(out) != 60000 || string(errs) != "end\n" {
		t.Errorf("%d bytes and %q", len(out), errs)
	}
	p.Close()
	p.Kill() // the sleep that held both

	endless, err := m.StartPiped(process.Spec{Script: "yes"})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := io.ReadFull(endless.Stdout, make([]byte, 1<<20)); err != nil {
		t.Error(err)
	}
	endless.Kill()
	if rest, err := io.ReadAll(endless.Stdout); err != nil || len(rest) > 1<<20 {
		t.Errorf("%d bytes were waiting, %v", len(rest), err)
	}
	endless.Close()
}

// TestPipedBackgroundChildGoesOn looks that one that writes for ever delays nothing, and is not ended.
func TestPipedBackgroundChildGoesOn(t *testing.T) {
	m := newManager(t, process.Config{})
	p, err := m.StartPiped(process.Spec{Script: `echo $$; while echo x; do :; done & `, Linger: time.Millisecond})
	if err != nil {
		t.Fatal(err)
	}
	out, _ := both(t, p)
	p.Close()
	if len(out) < 2 || p.Gone(100*time.Millisecond) {
		t.Errorf("the child has ended; output is %d bytes", len(out))
	}
	p.Kill()
	if !p.Gone(2 * time.Second) {
		t.Error("it goes on")
	}
}

// TestPipedHasMoreDescriptors is what a credential helper of git's or a desktop's control channel needs.
func TestPipedHasMoreDescriptors(t *testing.T) {
	m := newManager(t, process.Config{})
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	p, err := m.StartPiped(process.Spec{Script: "echo by the fourth >&3; echo by the second"}, w)
	_ = w.Close()
	if err != nil {
		t.Fatal(err)
	}
	defer p.Close()
	out, _ := both(t, p)
	if said, err := io.ReadAll(r); string(said) != "by the fourth\n" || string(out) != "by the second\n" || err != nil {
		t.Errorf("%q and %q, %v", said, out, err)
	}
}
