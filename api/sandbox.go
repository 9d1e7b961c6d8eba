package api

import (
	"encoding/json"
	"time"
)

// CreateSandbox is the body of POST /sandbox; everything may be missing. Sizes are cores and GiB, intervals minutes.
type CreateSandbox struct {
	Name                 *string             `json:"name,omitempty"`
	Snapshot             *string             `json:"snapshot,omitempty"`
	User                 *string             `json:"user,omitempty"`
	Env                  map[string]string   `json:"env,omitempty"`
	Labels               map[string]string   `json:"labels,omitempty"`
	Public               *bool               `json:"public,omitempty"`
	NetworkBlockAll      *bool               `json:"networkBlockAll,omitempty"`
	NetworkAllowList     *string             `json:"networkAllowList,omitempty"`
	DomainAllowList      *string             `json:"domainAllowList,omitempty"`
	OutboundProxyURL     *string             `json:"outboundProxyUrl,omitempty"`
	OTelEndpointOverride *string             `json:"otelEndpointOverride,omitempty"`
	Target               *string             `json:"target,omitempty"`
	CPU                  *Int                `json:"cpu,omitempty"`
	GPU                  *Int                `json:"gpu,omitempty"`
	GPUType              json.RawMessage     `json:"gpuType,omitempty"` // a name, or a list of them
	Spot                 *bool               `json:"spot,omitempty"`
	Memory               *Int                `json:"memory,omitempty"`
	Disk                 *Int                `json:"disk,omitempty"`
	KVM                  *bool               `json:"kvm,omitempty"`
	AutoStopInterval     *Int                `json:"autoStopInterval,omitempty"`
	AutoPauseInterval    *Int                `json:"autoPauseInterval,omitempty"`
	AutoArchiveInterval  *Int                `json:"autoArchiveInterval,omitempty"`
	AutoDeleteInterval   *Int                `json:"autoDeleteInterval,omitempty"`
	TTLMinutes           *Int                `json:"ttlMinutes,omitempty"`
	QueueTimeout         *Int                `json:"queueTimeout,omitempty"`
	Volumes              []json.RawMessage   `json:"volumes,omitempty"`
	BuildInfo            *json.RawMessage    `json:"buildInfo,omitempty"`
	LinkedSandbox        *string             `json:"linkedSandbox,omitempty"`
	Secrets              []map[string]string `json:"secrets,omitempty"`
}

// SandboxListItem is what lists hold of a sandbox.
type SandboxListItem struct {
	ID                  string            `json:"id"`
	OrganizationID      string            `json:"organizationId"`
	Name                string            `json:"name"`
	Target              string            `json:"target"` // id of its region
	RunnerID            string            `json:"runnerId"`
	SandboxClass        string            `json:"sandboxClass"` // always "container"
	Snapshot            string            `json:"snapshot,omitempty"`
	User                string            `json:"user"`
	Labels              map[string]string `json:"labels"`
	Public              bool              `json:"public"`
	NetworkBlockAll     bool              `json:"networkBlockAll"`
	CPU                 int               `json:"cpu"`
	GPU                 int               `json:"gpu"`
	Memory              int               `json:"memory"`
	Disk                int               `json:"disk"`
	KVM                 bool              `json:"kvm"`
	State               string            `json:"state"`
	DesiredState        string            `json:"desiredState"`
	ErrorReason         string            `json:"errorReason,omitempty"`
	Recoverable         bool              `json:"recoverable"`
	BackupState         string            `json:"backupState"` // always "None"
	AutoStopInterval    int               `json:"autoStopInterval"`
	AutoArchiveInterval int               `json:"autoArchiveInterval"`
	AutoDeleteInterval  int               `json:"autoDeleteInterval"`
	AutoDestroyAt       *time.Time        `json:"autoDestroyAt,omitempty"`
	CreatedAt           time.Time         `json:"createdAt"`
	UpdatedAt           time.Time         `json:"updatedAt"`
	LastActivityAt      time.Time         `json:"lastActivityAt"`
	DaemonVersion       string            `json:"daemonVersion,omitempty"`
	ToolboxProxyURL     string            `json:"toolboxProxyUrl"`
}

// Sandbox is a whole sandbox. That it has env tells one client that it is not a list item.
type Sandbox struct {
	SandboxListItem

	Env     map[string]string `json:"env"`
	Volumes []struct{}        `json:"volumes"` // always empty in this release
}

// ListSandboxes answers GET /sandbox. NextCursor is null on the last page.
type ListSandboxes struct {
	Items      []SandboxListItem `json:"items"`
	NextCursor *string           `json:"nextCursor"`
}

// PaginatedSandboxes answers GET /sandbox/paginated.
type PaginatedSandboxes struct {
	Items      []Sandbox `json:"items"`
	Total      int       `json:"total"`
	Page       int       `json:"page"`
	TotalPages int       `json:"totalPages"`
}

// SandboxLabels is body and answer of PUT /sandbox/{id}/labels.
type SandboxLabels struct {
	Labels map[string]string `json:"labels" binding:"required"`
}

// PortPreviewURL answers GET /sandbox/{id}/ports/{port}/preview-url.
type PortPreviewURL struct {
	SandboxID string `json:"sandboxId"`
	URL       string `json:"url"`
	Token     string `json:"token"` // of this port alone, for the header X-Daytona-Preview-Token
}

// SignedPortPreviewURL answers GET /sandbox/{id}/ports/{port}/signed-preview-url.
type SignedPortPreviewURL struct {
	SandboxID string `json:"sandboxId"`
	Port      int    `json:"port"`
	Token     string `json:"token"` // is in the address
	URL       string `json:"url"`
}

// URL answers the operations that answer an address.
type URL struct {
	URL string `json:"url"`
}
