package measure

import (
	"encoding/binary"
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"

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

// maxKnown is how many listening sockets a Ports remembers.
const maxKnown = 1024

// Ports tells which TCP ports are listened on, IPv4 and IPv6. The zero value is ready for use. It is safe for
// concurrent use.
type Ports struct {
	mu sync.Mutex

	// known are the listening sockets of the last list by inode, with the descriptor of those that are this process's
	// and -1 for all others. Only a socket that is not among them needs a look at all descriptors.
	known map[uint64]int
}

// List returns the ports, sorted; those of this process alone and of the engine's name server are left out.
func (p *Ports) List() ([]int, error) {
	sockets, err := listening()
	if err != nil {
		return nil, err
	}
	ports := p.others(sockets)
	slices.Sort(ports)
	return slices.Compact(ports), nil
}

// others returns the ports of sockets that are not this process's.
func (p *Ports) others(sockets []socket) []int {
	p.mu.Lock()
	defer p.mu.Unlock()
	if slices.ContainsFunc(sockets, func(s socket) bool { return !p.knowsLocked(s.inode) }) {
		own := ownSockets()
		p.known = make(map[uint64]int, len(sockets))
		for _, s := range sockets {
			p.known[s.inode] = -1
			if fd, ok := own[s.inode]; ok {
				p.known[s.inode] = fd
			}
		}
	}
	ports := make([]int, 0, len(sockets))
	for _, s := range sockets {
		if p.known[s.inode] < 0 {
			ports = append(ports, s.port)
		}
	}
	if len(p.known) > maxKnown {
		p.known = nil
	}
	return ports
}

// knowsLocked reports whether known still tells whose a socket is. This process may have closed one of its own, which
// another process holds.
func (p *Ports) knowsLocked(inode uint64) bool {
	fd, ok := p.known[inode]
	return ok && (fd < 0 || socketInode(fd) == inode)
}

// InUse tells whether something, this process included, listens on a TCP port.
func (p *Ports) InUse(port int) (bool, error) {
	sockets, err := listening()
	return slices.ContainsFunc(sockets, func(s socket) bool { return s.port == port }), err
}

// listening asks the kernel for listening sockets alone. The tables in /proc hold every connection, and reading them
// costs milliseconds on machines with large ones; they are for kernels and runtimes that do not answer.
func listening() ([]socket, error) {
	all, err := diagnose(unix.AF_INET, unix.AF_INET6)
	if err != nil {
		return fromProc("/proc/net")
	}
	return all, nil
}

const (
	diagByFamily = 20 // SOCK_DIAG_BY_FAMILY
	stateListen  = 10 // TCP_LISTEN
	diagRequest  = 56 // struct inet_diag_req_v2
	diagAnswer   = 72 // struct inet_diag_msg
)

func diagnose(families ...uint8) ([]socket, error) {
	fd, err := unix.Socket(unix.AF_NETLINK, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, unix.NETLINK_SOCK_DIAG)
	if err != nil {
		return nil, err
	}
	defer unix.Close(fd)
	// The kernel answers at once, so an error costs nothing but this precaution.
	_ = unix.SetsockoptTimeval(fd, unix.SOL_SOCKET, unix.SO_RCVTIMEO, &unix.Timeval{Sec: 1})
	var all []socket
	buf := make([]byte, 32<<10)
	for _, family := range families {
		var req [unix.NLMSG_HDRLEN + diagRequest]byte
		binary.NativeEndian.PutUint32(req[0:], uint32(len(req)))
		binary.NativeEndian.PutUint16(req[4:], diagByFamily)
		binary.NativeEndian.PutUint16(req[6:], unix.NLM_F_REQUEST|unix.NLM_F_DUMP)
		body := req[unix.NLMSG_HDRLEN:]
		body[0], body[1] = family, unix.IPPROTO_TCP
		binary.NativeEndian.PutUint32(body[4:], 1<<stateListen)
		if err := unix.Sendto(fd, req[:], 0, &unix.SockaddrNetlink{Family: unix.AF_NETLINK}); err != nil {
			return nil, err
		}
		for done := false; !done; {
			n, err := linux.RetryValue(func() (int, error) { return unix.Read(fd, buf) })
			if err != nil {
				return nil, err
			}
			var some []socket
			some, done, err = parseDiag(buf[:n])
			if err != nil {
				return nil, err
			}
			all = append(all, some...)
		}
	}
	return all, nil
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

// ownSockets are the descriptors of this process's sockets by inode.
func ownSockets() map[uint64]int {
	own := map[uint64]int{}
	names, _ := os.ReadDir("/proc/self/fd") // none where there is no /proc
	for _, name := range names {
		if fd, err := strconv.Atoi(name.Name()); err == nil {
			own[socketInode(fd)] = fd
		}
	}
	return own
}

// socketInode is the inode of the socket that a descriptor stands for, 0 if it stands for none.
func socketInode(fd int) uint64 {
	var st unix.Stat_t
	if unix.Fstat(fd, &st) != nil || st.Mode&unix.S_IFMT != unix.S_IFSOCK {
		return 0
	}
	return st.Ino
}
