package process

import "time"

// UseShell makes scripts run in another shell.
func (m *Manager) UseShell(path string) {
	m.shells.mu.Lock()
	defer m.shells.mu.Unlock()
	m.shells.list, m.shells.path, m.shells.mtime, m.shells.known = "/nonexistent", path, time.Time{}, true
}

// HideNothing makes the Manager act as where programs cannot be traced.
func (m *Manager) HideNothing() { m.children.untraceable.Store(true) }

// Hides reports whether programs could be traced so far.
func (m *Manager) Hides() bool { return !m.children.untraceable.Load() }

// NewMemoryKills is what tells ends for memory.
func NewMemoryKills(memory Memory) *memoryKills { return newMemoryKills(memory) }

func (k *memoryKills) Look() { k.look() }

func (k *memoryKills) Noticed() int64 { return k.noticed() }

func (k *memoryKills) Take(since int64) *OutOfMemory { return k.claim(since) }
