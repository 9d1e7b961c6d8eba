package fleet

import (
	"log/slog"
	"slices"
	"sync"

	"github.com/sandlot-dev/sandlot/internal/logkey"
)

// strangers are the sandboxes that a runner has and that have no record.
type strangers struct {
	logger *slog.Logger

	mu   sync.Mutex
	last []string // those logged last
}

// log writes them to the log for the operator, once for each set.
func (st *strangers) log(ids []string) {
	slices.Sort(ids)
	st.mu.Lock()
	same := slices.Equal(st.last, ids)
	st.last = ids
	st.mu.Unlock()
	if len(ids) > 0 && !same {
		st.logger.Error("the engine has sandboxes of this installation that the database does not know: they are left "+
			"alone; `sandlot doctor` lists them, `sandlot adopt` writes their records",
			"count", len(ids), logkey.Sandbox, ids[:min(len(ids), 20)])
	}
}
