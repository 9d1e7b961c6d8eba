package api

// Names that runner, proxy and toolboxd agree on, beside the contract of the toolbox.

// Ports of toolboxd. It listens on them before any program of the sandbox runs, so no program can listen there in its
// place.
const (
	ToolboxPort  = 2280
	TerminalPort = 22222 // the web terminal
)

// PreviewPort returns the port that a preview of port shows. Port 1, where nobody listens, stands for the toolbox:
// one client asks for the token of port 1 to open the toolbox's websockets.
func PreviewPort(port int) int {
	if port == 1 {
		return ToolboxPort
	}
	return port
}

// SecretHeader carries the sandbox's secret from runner and proxy to toolboxd, which passes it on to no process.
const SecretHeader = "X-Sandlot-Secret"

// TunnelProtocol is what GET /proxy/{port} of toolboxd upgrades to: the bytes of a connection to that port.
const TunnelProtocol = "sandlot-tcp"

// Environment variables that toolboxd reads at its start. Those that begin with SANDLOT_ are Sandlot's own; the
// others are the contract's, and programs of the sandbox read them too.
const (
	EnvSecretHash   = "SANDLOT_SECRET_SHA256" // hex SHA-256 of the secret that callers present; "" admits all callers
	EnvClaimHash    = "SANDLOT_CLAIM_SHA256"  // likewise of the secret that claims a toolbox started ahead of its sandbox
	EnvSecret       = "SANDLOT_SECRET"        // the secret itself, for `toolboxd entrypoint logs` alone
	EnvPeerSilence  = "SANDLOT_PEER_SILENCE"  // duration after which a peer that acknowledges nothing is cut off
	EnvOutputMemory = "SANDLOT_OUTPUT_MEMORY" // bytes of each command's output kept in memory
	EnvOutputFile   = "SANDLOT_OUTPUT_FILE"   // bytes of it kept on disk
	EnvLogLevel     = "LOG_LEVEL"             // debug, info, warn or error

	EnvSandboxID     = "DAYTONA_SANDBOX_ID"
	EnvSnapshot      = "DAYTONA_SANDBOX_SNAPSHOT"
	EnvOrganization  = "DAYTONA_ORGANIZATION_ID"
	EnvRegion        = "DAYTONA_REGION_ID"
	EnvHomeAsWorkDir = "DAYTONA_USER_HOME_AS_WORKDIR"      // "true" makes the home the working directory
	EnvGrace         = "DAYTONA_TERMINATION_GRACE_PERIOD"  // duration from SIGTERM to SIGKILL when a session is deleted
	EnvOTLPEndpoint  = "DAYTONA_OTEL_ENDPOINT"             // of an OTLP collector; "" exports nothing
	EnvOTLPLabels    = "DAYTONA_SANDBOX_OTEL_EXTRA_LABELS" // attributes of what is exported, as a=b,c=d
)
