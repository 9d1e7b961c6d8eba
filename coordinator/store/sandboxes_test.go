package store_test

import (
	"fmt"
	"testing"

	"github.com/sandlot-dev/sandlot/coordinator/fleet"
)

func TestKnownAreThoseWithARecord(t *testing.T) {
	db, org := open(t)
	if err := db.InsertSandbox(t.Context(),
		fleet.Sandbox{ID: "a", Organization: org.ID, Name: "a", Runner: "r"}); err != nil {
		t.Fatal(err)
	}
	ids := make([]string, 1000, 1002)
	if got, err := db.Known(t.Context(), append(ids, "a", "none")); err != nil || fmt.Sprint(got) != "[a]" {
		t.Errorf("Known = %v, %v; want a", got, err)
	}
}
