// Package git works on the repositories of a sandbox through the git program, or a library where there is none.
//
// A Manager checks what it is asked, makes changes of one repository wait for one another, and leaves the work to a
// backend. Calls that read do not wait and take no locks. Calls that reach another server end with their context; local
// changes, once begun, are finished, for which they have 5 minutes when their caller has left.
//
// The backend program makes one call of git for a request, where git can do it in one. It gives git the locale C and no
// terminal, editor, pager, prompt or background upkeep, and takes the repository exactly at the path it is told:
// parents are not searched.
//
// Credentials of a call go to git over a socket on descriptor 3 that a credential helper reads, for the scheme, host
// and port of that call's URL alone. They are never in arguments, environment or files, and are taken out of error
// texts. The user's own helpers are asked only when a call brings no credentials.
//
// The backend library does what it can where the image has no git program: slower, in this process's memory, over
// HTTP(S) and SSH alone, without hooks, filters and credential helpers; a checkout wants a clean work tree then. What
// it cannot do is ErrNoGit: clones of local paths, reset mode keep, restore but from HEAD, credentials, system
// settings.
//
// Errors carry a wire code, such as GIT_REPO_NOT_FOUND, and git's own words.
//
//	m := git.New(processes)
//	err := m.Clone(ctx, git.CloneSpec{URL: "https://example.com/a.git", Path: "a", Depth: 1})
//	st, err := m.Status(ctx, "a")
package git
