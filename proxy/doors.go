package proxy

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"log/slog"
	"maps"
	"net"
	"net/http"
	"net/netip"
	"slices"
	"sync"
	"time"

	"github.com/sandlot-dev/sandlot/internal/fault"
	"github.com/sandlot-dev/sandlot/internal/logkey"
	"github.com/sandlot-dev/sandlot/internal/serve"
)

// doors opens ports of sandboxes at loopback addresses of this machine, for browsers and programs that resolve no
// names. Each sandbox has an address of its own, so that browsers keep the pages of sandboxes apart, and each app
// keeps its own port. It is safe for concurrent use.
type doors struct {
	handler http.Handler
	drain   time.Duration
	logger  *slog.Logger

	begun chan struct{}   // closed when ctx is set
	ctx   context.Context //nolint:containedctx // it is the context of Run

	mu     sync.Mutex
	owners map[netip.Addr]string
	open   map[netip.AddrPort]*ownDoor
	closed bool           // Run has ended
	work   sync.WaitGroup // has one extra until closed
}

type ownDoor struct {
	at      netip.AddrPort
	sandbox string
	stop    context.CancelFunc
}

// maxDoors bounds the open ports of one sandbox: each holds a descriptor.
const maxDoors = 64

func newDoors(handler http.Handler, drain time.Duration, logger *slog.Logger) *doors {
	return &doors{
		handler: handler, drain: drain, logger: logger, begun: make(chan struct{}),
		owners: map[netip.Addr]string{}, open: map[netip.AddrPort]*ownDoor{},
	}
}

func (s *doors) begin(ctx context.Context) {
	s.ctx = ctx
	s.work.Add(1)
	close(s.begun)
}

// end waits for the listeners, which end with the context of Run.
func (s *doors) end() {
	s.mu.Lock()
	s.closed = true
	s.work.Done()
	s.mu.Unlock()
	s.work.Wait()
}

// Open lets visitors reach a port of a sandbox at a loopback address; opened reports whether it was not open before.
// The address is always the same for a sandbox, and stays open until the sandbox is gone. Open waits for Run to
// begin. Errors: fault.Conflict when the port cannot be opened there: it is in use, it is below 1024 and this program
// is not root's, or the sandbox has too many; fault.Unavailable once Run has ended.
func (p *Proxy) Open(ctx context.Context, id string, port int) (at netip.AddrPort, opened bool, err error) {
	s := p.doors
	at = netip.AddrPortFrom(addressOf(id), uint16(port))
	select {
	case <-s.begun:
	case <-ctx.Done():
		return at, false, context.Cause(ctx)
	}
	opened, err = s.listen(id, at)
	if opened {
		p.open.enqueue(id) // it may have been deleted in between
	}
	return at, opened, err
}

func (s *doors) listen(id string, at netip.AddrPort) (opened bool, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed || s.ctx.Err() != nil {
		return false, fault.New(fault.Unavailable, "the proxy is stopping")
	}
	if owner, taken := s.owners[at.Addr()]; taken && owner != id {
		return false, fault.Newf(fault.Conflict, "%s belongs to another sandbox", at.Addr())
	}
	if s.open[at] != nil {
		return false, nil
	}
	count := 0
	for other := range s.open {
		if other.Addr() == at.Addr() {
			count++
		}
	}
	if count >= maxDoors {
		return false, fault.Newf(fault.Conflict, "%d ports of this sandbox are open already", count)
	}
	ln, err := serve.Listen(s.ctx, at.String(), visitorSilence)
	if err != nil {
		return false, fault.Newf(fault.Conflict, "port %d of %s: %w", at.Port(), at.Addr(), err)
	}
	open, stop := context.WithCancel(s.ctx)
	s.open[at], s.owners[at.Addr()] = &ownDoor{at, id, stop}, id
	s.work.Go(func() {
		defer stop()
		if err := serve.Until(open, ln, s.handler, s.drain); err != nil {
			s.logger.Warn("preview address closed", logkey.Sandbox, id, logkey.Err, err)
			s.mu.Lock()
			defer s.mu.Unlock()
			delete(s.open, at)
		}
	})
	return true, nil
}

// visitorSilence is how long a visitor may acknowledge nothing before its connection is closed.
const visitorSilence = 5 * time.Minute

// addressOf derives a sandbox's loopback address from its id: one of the four million of 127.64.0.0/10.
func addressOf(id string) netip.Addr {
	sum := sha256.Sum256([]byte(id))
	n := binary.BigEndian.Uint32(sum[:])
	return netip.AddrFrom4([4]byte{127, 64 | byte(n>>16)&63, byte(n >> 8), byte(n)})
}

// at returns the door at whose address a request arrived.
func (s *doors) at(r *http.Request) (ownDoor, bool) {
	local, ok := r.Context().Value(http.LocalAddrContextKey).(*net.TCPAddr)
	if !ok {
		return ownDoor{}, false
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	at := local.AddrPort()
	d := s.open[netip.AddrPortFrom(at.Addr().Unmap(), at.Port())]
	if d == nil {
		return ownDoor{}, false
	}
	return *d, true
}

func (s *doors) has(id string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.owners[addressOf(id)] == id
}

func (s *doors) sandboxes() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Collect(maps.Values(s.owners))
}

// close closes the doors of a sandbox that is gone.
func (s *doors) close(id string) {
	addr := addressOf(id)
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.owners[addr] != id {
		return
	}
	delete(s.owners, addr)
	maps.DeleteFunc(s.open, func(at netip.AddrPort, d *ownDoor) bool {
		if at.Addr() == addr {
			d.stop()
		}
		return at.Addr() == addr
	})
}
