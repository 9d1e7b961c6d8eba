package api

import "time"

// Strings is an answer whose values are all strings, as several typed clients decode it.
type Strings map[string]string

// Dir answers GET /work-dir and GET /user-home-dir.
type Dir struct {
	Dir string `json:"dir"` // absolute path
}

// InitializeRequest is the body of POST /init. Published clients know of Token alone; the others claim a toolbox that
// was started for no sandbox yet, and all may be missing.
type InitializeRequest struct {
	Token      string            `json:"token"`                  // names the sandbox to telemetry collectors
	SandboxID  string            `json:"sandboxId,omitempty"`    // what DAYTONA_SANDBOX_ID is from then on
	Env        map[string]string `json:"env,omitempty"`          // added to that of the container
	WorkDir    string            `json:"workDir,omitempty"`      // absolute path of a folder; "" is that of the container
	SecretHash string            `json:"secretSha256,omitempty"` // of later calls' secret, in hex; "": the claim's
	Entrypoint []string          `json:"entrypoint,omitempty"`   // program to start, with its arguments; none starts none
}

// UpdateEnvRequest is the body of POST /env. First go the variables whose value begins with UnsetValuePrefix (""
// means none) and whose name is not in Set, then those in Unset; then Set is applied.
type UpdateEnvRequest struct {
	Set              map[string]string `json:"set,omitempty"`
	Unset            []string          `json:"unset,omitempty"`
	UnsetValuePrefix string            `json:"unsetValuePrefix,omitempty"`
}

// SystemMetrics answers GET /system/metrics. Sizes are bytes; totals are what the sandbox is granted.
type SystemMetrics struct {
	CPUCount      int       `json:"cpuCount"`
	CPUUsedPct    float64   `json:"cpuUsedPct"` // of the processors granted, mean since the call before; 0 at first
	MemTotal      int64     `json:"memTotal"`
	MemUsed       int64     `json:"memUsed"` // without the page cache
	MemCache      int64     `json:"memCache"`
	DiskTotal     int64     `json:"diskTotal"`
	DiskUsed      int64     `json:"diskUsed"`
	DiskFree      int64     `json:"diskFree"`
	Timestamp     time.Time `json:"timestamp"`
	TimestampUnix int64     `json:"timestampUnix"` // seconds
}

// PortList answers GET /port: TCP ports that processes of the sandbox listen on.
type PortList struct {
	Ports []int `json:"ports"`
}

// PortInUse answers GET /port/{port}/in-use.
type PortInUse struct {
	IsInUse bool `json:"isInUse"`
}
