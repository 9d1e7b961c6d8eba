package process

import (
	"errors"
	"os"
	"os/user"
	"strconv"
	"syscall"

	"github.com/sandlot-dev/sandlot/internal/fault"
)

// account is what a process of another user gets.
type account struct {
	credential *syscall.Credential
	env        map[string]string
}

// accountOf looks a user up by name or number; a number need not be in the user database. Errors: fault.NotFound for
// an unknown name, fault.Forbidden when this program may not become that user.
func accountOf(name string) (account, error) {
	u, err := user.Lookup(name)
	if _, numErr := strconv.ParseUint(name, 10, 32); err != nil && numErr == nil {
		if u, err = user.LookupId(name); err != nil {
			u, err = &user.User{Uid: name, Gid: name, Username: name, HomeDir: "/"}, nil
		}
	}
	if err != nil {
		return account{}, noUser(name, err)
	}
	uid, err1 := strconv.ParseUint(u.Uid, 10, 32)
	gid, err2 := strconv.ParseUint(u.Gid, 10, 32)
	if err := errors.Join(err1, err2); err != nil {
		return account{}, fault.Newf(fault.Internal, "user %q: %w", name, err)
	}
	a := account{env: map[string]string{"HOME": u.HomeDir, "USER": u.Username, "LOGNAME": u.Username}}
	if int(uid) == os.Geteuid() {
		return a, nil
	}
	if os.Geteuid() != 0 {
		return account{}, fault.Newf(fault.Forbidden,
			"a command cannot be run as %q, because the toolbox does not run as root here", name)
	}
	a.credential = &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}
	groups, _ := u.GroupIds() // none, if the user is not in the database
	for _, g := range groups {
		if n, err := strconv.ParseUint(g, 10, 32); err == nil {
			a.credential.Groups = append(a.credential.Groups, uint32(n))
		}
	}
	return a, nil
}

// noUser says why a user was not found: there is none, or the table of users could not be read.
func noUser(name string, err error) error {
	if no := syscall.Errno(0); errors.As(err, &no) && no != syscall.ENOENT {
		return fault.System("look for user "+name, err)
	}
	return fault.Newf(fault.NotFound, "user %q is not in this sandbox: %w", name, err)
}
