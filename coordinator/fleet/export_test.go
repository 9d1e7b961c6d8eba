package fleet

import (
	"context"
	"time"

	"github.com/sandlot-dev/sandlot/internal/lifecycle"
)

// Observe is how a record takes a finding.
func Observe(s *Sandbox, o lifecycle.Observed) error { return s.observe(o) }

// Expire is one look of the clock.
func Expire(ctx context.Context, m *Manager) error {
	_, err := m.clock.expire(ctx, time.Now())
	return err
}

// StoreActivity writes what activity is not written yet.
func StoreActivity(ctx context.Context, m *Manager) { m.activity.flush(ctx) }
