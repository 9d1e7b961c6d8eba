// Package doctor is what the checks of `sandlot doctor` have in common.
//
// A check belongs to the room whose needs it checks; cmd/sandlot lists the checks and prints what they find.
package doctor

// Finding is the result of one check.
type Finding struct {
	Check  string `json:"check"`
	Result string `json:"result"` // OK, Warning or Broken
	Detail string `json:"detail"`
	Fix    string `json:"fix,omitempty"`
}

// The results of a check.
const (
	OK      = "ok"
	Warning = "warning"
	Broken  = "broken"
)
