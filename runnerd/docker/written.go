package docker

import (
	"context"
	"encoding/json"
	"time"

	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/client"

	"github.com/sandlot-dev/sandlot/internal/lifecycle"
)

// Written is a sandbox as its container describes it.
type Written struct {
	Spec      lifecycle.Spec // as it was when the sandbox was made
	Running   bool
	CreatedAt time.Time
}

// ReadWritten returns the sandboxes of an instance from their containers. Containers of the first releases have no
// description; for them the engine's own data is used: image, user and sizes.
func ReadWritten(ctx context.Context, api *client.Client, instance string) ([]Written, error) {
	e := Engine{cfg: Config{Instance: instance}, api: api}
	list, err := api.ContainerList(ctx, container.ListOptions{All: true, Filters: e.ours()})
	if err != nil {
		return nil, e.explain(err)
	}
	all := make([]Written, 0, len(list))
	for _, c := range list {
		w := Written{Running: c.State == "running", CreatedAt: time.Unix(c.Created, 0).UTC()}
		if json.Unmarshal([]byte(c.Labels[labelSpec]), &w.Spec) != nil {
			full, err := api.ContainerInspect(ctx, c.ID)
			if err != nil {
				return nil, e.explain(err)
			}
			w.Spec = lifecycle.Spec{
				Image: full.Config.Image, User: full.Config.User,
				Resources: lifecycle.Resources{
					CPU:    int(full.HostConfig.CPUQuota / max(1, full.HostConfig.CPUPeriod)),
					Memory: int(full.HostConfig.Memory >> 30),
				},
			}
		}
		w.Spec.ID, w.Spec.Organization = c.Labels[labelSandbox], c.Labels[labelOrg] // these labels decide whose sandbox it is
		all = append(all, w)
	}
	return all, nil
}
