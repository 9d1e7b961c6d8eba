package git

import (
	"context"
)

// backend does the work of a Manager: program with the git program, library in this process where the image has none.
//
// It is given what the Manager has checked, with its defaults filled in, and holds no locks: the Manager holds the
// repository's while a method changes it. The methods are those of Manager by the same names, with the same errors.
type backend interface {
	init(ctx context.Context, path string, bare bool, branch string) error
	status(ctx context.Context, path string) (*Status, error)
	add(ctx context.Context, path string, files []string) error // at least one file
	commit(ctx context.Context, spec CommitSpec) (hash string, err error)
	branches(ctx context.Context, path string) (Branches, error)
	head(ctx context.Context, path string) (branch string, err error) // "" when HEAD is detached
	createBranch(ctx context.Context, path, name string) error
	deleteBranch(ctx context.Context, path, name string) error
	checkout(ctx context.Context, path, name string) error
	history(ctx context.Context, path string, yield func(Commit) error) error
	reset(ctx context.Context, spec ResetSpec) error
	restore(ctx context.Context, spec RestoreSpec) error // at least one file

	clone(ctx context.Context, spec CloneSpec) error   // what a failed clone leaves is removed by the Manager
	push(ctx context.Context, spec TransferSpec) error // Remote and Branch are given
	pull(ctx context.Context, spec TransferSpec) error // Remote and Branch may be ""
	remotes(ctx context.Context, path string) ([]Remote, error)
	addRemote(ctx context.Context, path string, remote Remote, fetch, overwrite bool) error

	getConfig(ctx context.Context, scope, path, key string) (*string, error)
	setConfig(ctx context.Context, scope, path string, pairs [][2]string) error
	storeCredentials(ctx context.Context, protocol, host string, c Credentials) error
}

var (
	_ backend = program{}
	_ backend = library{}
)
