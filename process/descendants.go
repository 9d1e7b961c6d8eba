package process

import (
	"crypto/rand"
	"encoding/hex"
	"maps"
	"os"
	"slices"
	"strconv"
	"sync/atomic"
)

// Scope says which processes end with a process.
type Scope int

// What ends with a process.
const (
	Descendants Scope = iota // all that it started, directly or not
	OwnSession               // those of its own session but for what nohup started, as when an ssh connection ends
)

// finder lists the processes of a set as they are now.
type finder func() []proc

// names makes the marks by which the descendants of each process of a Manager are found. It is safe for concurrent
// use.
type names struct {
	prefix string // of all ids
	tags   tag    // that those of processes count up from
	count  atomic.Uint64
}

func newNames() *names {
	id := make([]byte, 8)
	_, _ = rand.Read(id) // never fails
	return &names{prefix: hex.EncodeToString(id), tags: newTags()}
}

// next returns the marks of the next process: id is the value of its variable marker.
func (n *names) next() (id string, t tag) {
	count := n.count.Add(1)
	return n.prefix + "-" + strconv.FormatUint(count, 10), n.tags.of(count)
}

// all finds every process of the sandbox. In process 1 that is all that runs, elsewhere every process that carries a
// mark of this Manager, with the descendants of those.
func (n *names) all() []proc {
	every := running()
	if os.Getpid() == 1 {
		return every
	}
	self := os.Getpid()
	set := map[int]proc{self: {}}
	for _, p := range every {
		if tagOf(p.pid)>>tagManager == n.tags>>tagManager || marked(p.pid, marker+"="+n.prefix+"-") {
			set[p.pid] = p
		}
	}
	below(every, set)
	delete(set, self)
	return slices.Collect(maps.Values(set))
}

// descendants finds one process and all that it started, directly or not.
type descendants struct {
	id    string // value of the marker
	tag   tag    // 0 when they are not going to be ended from here
	since uint64 // none was started before; see proc.started

	children *children
	leader   *child // set by the start
}

// all lists them. The leader counts until it has been waited for.
func (d *descendants) all() []proc {
	every := running()
	set := make(map[int]proc)
	leader := 0 // its pid names session and group as long as it has not been waited for
	if d.children.running(d.leader) {
		leader = d.leader.pid
	}
	variable := marker + "=" + d.id + "\x00"
	for _, q := range every {
		own := leader != 0 && (q.pid == leader || q.session == leader || q.group == leader)
		if !own && q.started != 0 && q.started < d.since { // 0: the runtime has no start time
			continue
		}
		if own || d.tag != 0 && tagOf(q.pid) == d.tag || marked(q.pid, variable) {
			set[q.pid] = q
		}
	}
	below(every, set)
	return slices.Collect(maps.Values(set))
}

// of returns the finder of the processes in scope.
func (d *descendants) of(scope Scope) finder {
	if scope == Descendants {
		return d.all
	}
	bomb := false // once it was one, it stays one
	return func() []proc {
		tree := d.all()
		if !bomb {
			tree, bomb = own(tree, d.leader.pid)
		}
		return tree
	}
}

// maxSpared is the most processes that may outlive the session they come from; more are taken for a fork bomb.
const maxSpared = 256

// own returns the processes of a tree that end with its leader's session. It leaves out what made itself independent:
// processes with a session of their own, those that nohup started, and the descendants of either. Of a fork bomb it
// returns all.
func own(tree []proc, leader int) (left []proc, bomb bool) {
	spared := make(map[int]proc)
	for _, p := range tree {
		if p.pid != leader && (p.session != leader || handles(p.pid).outlives()) {
			spared[p.pid] = p
		}
	}
	below(tree, spared)
	if len(spared) > maxSpared {
		return tree, true
	}
	return slices.DeleteFunc(tree, func(p proc) bool {
		_, lives := spared[p.pid]
		return lives
	}), false
}

// below adds to set all of its processes' descendants among all.
func below(all []proc, set map[int]proc) {
	for grew := true; grew; {
		grew = false
		for _, p := range all {
			if _, in := set[p.pid]; in {
				continue
			}
			if _, child := set[p.parent]; child {
				set[p.pid] = p
				grew = true
			}
		}
	}
}

// scan calls find, and calls it again if it found nothing while processes were being started: a listing misses a
// process that is forked behind the place it has come to and whose parent ends before it is read.
func scan(find finder) []proc {
	for range 10 {
		last := lastPID()
		if found := find(); len(found) > 0 || last == lastPID() {
			return found
		}
	}
	return nil
}
