package toolbox

import (
	"net/http"
	"reflect"
	"sync/atomic"

	"github.com/gin-gonic/gin"

	"github.com/sandlot-dev/sandlot/api"
	"github.com/sandlot-dev/sandlot/internal/serve"
	"github.com/sandlot-dev/sandlot/process"
	"github.com/sandlot-dev/sandlot/telemetry"
)

// systemAPI serves what concerns the sandbox as a whole.
type systemAPI struct {
	version   string
	workDir   string // base of relative paths
	home      string // of the daemon's user
	processes *process.Manager
	meter     telemetry.Meter
	token     atomic.Pointer[string] // names the sandbox to telemetry collectors; nil until /init
}

var systemRoutes = []serve.Route[*systemAPI]{
	{
		Method: "POST", Path: "/env",
		Summary: "Change the environment of later processes",
		In:      api.UpdateEnvRequest{}, Out: api.Strings{}, Do: (*systemAPI).updateEnv,
	},
	{
		Method: "POST", Path: "/init",
		Summary: "Take the telemetry token; before there is a sandbox, claim the toolbox for one",
		In:      api.InitializeRequest{}, Out: api.Strings{}, Do: (*systemAPI).init,
	},
	{Method: "GET", Path: "/metrics", Summary: "Measurements for Prometheus", Do: (*systemAPI).prometheus},
	{
		Method: "GET", Path: "/project-dir",
		Summary: "Home of the sandbox user, for older clients", Out: api.Dir{}, Do: (*systemAPI).getHome,
	},
	{
		Method: "GET", Path: "/system/metrics",
		Summary: "What the sandbox may use and uses", Out: api.SystemMetrics{}, Do: (*systemAPI).metrics,
	},
	{
		Method: "GET", Path: "/user-home-dir",
		Summary: "Home of the sandbox user", Out: api.Dir{}, Do: (*systemAPI).getHome,
	},
	{
		Method: "GET", Path: "/version",
		Summary: "Version of the daemon; answers as soon as it is ready", Out: api.Strings{}, Do: (*systemAPI).getVersion,
	},
	{
		Method: "GET", Path: "/work-dir",
		Summary: "Folder that relative paths start from", Out: api.Dir{}, Do: (*systemAPI).getWorkDir,
	},
}

// getVersion handles GET /version, the readiness probe.
func (a *systemAPI) getVersion(c *gin.Context) error {
	c.JSON(http.StatusOK, api.Strings{"version": a.version})
	return nil
}

// getWorkDir handles GET /work-dir.
func (a *systemAPI) getWorkDir(c *gin.Context) error {
	c.JSON(http.StatusOK, api.Dir{Dir: a.workDir})
	return nil
}

// getHome handles GET /user-home-dir and the older GET /project-dir.
func (a *systemAPI) getHome(c *gin.Context) error {
	c.JSON(http.StatusOK, api.Dir{Dir: a.home})
	return nil
}

// init handles POST /init of a toolbox that has its sandbox. The token it brings names the sandbox to telemetry
// collectors; repeating the call is harmless. A claim is too late.
func (a *systemAPI) init(c *gin.Context) error {
	var req api.InitializeRequest
	if err := serve.Decode(c, &req); err != nil {
		return err
	}
	if !reflect.DeepEqual(req, api.InitializeRequest{Token: req.Token}) {
		return errClaimed
	}
	a.token.Store(&req.Token)
	c.JSON(http.StatusOK, api.Strings{"message": "initialized"})
	return nil
}

// updateEnv handles POST /env: what processes get that start from now on.
func (a *systemAPI) updateEnv(c *gin.Context) error {
	var req api.UpdateEnvRequest
	if err := serve.Decode(c, &req); err != nil {
		return err
	}
	if err := a.processes.ChangeEnv(req.Set, req.Unset, req.UnsetValuePrefix); err != nil {
		return err
	}
	c.JSON(http.StatusOK, api.Strings{"message": "environment changed"})
	return nil
}

// metrics handles GET /system/metrics.
func (a *systemAPI) metrics(c *gin.Context) error {
	u := a.meter.Usage()
	c.JSON(http.StatusOK, api.SystemMetrics{
		CPUCount: u.CPUs, CPUUsedPct: u.CPUPercent, MemTotal: u.MemTotal, MemUsed: u.MemUsed, MemCache: u.MemCache,
		DiskTotal: u.DiskTotal, DiskUsed: u.DiskUsed, DiskFree: u.DiskFree, Timestamp: u.At.UTC(), TimestampUnix: u.At.Unix(),
	})
	return nil
}

// prometheus handles GET /metrics.
func (a *systemAPI) prometheus(c *gin.Context) error {
	c.Data(http.StatusOK, telemetry.PrometheusType, telemetry.Prometheus(a.meter.Gauges()))
	return nil
}
