package fleet

import "github.com/sandlot-dev/sandlot/internal/lifecycle"

// Observe is how a record takes a finding.
func Observe(s *Sandbox, o lifecycle.Observed) error { return s.observe(o) }
