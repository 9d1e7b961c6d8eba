package api

import (
	"encoding/json"
	"math"
	"reflect"
	"strconv"
	"time"
)

// Int is a whole number that clients may also write as 10.0 or 1e3.
type Int int

// UnmarshalJSON takes any spelling of a whole number that fits 53 bits.
func (n *Int) UnmarshalJSON(b []byte) error {
	f, err := strconv.ParseFloat(string(b), 64)
	if err != nil || f != math.Trunc(f) || math.Abs(f) > 1<<53 {
		return &json.UnmarshalTypeError{Value: "value " + string(b), Type: reflect.TypeFor[int]()}
	}
	*n = Int(f)
	return nil
}

// Configuration answers GET /config.
type Configuration struct {
	Version                string              `json:"version"`
	BuildSha               string              `json:"buildSha,omitempty"`
	OIDC                   OIDC                `json:"oidc"`
	LinkedAccountsEnabled  bool                `json:"linkedAccountsEnabled"`
	Announcements          map[string]struct{} `json:"announcements"`
	ProxyTemplateURL       string              `json:"proxyTemplateUrl"`
	ProxyToolboxURL        string              `json:"proxyToolboxUrl"`
	DefaultSnapshot        string              `json:"defaultSnapshot"`
	DashboardURL           string              `json:"dashboardUrl"`
	MaxAutoArchiveInterval int                 `json:"maxAutoArchiveInterval"` // minutes
	MaintenanceMode        bool                `json:"maintananceMode"`        // the wire spells it so
	Environment            string              `json:"environment"`
}

// OIDC is where people log in; all empty without a login service.
type OIDC struct {
	Issuer   string `json:"issuer"`
	ClientID string `json:"clientId"`
	Audience string `json:"audience"`
	Provider string `json:"provider"`
}

// Status answers GET /health.
type Status struct {
	Status string `json:"status"`
}

// CreateAPIKey asks for a key. ExpiresAt is an RFC 3339 time; without it the key never expires.
type CreateAPIKey struct {
	Name        string     `json:"name" binding:"required"`
	Permissions []string   `json:"permissions" binding:"required,max=100"`
	ExpiresAt   *time.Time `json:"expiresAt"`
}

// CreatedAPIKey answers POST /api-keys. Value is the key itself, which is told this once.
type CreatedAPIKey struct {
	Name        string     `json:"name"`
	Value       string     `json:"value"`
	CreatedAt   time.Time  `json:"createdAt"`
	Permissions []string   `json:"permissions"`
	ExpiresAt   *time.Time `json:"expiresAt"`
}

// APIKey answers the other routes of keys. Value is masked.
type APIKey struct {
	Name           string     `json:"name"`
	Value          string     `json:"value"`
	OrganizationID string     `json:"organizationId"`
	UserID         string     `json:"userId"`
	Permissions    []string   `json:"permissions"`
	CreatedAt      time.Time  `json:"createdAt"`
	LastUsedAt     *time.Time `json:"lastUsedAt"`
	ExpiresAt      *time.Time `json:"expiresAt"`
}

// Organization answers the organisation routes. Fields without a value in this release are null or their neutral value.
type Organization struct {
	ID                                string    `json:"id"`
	Name                              string    `json:"name"`
	CreatedBy                         string    `json:"createdBy"`
	Personal                          bool      `json:"personal"`
	CreatedAt                         time.Time `json:"createdAt"`
	UpdatedAt                         time.Time `json:"updatedAt"`
	Suspended                         bool      `json:"suspended"`
	SuspendedAt                       time.Time `json:"suspendedAt"` // Unix time 0: never; one client refuses null
	SuspensionReason                  string    `json:"suspensionReason"`
	SuspendedUntil                    time.Time `json:"suspendedUntil"` // as SuspendedAt
	SuspensionCleanupGracePeriodHours int       `json:"suspensionCleanupGracePeriodHours"`
	MaxCPUPerSandbox                  int       `json:"maxCpuPerSandbox"`
	MaxMemoryPerSandbox               int       `json:"maxMemoryPerSandbox"`
	MaxDiskPerSandbox                 int       `json:"maxDiskPerSandbox"`
	SecretQuota                       int       `json:"secretQuota"`
	MaxSecretsPerSandbox              int       `json:"maxSecretsPerSandbox"`
	SnapshotDeactivationTimeout       int       `json:"snapshotDeactivationTimeoutMinutes"`
	SandboxLimitedNetworkEgress       bool      `json:"sandboxLimitedNetworkEgress"`
	PreviewWarningEnabled             bool      `json:"previewWarningEnabled"`
	SSOEnabled                        bool      `json:"ssoEnabled"`
	SCIMEnabled                       bool      `json:"scimEnabled"`
	DefaultRegionID                   string    `json:"defaultRegionId"`
	DefaultQueueTimeout               *int      `json:"defaultQueueTimeout"`
	AuthenticatedRateLimit            *int      `json:"authenticatedRateLimit"`
	SandboxCreateRateLimit            *int      `json:"sandboxCreateRateLimit"`
	SandboxLifecycleRateLimit         *int      `json:"sandboxLifecycleRateLimit"`
	AuthenticatedRateLimitTTL         *int      `json:"authenticatedRateLimitTtlSeconds"`
	SandboxCreateRateLimitTTL         *int      `json:"sandboxCreateRateLimitTtlSeconds"`
	SandboxLifecycleRateLimitTTL      *int      `json:"sandboxLifecycleRateLimitTtlSeconds"`
	ExperimentalConfig                struct{}  `json:"experimentalConfig"`
	OtelConfig                        *struct{} `json:"otelConfig"`
}

// User answers GET /users/me.
type User struct {
	ID            string     `json:"id"`
	Name          string     `json:"name"`
	Email         string     `json:"email"`
	EmailVerified bool       `json:"emailVerified"`
	PublicKeys    []struct{} `json:"publicKeys"`
	CreatedAt     time.Time  `json:"createdAt"`
}

// Region answers the region routes.
type Region struct {
	ID                 string    `json:"id"`
	Name               string    `json:"name"`
	RegionType         string    `json:"regionType"` // always "shared" in this release
	OrganizationID     *string   `json:"organizationId"`
	ProxyURL           *string   `json:"proxyUrl"`
	SSHGatewayURL      *string   `json:"sshGatewayUrl"`
	SnapshotManagerURL *string   `json:"snapshotManagerUrl"`
	OtelEndpoint       *string   `json:"otelEndpoint"`
	CreatedAt          time.Time `json:"createdAt"`
	UpdatedAt          time.Time `json:"updatedAt"`
}
