package workspace_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/sandlot-dev/sandlot/internal/fault"
	"github.com/sandlot-dev/sandlot/workspace"
)

func TestReplace(t *testing.T) {
	f, dir := open(t)
	var names []string
	for i := range 20 {
		names = append(names, fmt.Sprint("f", i))
		mustWrite(t, dir+"/"+names[i], "old and old")
	}
	_ = unix.Chmod(dir+"/f3", 0o751)
	mustWrite(t, dir+"/f4", "nothing")
	_ = os.Remove(dir + "/f5")
	_ = os.Remove(dir + "/f6")
	_ = os.Symlink("f7", dir+"/f6")
	_ = os.Remove(dir + "/f8")
	_ = os.Mkdir(dir+"/f8", 0o755)
	mustWrite(t, dir+"/f9", "\x00\xffold\x00")
	var before, after unix.Stat_t
	_ = unix.Stat(dir+"/f4", &before)
	got, err := f.Replace(t.Context(), names, "old", "new")
	if err != nil || len(got) != len(names) {
		t.Fatalf("%d results, %v", len(got), err)
	}
	for i, r := range got {
		if r.File != names[i] || (r.Err != nil) != (i == 5 || i == 8) {
			t.Errorf("%d: %+v", i, r)
		}
	}
	_ = unix.Stat(dir+"/f4", &after)
	if before.Ino != after.Ino || before.Ctim != after.Ctim {
		t.Error("a file without the text was touched")
	}
	wantContent(t, dir+"/f0", "new and new")
	wantContent(t, dir+"/f7", "new and new")
	wantContent(t, dir+"/f9", "\x00\xffnew\x00")
	if st, _ := os.Stat(dir + "/f3"); st.Mode().Perm() != 0o751 {
		t.Errorf("mode became %v", st.Mode())
	}
	if got, err := f.Replace(t.Context(), []string{"f0", "f0"}, "new", "newnew"); err != nil || got[1].Err != nil {
		t.Fatal(got, err)
	}
	wantContent(t, dir+"/f0", "newnewnewnew and newnewnewnew")
	_, err = f.Replace(t.Context(), nil, "", "x")
	wantFault(t, "empty pattern", err, fault.Invalid, "")
	noTemps(t, dir)
}

// TestReplaceInFilesWithSeveralNames has workers meet the same file, which is written in place.
func TestReplaceInFilesWithSeveralNames(t *testing.T) {
	f, dir := open(t)
	fill := strings.Repeat("0123456789abcdef", 64<<10)
	mustWrite(t, dir+"/0", "one "+fill+" one")
	names := []string{"0"}
	for i := 1; i < 16; i++ {
		names = append(names, fmt.Sprint(i))
		if err := os.Link(dir+"/0", dir+"/"+names[i]); err != nil {
			t.Fatal(err)
		}
	}
	words := [2]string{"one", "three"}
	for n := range 10 {
		from, to := words[n%2], words[(n+1)%2]
		results, err := f.Replace(t.Context(), names, from, to)
		if err != nil {
			t.Fatal(err)
		}
		for _, r := range results {
			if r.Err != nil {
				t.Error(r.Err)
			}
		}
		if data, err := os.ReadFile(dir + "/15"); err != nil || string(data) != to+" "+fill+" "+to {
			t.Fatalf("round %d: %d bytes that begin with %.10q, %v", n, len(data), data, err)
		}
	}
	noTemps(t, dir)
}

func TestReplaceInLargeFiles(t *testing.T) {
	f, dir := open(t)
	r := rand.New(rand.NewPCG(3, 4))
	var b strings.Builder
	for b.Len() < 3_000_000 {
		b.WriteString(strings.Repeat("ne", r.IntN(300)) + "need" + "need"[:r.IntN(4)])
	}
	content := b.String()
	for _, p := range [][2]string{
		{"need", "x"},
		{"en", ""},
		{"nn", "longer than before"},
		{"n", strings.Repeat("z", 100)},
		{strings.Repeat("ne", 250), "Q"},
	} {
		mustWrite(t, dir+"/big", content)
		if got, err := f.Replace(t.Context(), []string{"big"}, p[0], p[1]); err != nil || got[0].Err != nil {
			t.Fatal(got, err)
		}
		now, _ := os.ReadFile(dir + "/big")
		if string(now) != strings.ReplaceAll(content, p[0], p[1]) {
			t.Errorf("replacing %.10q by %.10q went wrong", p[0], p[1])
		}
	}
}

// leaving is a context that ends when it has been asked for its end a few times.
type leaving struct {
	context.Context //nolint:containedctx // it is one
	after           atomic.Int32
}

func (l *leaving) Err() error {
	if l.after.Add(-1) < 0 {
		return context.Canceled
	}
	return nil
}

// TestReplaceEndsWithItsCaller in the middle of a file, which stays as it was.
func TestReplaceEndsWithItsCaller(t *testing.T) {
	f, dir := open(t)
	content := strings.Repeat("0123456789abcdef", 256<<10)
	for what, edge := range map[string]string{"while it looks for the text": "", "while it writes": "text"} {
		mustWrite(t, dir+"/big", edge+content+"text")
		ctx := &leaving{Context: t.Context()}
		ctx.after.Store(4) // the file has 9 windows
		results, err := f.Replace(ctx, []string{"big", "other"}, "text", "word")
		if err != nil || !errors.Is(results[0].Err, context.Canceled) || !errors.Is(results[1].Err, context.Canceled) {
			t.Errorf("%s: %v %v", what, results, err)
		}
		wantContent(t, dir+"/big", edge+content+"text")
		noTemps(t, dir)
	}
}

// TestReplaceInPlaceLosesNothing in a folder that takes no temporary file, whatever the file's length and whoever
// leaves.
func TestReplaceInPlaceLosesNothing(t *testing.T) {
	f, dir := open(t)
	_ = os.Chmod(dir, 0o755)
	_ = os.Chmod(filepath.Dir(dir), 0o755)
	closed := dir + "/closed"
	content := "text" + strings.Repeat("0123456789abcdef", 256<<10) + "text"
	mustWrite(t, closed+"/file", content)
	_ = os.Chmod(closed+"/file", 0o666)
	_ = os.Chmod(closed, 0o555)
	defer os.Chmod(closed, 0o755)
	replace := func(ctx context.Context, text, with string) (err error) {
		asUser(t, func() {
			var results []workspace.Replaced
			if results, err = f.Replace(ctx, []string{"closed/file"}, text, with); err == nil {
				err = results[0].Err
			}
		})
		return err
	}
	for _, with := range []string{"longer than before", "text", ""} {
		before, _ := os.ReadFile(closed + "/file")
		if err := replace(t.Context(), "text", with); err != nil {
			t.Fatal(err)
		}
		wantContent(t, closed+"/file", strings.ReplaceAll(string(before), "text", with))
		mustRewrite(t, closed+"/file", content)
	}
	ctx := &leaving{Context: t.Context()}
	ctx.after.Store(4)
	if err := replace(ctx, "text", "word"); !errors.Is(err, context.Canceled) {
		t.Errorf("its caller left: %v", err)
	}
	wantContent(t, closed+"/file", content)
}

// mustRewrite gives a file that there is its content again.
func mustRewrite(t *testing.T, name, content string) {
	t.Helper()
	if err := os.WriteFile(name, []byte(content), 0o666); err != nil {
		t.Fatal(err)
	}
}
