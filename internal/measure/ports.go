package measure

import (
	"encoding/binary"
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/sandlot-dev/sandlot/internal/linux"
)

// socket is a listening TCP socket.
type socket struct {
	port  int
	inode uint64
}

// resolver is where a container engine puts its own name server into the sandbox.
var (
	resolver     = [4]byte{127, 0, 0, 11}
	resolverText = fmt.Sprintf("%08X", binary.NativeEndian.Uint32(resolver[:])) // in /proc/net/tcp
)

// Ports lists the TCP ports that something listens on, IPv4 and IPv6, sorted; those of this
// process alone and of the engine's name server are left out.
func Ports() ([]int, error) {
	sockets, err := listening()
	if err != nil {
		return nil, err
	}
	own := ownSockets()
	ports := make([]int, 0, len(sockets))
	for _, s := range sockets {
		if !own[s.inode] {
			ports = append(ports, s.port)
		}
	}
	slices.Sort(ports)
	return slices.Compact(ports), nil
}

// InUse tells whether something, this process included, listens on a TCP port.
func InUse(port int) (bool, error) {
	sockets, err := listening()
	return slices.ContainsFunc(sockets, func(s socket) bool { return s.port == port }), err
}

// listening asks the kernel for listening sockets alone. The tables in /proc hold every connection, and reading them
// costs milliseconds on machines with large ones; they are for kernels and runtimes that do not answer.
func listening() ([]socket, error) {
	var all []socket
	for _, family := range []uint8{unix.AF_INET, unix.AF_INET6} {
		some, err := diagnose(family)
		if err != nil {
			return fromProc("/proc/net")
		}
		all = append(all, some...)
	}
	return all, nil
}

const (
	diagByFamily = 20 // SOCK_DIAG_BY_FAMILY
	stateListen  = 10 // TCP_LISTEN
	diagRequest  = 56 // struct inet_diag_req_v2
	diagAnswer   = 72 // struct inet_diag_msg
)

func diagnose(family uint8) ([]socket, error) {
	fd, err := unix.Socket(unix.AF_NETLINK, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, unix.NETLINK_SOCK_DIAG)
	if err != nil {
		return nil, err
	}
	defer unix.Close(fd)
	// The kernel answers at once, so an error costs nothing but this precaution.
	_ = unix.SetsockoptTimeval(fd, unix.SOL_SOCKET, unix.SO_RCVTIMEO, &unix.Timeval{Sec: 1})
	req := make([]byte, unix.NLMSG_HDRLEN+diagRequest)
	binary.NativeEndian.PutUint32(req[0:], uint32(len(req)))
	binary.NativeEndian.PutUint16(req[4:], diagByFamily)
	binary.NativeEndian.PutUint16(req[6:], unix.NLM_F_REQUEST|unix.NLM_F_DUMP)
	body := req[unix.NLMSG_HDRLEN:]
	body[0], body[1] = family, unix.IPPROTO_TCP
	binary.NativeEndian.PutUint32(body[4:], 1<<stateListen)
	if err := unix.Sendto(fd, req, 0, &unix.SockaddrNetlink{Family: unix.AF_NETLINK}); err != nil {
		return nil, err
	}
	var all []socket
	buf := make([]byte, 32<<10)
	for {
		n, err := linux.RetryValue(func() (int, error) { return unix.Read(fd, buf) })
		if err != nil {
			return nil, err
		}
		some, done, err := parseDiag(buf[:n])
		if all = append(all, some...); done || err != nil {
			return all, err
		}
	}
}

// parseDiag reads netlink messages; done says that the last was among them.
func parseDiag(data []byte) (all []socket, done bool, err error) {
	for len(data) >= unix.NLMSG_HDRLEN {
		size := int(binary.NativeEndian.Uint32(data))
		if size < unix.NLMSG_HDRLEN || size > len(data) {
			return all, true, unix.EBADMSG
		}
		body := data[unix.NLMSG_HDRLEN:size]
		switch kind := binary.NativeEndian.Uint16(data[4:]); {
		case kind == unix.NLMSG_DONE:
			return all, true, nil
		case kind == unix.NLMSG_ERROR:
			return all, true, unix.EPROTONOSUPPORT
		case kind == diagByFamily && len(body) >= diagAnswer && (body[0] != unix.AF_INET || [4]byte(body[8:]) != resolver):
			all = append(all, socket{int(binary.BigEndian.Uint16(body[4:])), uint64(binary.NativeEndian.Uint32(body[68:]))})
		}
		data = data[min(len(data), (size+3)&^3):]
	}
	return all, false, nil
}

func fromProc(dir string) ([]socket, error) {
	var all []socket
	read := false
	for _, name := range []string{"tcp", "tcp6"} {
		data, err := os.ReadFile(dir + "/" + name)
		if err != nil {
			continue // no IPv6
		}
		read = true
		all = append(all, parseTable(string(data))...)
	}
	if !read {
		return nil, fmt.Errorf("list ports: %s/tcp cannot be read", dir)
	}
	return all, nil
}

// parseTable reads the form of /proc/net/tcp: "sl local_address rem_address st … uid timeout inode".
func parseTable(text string) (all []socket) {
	for line := range strings.Lines(text) {
		f := strings.Fields(line)
		if len(f) < 10 || f[3] != "0A" {
			continue
		}
		address, hex, _ := strings.Cut(f[1], ":")
		port, err := strconv.ParseUint(hex, 16, 16)
		if err != nil || address == resolverText {
			continue
		}
		inode, _ := strconv.ParseUint(f[9], 10, 64)
		all = append(all, socket{int(port), inode})
	}
	return all
}

// ownSockets are the inodes of this process's sockets.
func ownSockets() map[uint64]bool {
	own := map[uint64]bool{}
	fds, _ := os.ReadDir("/proc/self/fd")
	for _, fd := range fds {
		link, err := os.Readlink("/proc/self/fd/" + fd.Name())
		if digits, ok := strings.CutPrefix(link, "socket:["); ok && err == nil {
			inode, _ := strconv.ParseUint(strings.TrimSuffix(digits, "]"), 10, 64)
			own[inode] = true
		}
	}
	return own
}
