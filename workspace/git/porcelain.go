package git

import (
	"bufio"
	"errors"
	"io"
	"os"
	"slices"
	"strconv"
	"strings"

	"github.com/sandlot-dev/sandlot/internal/fault"
)

// Change is the state of a file on one side: index against HEAD, or work tree against index.
type Change string

// The states, in the words of the wire (docs/wire.md, "Status").
const (
	Unmodified Change = "Unmodified"
	Untracked  Change = "Untracked"
	Modified   Change = "Modified"
	Added      Change = "Added"
	Deleted    Change = "Deleted"
	Renamed    Change = "Renamed"
	Copied     Change = "Copied"
	Unmerged   Change = "Updated but unmerged"
)

var changes = map[byte]Change{
	'.': Unmodified, 'M': Modified, 'T': Modified, 'A': Added, 'D': Deleted, 'R': Renamed, 'C': Copied, 'U': Unmerged,
}

// FileStatus is a changed file.
type FileStatus struct {
	Name     string // from the repository's root
	Old      string // former name of a renamed or copied file, else ""
	Staging  Change // index against HEAD
	Worktree Change // work tree against index
}

// Status is the state of a repository's work tree.
type Status struct {
	Branch        string       // short name, also of a branch without commits; "HEAD" when detached
	Detached      bool         // HEAD is a commit and no branch
	Upstream      string       // such as origin/main; "" when the branch has none
	Ahead, Behind int          // commits, against what is known of the upstream here
	Files         []FileStatus // changed ones, by name; never nil
}

var errPorcelain = fault.New(fault.Internal, "git status wrote something this release cannot read")

// parseStatus reads `git status --porcelain=v2 --branch -z`.
func parseStatus(r io.Reader) (*Status, error) {
	st := &Status{Files: []FileStatus{}}
	in := bufio.NewReaderSize(r, 64<<10)
	for {
		entry, err := record(in)
		if errors.Is(err, io.EOF) {
			slices.SortFunc(st.Files, func(a, b FileStatus) int { return strings.Compare(a.Name, b.Name) })
			return st, nil
		}
		if err != nil {
			return nil, err
		}
		if err := st.add(entry, in); err != nil {
			return nil, err
		}
	}
}

// record reads up to the next NUL. io.EOF comes only between records.
func record(in *bufio.Reader) (string, error) {
	s, err := in.ReadString(0)
	switch {
	case err == nil:
		return s[:len(s)-1], nil
	case s == "" && (errors.Is(err, io.EOF) || errors.Is(err, os.ErrDeadlineExceeded)):
		return "", io.EOF
	case errors.Is(err, io.EOF):
		return "", errPorcelain
	}
	return "", err
}

func (st *Status) add(entry string, in *bufio.Reader) error {
	kind, rest, ok := strings.Cut(entry, " ")
	if !ok || rest == "" {
		return errPorcelain
	}
	switch kind {
	case "#":
		return st.header(rest)
	case "?":
		st.Files = append(st.Files, FileStatus{Name: strings.TrimSuffix(rest, "/"), Staging: Untracked, Worktree: Untracked})
		return nil
	case "!":
		return nil
	}
	fields := map[string]int{"1": 8, "2": 9, "u": 10}[kind] // with the name, which may hold blanks
	parts := strings.SplitN(rest, " ", fields)
	if fields == 0 || len(parts) != fields || len(parts[0]) != 2 {
		return errPorcelain
	}
	f := FileStatus{Name: parts[fields-1], Staging: changes[parts[0][0]], Worktree: changes[parts[0][1]]}
	if f.Name == "" || f.Staging == "" || f.Worktree == "" {
		return errPorcelain
	}
	switch kind {
	case "u":
		f.Staging, f.Worktree = Unmerged, Unmerged
	case "2":
		old, err := record(in)
		if err != nil {
			return errPorcelain
		}
		f.Old = old
	}
	st.Files = append(st.Files, f)
	return nil
}

func (st *Status) header(rest string) error {
	key, value, _ := strings.Cut(rest, " ")
	switch key {
	case "branch.head":
		st.Branch = value
		if value == "(detached)" {
			st.Branch, st.Detached = "HEAD", true
		}
	case "branch.upstream":
		st.Upstream = value
	case "branch.ab":
		ahead, behind, ok := strings.Cut(value, " ")
		a, aerr := strconv.Atoi(ahead)
		b, berr := strconv.Atoi(behind)
		if !ok || aerr != nil || berr != nil || a < 0 || b > 0 {
			return errPorcelain
		}
		st.Ahead, st.Behind = a, -b
	}
	return nil
}

// Commit is one commit of a history.
type Commit struct {
	Hash, Author, Email string
	Message             string // whole, with its trailing newline
	Time                string // of the author, RFC 3339
}

// logFormat makes git log write the five fields, each ended by NUL.
const logFormat = "--format=tformat:%H%x00%an%x00%ae%x00%aI%x00%B"

// parseLog reads `git log -z` of logFormat.
func parseLog(r io.Reader, yield func(Commit) error) error {
	in := bufio.NewReaderSize(r, 64<<10)
	for {
		var f [5]string
		for i := range f {
			var err error
			if f[i], err = record(in); errors.Is(err, io.EOF) && i == 0 {
				return nil
			} else if err != nil {
				return errPorcelain
			}
		}
		if err := yield(Commit{Hash: f[0], Author: f[1], Email: f[2], Time: f[3], Message: f[4]}); err != nil {
			return err
		}
	}
}
