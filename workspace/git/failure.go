package git

import (
	"regexp"
	"slices"
	"strings"

	"github.com/sandlot-dev/sandlot/internal/fault"
)

// classes give git's failures their kinds. Git's exit codes do not distinguish them, but its words do, which are
// stable in the locale C. The first class that fits counts, so special ones stand before general ones. In the text
// that is searched, each quoted name is replaced by two quotes.
var classes = []struct {
	kind  fault.Kind
	code  string
	words []string
	here  bool // counts in this git's own words alone, not in those of the other end
}{
	{fault.Full, codeDiskFull, []string{"No space left on device", "Disk quota exceeded"}, true},
	{fault.Unavailable, "", []string{
		"Cannot allocate memory", "Out of memory", "out of memory", "Too many open files",
		"No file descriptors available", "Resource temporarily unavailable", "No locks available", "Text file busy",
		"Stale file handle", "Stale NFS file handle",
	}, true},
	{fault.Internal, "", []string{"Input/output error", "I/O error"}, true},
	{fault.Conflict, "", []string{"Device or resource busy", "Resource busy"}, true},
	{fault.Forbidden, codeNoAccess, []string{ // of a file, not of a URL
		"unable to access '': Permission denied", "unable to access '': Operation not permitted",
	}, true},
	{fault.Conflict, "", []string{
		": File exists", "Another git process seems to be running", "' exists; cannot create '",
	}, false},
	// The setting safe.directory does not reach the other side of a local clone.
	{fault.Forbidden, codeNoAccess, []string{"dubious ownership"}, false},
	{fault.Unprocessable, codeRejected, []string{
		"[remote rejected]", "hook declined", "remote unpack failed", "GH006", "GH013",
	}, false},
	{fault.Conflict, codePushRejected, []string{"[rejected]", "non-fast-forward", "fetch first"}, false},
	{fault.Conflict, codeDirty, []string{
		"would be overwritten by", "commit your changes or stash them", "not uptodate. Cannot merge",
		"would lose untracked files", "You have local changes",
	}, false},
	{fault.Conflict, codeConflict, []string{
		"Not possible to fast-forward", "unmerged files", "resolve your current index first", "needs merge",
		"You have not concluded your merge", "refusing to merge unrelated histories", "in the middle of a merge",
		"path '' is unmerged",
	}, false},
	{fault.Conflict, codeBranchExists, []string{"branch named '' already exists"}, false},
	{fault.Conflict, "", []string{
		"nothing to commit", "no changes added to commit", "nothing added to commit",
		"already exists and is not an empty directory", "already checked out at", "already used by worktree",
		"annot delete branch", "not currently on a branch", "HEAD is not on a branch",
	}, false},
	{fault.Unauthenticated, codeAuth, []string{
		"Authentication failed", "could not read Username", "could not read Password", "Invalid username or",
		"Permission denied (", "Host key verification failed", "returned error: 401",
	}, false},
	{fault.Forbidden, "FORBIDDEN", []string{"returned error: 403", "remote: Permission to", "remote: Forbidden"}, false},
	{fault.NotFound, codeNoRepo, []string{
		"repository '' not found", "Repository not found", "repository not found", "returned error: 404",
		"does not appear to be a git repository", "not a git repository", "No such remote",
		"can only be used inside a git repository", "repository '' does not exist", "not a valid repository",
	}, false},
	{fault.Unprocessable, "", []string{
		"must be run in a work tree", "not possible with bare", "mixed reset is not", "bare repositor",
	}, false},
	{fault.Upstream, codeTransport, []string{
		"unable to access", "Could not resolve host", "Failed to connect", "Connection refused", "Connection timed out",
		"Connection reset", "Network is unreachable", "No route to host", "early EOF", "hung up unexpectedly",
		"RPC failed", "unable to connect", "unable to look up", "Could not read from remote repository", "protocol error",
		"bad line length", "transport '' not allowed", "nable to find remote helper", "Unsupported proxy",
	}, false},
	{fault.NotFound, codeNoFile, []string{"pathspec '' did not match any file"}, false},
	{fault.NotFound, codeNoBranch, []string{
		"Remote branch", "find remote ref", "src refspec", "invalid reference", "unknown revision",
		"ot a valid object name", "ambiguous argument", "reference is not a tree", "bad revision", "is not a commit",
		"not our ref", "Failed to resolve", "could not resolve", "bad object", "unadvertised object",
		"not have any commits yet", "branch '' not found", "to a non-commit", "unable to read tree",
		"Could not parse object", "not a valid ref",
	}, false},
	{fault.Invalid, "", []string{
		"not a valid branch name", "not a valid remote name", "invalid initial branch name", "invalid key",
		"does not contain a section", "empty ident", "empty commit message", "disallowed characters", "invalid refspec",
		"ignored by one of your .gitignore", "outside repository", "beyond a symbolic link", "NUL byte",
		"unable to parse", "bad config", "invalid section name", "in submodule", "bad boolean", "HOME not set",
		"Not a directory", "File name too long",
	}, false},
	{fault.NotFound, codeNoFile, []string{"No such file or directory"}, false},
	{fault.Forbidden, codeNoAccess, []string{
		"Permission denied", "Read-only file system", "insufficient permission", "Operation not permitted",
	}, false},
}

var quoted = regexp.MustCompile(`'[^'\n]*'|"[^"\n]*"`)

// remote finds the lines that the other end has written.
var remote = regexp.MustCompile(`(?m)^remote: .*$`)

// bare returns text without quoted names and lists of files, which could hold any words.
func bare(text string) string {
	var b strings.Builder
	for line := range strings.Lines(text) {
		if !strings.HasPrefix(line, "\t") {
			b.WriteString(quoted.ReplaceAllString(line, "''"))
		}
	}
	return b.String()
}

// failure makes an error of a result, nil for a command that succeeded.
func (c *command) failure(r result) error {
	if r.code == 0 {
		return nil
	}
	text := string(r.stderr)
	if r.stdout != nil {
		// git commit and git push --porcelain give their reasons there.
		text += "\n" + string(r.stdout[:min(len(r.stdout), maxErrors)])
	}
	words, text := c.words(text), bare(text)
	own := remote.ReplaceAllString(text, "")
	for _, class := range classes {
		said := text
		if class.here {
			said = own
		}
		for _, w := range class.words {
			if strings.Contains(said, w) {
				if class.code == codeAuth && c.network && !c.creds.given() {
					words += "; give username and password"
				}
				return fault.Codef(class.kind, class.code, "%s", words)
			}
		}
	}
	return fault.Newf(fault.Internal, "%s (exit code %d)", words, r.code)
}

// noise lists the beginnings of lines that give no reason.
var noise = []string{"hint:", "warning:", "Cloning into", "(use ", "To "}

// words makes one line of what git wrote, without hints and credentials.
func (c *command) words(text string) string {
	var kept []string
	size := 0
	for line := range strings.Lines(redact(text, c.creds)) {
		// Progress overwrites itself: what is behind the last carriage return counts.
		line = strings.TrimSpace(line[strings.LastIndexByte(strings.TrimRight(line, "\r\n"), '\r')+1:])
		isNoise := func(prefix string) bool { return strings.HasPrefix(line, prefix) }
		if line == "" || line == "Done" || slices.ContainsFunc(noise, isNoise) {
			continue
		}
		for _, p := range []string{"fatal: ", "error: "} {
			line = strings.TrimPrefix(line, p)
		}
		if size += len(line); size > 1000 {
			break
		}
		kept = append(kept, line)
	}
	verb := "git"
	for _, a := range c.args {
		if !strings.HasPrefix(a, "-") && !strings.Contains(a, "=") {
			verb += " " + a
			break
		}
	}
	if len(kept) == 0 {
		return verb + " failed without a word"
	}
	return verb + ": " + strings.ToValidUTF8(strings.Join(kept, "; "), "\uFFFD")
}

var userinfo = regexp.MustCompile(`://[^/@\s'"]*@`)

// redact takes credentials out of a text: those of URLs and those of the call. Passwords of up to 3 bytes stay: they
// occur in other words too, and what is missing there would give them away.
func redact(text string, c Credentials) string {
	text = userinfo.ReplaceAllString(text, "://***@")
	if len(c.Password) > 3 {
		text = strings.ReplaceAll(text, c.Password, "***")
	}
	return text
}
