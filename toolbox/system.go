package toolbox

import (
	"net/http"
	"reflect"

	"github.com/gin-gonic/gin"

	"github.com/sandlot-dev/sandlot/api"
	"github.com/sandlot-dev/sandlot/internal/serve"
	"github.com/sandlot-dev/sandlot/telemetry"
)

// version handles GET /version, the readiness probe.
func (s *Server) version(c *gin.Context) error {
	c.JSON(http.StatusOK, api.Strings{"version": s.cfg.Version})
	return nil
}

// workDir handles GET /work-dir.
func (s *Server) workDir(c *gin.Context) error {
	c.JSON(http.StatusOK, api.Dir{Dir: s.cfg.WorkDir})
	return nil
}

// homeDir handles GET /user-home-dir and the older GET /project-dir.
func (s *Server) homeDir(c *gin.Context) error {
	c.JSON(http.StatusOK, api.Dir{Dir: s.cfg.Home})
	return nil
}

// initialize handles POST /init of a toolbox that has its sandbox. The token it brings names the sandbox to telemetry collectors; repeating the
// call is harmless. A claim is too late.
func (s *Server) initialize(c *gin.Context) error {
	var req api.InitializeRequest
	if err := serve.Decode(c, &req); err != nil {
		return err
	}
	if !reflect.DeepEqual(req, api.InitializeRequest{Token: req.Token}) {
		return errClaimed
	}
	s.token.Store(&req.Token)
	c.JSON(http.StatusOK, api.Strings{"message": "initialized"})
	return nil
}

// updateEnv handles POST /env: what processes get that start from now on.
func (s *Server) updateEnv(c *gin.Context) error {
	var req api.UpdateEnvRequest
	if err := serve.Decode(c, &req); err != nil {
		return err
	}
	if err := s.cfg.Process.ChangeEnv(req.Set, req.Unset, req.UnsetValuePrefix); err != nil {
		return err
	}
	c.JSON(http.StatusOK, api.Strings{"message": "environment changed"})
	return nil
}

// metrics handles GET /system/metrics.
func (s *Server) metrics(c *gin.Context) error {
	u := s.meter.Usage()
	c.JSON(http.StatusOK, api.SystemMetrics{
		CPUCount: u.CPUs, CPUUsedPct: u.CPUPercent, MemTotal: u.MemTotal, MemUsed: u.MemUsed, MemCache: u.MemCache,
		DiskTotal: u.DiskTotal, DiskUsed: u.DiskUsed, DiskFree: u.DiskFree, Timestamp: u.At.UTC(), TimestampUnix: u.At.Unix(),
	})
	return nil
}

// prometheus handles GET /metrics.
func (s *Server) prometheus(c *gin.Context) error {
	c.Data(http.StatusOK, telemetry.PrometheusType, telemetry.Prometheus(s.meter.Gauges()))
	return nil
}
