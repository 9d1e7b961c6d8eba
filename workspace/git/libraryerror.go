package git

import (
	"context"
	"errors"
	"io"
	"io/fs"
	"net"
	"slices"
	"strings"
	"syscall"

	gogit "github.com/go-git/go-git/v5"
	"github.com/go-git/go-git/v5/plumbing"
	"github.com/go-git/go-git/v5/plumbing/transport"

	"github.com/sandlot-dev/sandlot/internal/fault"
)

// libraryErrors are the library's own, by class.
var libraryErrors = []struct {
	is   error
	kind fault.Kind
	code string
}{
	{gogit.ErrRepositoryNotExists, fault.NotFound, codeNoRepo},
	{transport.ErrRepositoryNotFound, fault.NotFound, codeNoRepo},
	{gogit.ErrRemoteNotFound, fault.NotFound, codeNoRepo},
	{gogit.ErrIsBareRepository, fault.Unprocessable, ""},
	{gogit.ErrRepositoryAlreadyExists, fault.Conflict, ""},
	{gogit.ErrRemoteExists, fault.Conflict, ""},
	{gogit.ErrEmptyCommit, fault.Conflict, ""},
	{transport.ErrAuthenticationRequired, fault.Unauthenticated, codeAuth},
	{transport.ErrAuthorizationFailed, fault.Forbidden, "FORBIDDEN"},
	{transport.ErrEmptyRemoteRepository, fault.NotFound, codeNoBranch},
	{plumbing.ErrReferenceNotFound, fault.NotFound, codeNoBranch},
	{plumbing.ErrObjectNotFound, fault.NotFound, codeNoBranch},
	{gogit.ErrNonFastForwardUpdate, fault.Conflict, codeConflict},
	{gogit.ErrForceNeeded, fault.Conflict, codePushRejected},
	{gogit.ErrUnstagedChanges, fault.Conflict, codeDirty},
	{gogit.ErrWorktreeNotClean, fault.Conflict, codeDirty},
	{gogit.ErrGlobNoMatches, fault.NotFound, codeNoFile},
	{plumbing.ErrInvalidReferenceName, fault.Invalid, ""},
	{fs.ErrNotExist, fault.NotFound, codeNoFile},
	{fs.ErrPermission, fault.Forbidden, codeNoAccess},
	{fs.ErrExist, fault.Conflict, ""},
	{syscall.EROFS, fault.Forbidden, codeNoAccess},
	{syscall.EBUSY, fault.Conflict, ""},
	{syscall.ENOTDIR, fault.Invalid, ""},
	{syscall.EISDIR, fault.Invalid, ""},
	{syscall.ELOOP, fault.Invalid, ""},
	{syscall.ENAMETOOLONG, fault.Invalid, ""},
	{syscall.ENOSPC, fault.Full, codeDiskFull},
	{syscall.EDQUOT, fault.Full, codeDiskFull},
}

// networkVerbs are those of calls that read from another server.
var networkVerbs = []string{"clone", "fetch", "push", "pull"}

// libraryError returns an error of the library with its kind, nil for nil.
func libraryError(verb string, err error) error {
	switch {
	case errors.Is(err, gogit.NoErrAlreadyUpToDate):
		return nil
	case err == nil, fault.KindOf(err) != fault.Unknown, errors.Is(err, context.Canceled):
		return err
	}
	text := "git " + verb + ": " + redact(err.Error(), Credentials{})
	var no syscall.Errno
	var network net.Error
	isNetwork := errors.As(err, &network)
	_, isErrno := network.(syscall.Errno)
	cutOff := errors.Is(err, io.ErrUnexpectedEOF) && slices.Contains(networkVerbs, verb)
	if isNetwork && !isErrno || cutOff {
		return fault.Codef(fault.Upstream, codeTransport, "%s", text)
	}
	for _, e := range libraryErrors {
		if errors.Is(err, e.is) {
			return fault.Codef(e.kind, e.code, "%s", text)
		}
	}
	switch {
	case errors.As(err, &no):
		system := fault.System("git "+verb, err)
		return fault.Newf(fault.KindOf(system), "%s", redact(system.Error(), Credentials{}))
	case errors.Is(err, gogit.NoMatchingRefSpecError{}):
		return fault.Codef(fault.NotFound, codeNoBranch, "%s", text)
	case strings.Contains(text, "non-fast-forward"):
		return fault.Codef(fault.Conflict, codePushRejected, "%s", text)
	case strings.Contains(text, "unsupported scheme"):
		return fault.Codef(fault.Upstream, codeTransport, "%s", text)
	case strings.Contains(text, "SSH agent"):
		return fault.Codef(fault.Unauthenticated, codeAuth, "%s", text)
	case strings.Contains(text, "invalid path"): // the library takes no control characters in names
		return fault.Newf(fault.Unprocessable, "%s; install the package git", text)
	case strings.Contains(text, "command error on"): // the remote's own words about a reference
		return fault.Codef(fault.Unprocessable, codeRejected, "%s", text)
	}
	return fault.Newf(fault.Internal, "%s", text)
}

// noRevision says that there is no such branch or revision, unless looking for it failed in another way.
func noRevision(verb, name string, err error) error {
	failed := libraryError(verb, err)
	no := syscall.Errno(0)
	switch kind := fault.KindOf(failed); {
	case kind == fault.Unknown, kind == fault.Upstream, kind == fault.Unauthenticated, kind == fault.Forbidden,
		errors.As(err, &no) && no != syscall.ENOENT:
		return failed
	}
	return fault.Codef(fault.NotFound, codeNoBranch, "git %s: there is no branch or revision %s", verb, name)
}
