package git

import (
	"strings"
	"testing"
)

// FuzzStatus holds that no output crashes the reader and that what it takes is whole.
func FuzzStatus(f *testing.F) {
	f.Add("# branch.oid (initial)\x00# branch.head main\x00? a b\x00")
	f.Add("# branch.head (detached)\x00# branch.upstream o/m\x00# branch.ab +1 -2\x00" +
		"1 .M N... 100644 100644 100644 a b f g\x002 R. N... 1 1 1 a b R100 new\x00old\x00u UU N... 1 1 1 1 a b c x\x00")
	f.Fuzz(func(t *testing.T, text string) {
		st, err := parseStatus(strings.NewReader(text))
		if err != nil {
			return
		}
		for _, file := range st.Files {
			if file.Name == "" && !strings.Contains(text, "? /") || file.Staging == "" || file.Worktree == "" {
				t.Fatalf("%+v", file)
			}
		}
		if st.Ahead < 0 || st.Behind < 0 {
			t.Fatalf("%+v", st)
		}
	})
}

func FuzzLog(f *testing.F) {
	f.Add("h\x00a\x00e\x00t\x00m\n\x00")
	f.Fuzz(func(t *testing.T, text string) {
		n := 0
		err := parseLog(strings.NewReader(text), func(Commit) error { n++; return nil })
		if nuls := strings.Count(text, "\x00"); n != nuls/5 || err == nil &&
			(nuls%5 != 0 || text != "" && !strings.HasSuffix(text, "\x00")) {
			t.Fatalf("%d commits from %d fields, %v", n, nuls, err)
		}
	})
}
