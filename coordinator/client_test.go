package coordinator_test

import (
	"context"
	"fmt"
	"net/http/httptest"
	"slices"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/sandlot-dev/sandlot/coordinator/fleet"
	"github.com/sandlot-dev/sandlot/internal/lifecycle"

	"github.com/sandlot-dev/sandlot/api"
	"github.com/sandlot-dev/sandlot/api/client"
	"github.com/sandlot-dev/sandlot/internal/fault"
	"github.com/sandlot-dev/sandlot/internal/serve"
)

// TestOurClientDrivesSandboxes has a sandbox through its life.
func TestOurClientDrivesSandboxes(t *testing.T) {
	ctx, c := t.Context(), client.New(newControl(t).url, firstKey)
	name := "a name"
	made, err := c.Create(ctx, api.CreateSandbox{Name: &name, Labels: map[string]string{"a": "b"}})
	if err != nil || made.State != "started" || made.Labels["a"] != "b" {
		t.Fatalf("create: %+v, %v", made, err)
	}
	for _, step := range []struct {
		name, want string
		do         func(ctx context.Context, idOrName string) (api.Sandbox, error)
	}{
		{"get", "started", c.Get},
		{"stop", "stopped", c.Stop},
		{"start", "started", c.Start},
		{"delete", "destroyed", c.Delete},
	} {
		got, err := step.do(ctx, name)
		states := []string{step.want, "stopping", "starting", "destroying"}
		if err != nil || got.ID != made.ID || !slices.Contains(states, got.State) {
			t.Errorf("%s: %+v, %v", step.name, got, err)
		}
	}
	if _, err := c.Get(ctx, "another"); fault.KindOf(serve.Received(err)) != fault.NotFound {
		t.Errorf("a sandbox that is not there: %v", err)
	}
	_, err = client.New(newControl(t).url, "dtn_other").List(ctx)
	if fault.KindOf(serve.Received(err)) != fault.Unauthenticated {
		t.Errorf("the wrong key: %v", err)
	}
}

// TestOurClientListsAllPages has more sandboxes than a page holds.
func TestOurClientListsAllPages(t *testing.T) {
	control := newControl(t)
	for i := range 205 {
		spec := lifecycle.Spec{
			Identity: lifecycle.Identity{
				ID: uuid.NewString(), Name: fmt.Sprint(i), Organization: control.org, Snapshot: "default",
			},
			Image: "i",
		}
		if _, err := fleet.Adopt(t.Context(), control.db, spec, false, "us", "r", time.Now()); err != nil {
			t.Fatal(err)
		}
	}
	list, err := client.New(control.url, firstKey).List(t.Context())
	if err != nil || len(list) != 205 {
		t.Errorf("%d sandboxes, %v", len(list), err)
	}
}

func TestOurClientTellsOfAServerThatIsNotThere(t *testing.T) {
	server := httptest.NewServer(nil)
	server.Close()
	_, err := client.New(server.URL, "").List(t.Context())
	if err == nil || fault.KindOf(serve.Received(err)) != fault.Unknown {
		t.Errorf("%v", err)
	}
}
