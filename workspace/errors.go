package workspace

import (
	"errors"
	"io/fs"
	"os"
	"strings"
	"syscall"

	"github.com/sandlot-dev/sandlot/internal/fault"
)

// Wire codes of file errors; published clients raise typed errors by them.
const (
	codeNotFound = "FILE_NOT_FOUND"
	codeDenied   = "FILE_ACCESS_DENIED"
	codePath     = "INVALID_FILE_PATH"
	codeRead     = "FILE_READ_FAILED"
	codeDiskFull = "DISK_FULL"
)

// explain turns a system error of op on path into one that a caller may see. Errors that have a kind already are kept.
// What is not known to come from the call itself is the system's failure, see fault.System.
func explain(op, path string, err error) error {
	if err == nil {
		return nil
	}
	if fault.KindOf(err) != fault.Unknown {
		return err
	}
	var no syscall.Errno
	if !errors.As(err, &no) {
		return err // not the system's
	}
	cause := bare(err)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return fault.Codef(fault.NotFound, codeNotFound, "%s %s: no such file or folder", op, path)
	case errors.Is(err, syscall.ESRCH):
		return fault.Codef(fault.NotFound, codeNotFound, "%s %s: the process whose file it is has ended", op, path)
	case errors.Is(err, syscall.EROFS):
		return fault.Codef(fault.Forbidden, codeDenied, "%s %s: the file system is read-only", op, path)
	case errors.Is(err, fs.ErrPermission):
		return fault.Codef(fault.Forbidden, codeDenied, "%s %s: %w; the daemon's user needs the right to it", op, path, cause)
	case errors.Is(err, syscall.ENOSPC), errors.Is(err, syscall.EDQUOT):
		return fault.Codef(fault.Full, codeDiskFull,
			"%s %s: %w; delete something or give the sandbox a larger disk", op, path, cause)
	case errors.Is(err, syscall.ENOTEMPTY):
		return fault.Newf(fault.Conflict,
			"%s %s: something is added to the folder meanwhile; end what does it and try again", op, path)
	case errors.Is(err, fs.ErrExist):
		return fault.Newf(fault.Conflict, "%s %s: it exists already", op, path)
	case errors.Is(err, syscall.ENOTDIR):
		return fault.Codef(fault.Invalid, codePath, "%s %s: a part of the path is not a folder", op, path)
	case errors.Is(err, syscall.EISDIR):
		return fault.Codef(fault.Invalid, codePath, "%s %s: it is a folder", op, path)
	case errors.Is(err, syscall.ELOOP):
		return fault.Codef(fault.Invalid, codePath, "%s %s: its symbolic links go round in a circle", op, path)
	case errors.Is(err, syscall.ENAMETOOLONG):
		return fault.Codef(fault.Invalid, codePath,
			"%s: the path or a name in it is too long (4095 and 255 bytes at most): %s", op, shorten(path))
	case errors.Is(err, syscall.EINVAL), errors.Is(err, syscall.EILSEQ):
		return fault.Newf(fault.Invalid, "%s %s: the file system does not take that: %w", op, path, cause)
	case errors.Is(err, syscall.EOPNOTSUPP):
		return fault.Newf(fault.Unprocessable, "%s %s: the file system there cannot do that: %w", op, path, cause)
	case errors.Is(err, syscall.EFBIG):
		return fault.Newf(fault.TooLarge,
			"%s %s: the file would be longer than its file system or a limit of the daemon allows: %w", op, path, cause)
	case errors.Is(err, syscall.EBUSY):
		return fault.Newf(fault.Conflict, "%s %s: it is in use, as a mount point for instance: %w", op, path, cause)
	}
	return fault.System(op+" "+path, cause)
}

// bare strips the path and call that the os package put around an error: explain has its own.
func bare(err error) error {
	var pe *fs.PathError
	var le *os.LinkError
	var se *os.SyscallError
	switch {
	case errors.As(err, &pe):
		return pe.Err
	case errors.As(err, &le):
		return le.Err
	case errors.As(err, &se):
		return se.Err
	}
	return err
}

func shorten(path string) string {
	if len(path) <= 80 {
		return path
	}
	return strings.ToValidUTF8(path[:80], "") + "…"
}

func invalidPath(format string, args ...any) error {
	return fault.Codef(fault.Invalid, codePath, format, args...)
}
