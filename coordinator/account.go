package coordinator

import (
	"net/http"
	"strings"
	"time"

	"github.com/gin-gonic/gin"

	"github.com/sandlot-dev/sandlot/api"
	"github.com/sandlot-dev/sandlot/coordinator/fleet"
	"github.com/sandlot-dev/sandlot/coordinator/tenancy"
	"github.com/sandlot-dev/sandlot/internal/fault"
)

// configuration handles GET /config.
func (s *Server) configuration(c *gin.Context) error {
	c.JSON(http.StatusOK, api.Configuration{
		Version: strings.TrimPrefix(s.cfg.Version, "v"), BuildSha: s.cfg.Revision, Announcements: map[string]struct{}{},
		ProxyTemplateURL: s.cfg.PreviewURL, ProxyToolboxURL: s.cfg.ToolboxURL, DefaultSnapshot: s.cfg.DefaultSnapshot,
		DashboardURL: s.cfg.DashboardURL, MaxAutoArchiveInterval: fleet.MaxAutoArchive, Environment: "production",
	})
	return nil
}

// health handles GET /health.
func (s *Server) health(c *gin.Context) error {
	c.JSON(http.StatusOK, api.Status{Status: "ok"})
	return nil
}

// ready handles GET /health/ready: 503 while no sandbox can be made.
func (s *Server) ready(c *gin.Context) error {
	if err := s.cfg.Ready(); err != nil {
		return err
	}
	return s.health(c)
}

// regions handles GET /regions and GET /shared-regions.
func (s *Server) regions(c *gin.Context) error {
	c.JSON(http.StatusOK, []api.Region{s.theRegion()})
	return nil
}

// region handles GET /regions/{id}.
func (s *Server) region(c *gin.Context) error {
	if c.Param("id") != s.cfg.Region {
		return fault.Newf(fault.NotFound, "region %q not found", c.Param("id"))
	}
	c.JSON(http.StatusOK, s.theRegion())
	return nil
}

func (s *Server) theRegion() api.Region {
	return api.Region{
		ID: s.cfg.Region, Name: s.cfg.Region, RegionType: "shared", CreatedAt: s.cfg.Began, UpdatedAt: s.cfg.Began,
	}
}

// organizations handles GET /organizations.
func (s *Server) organizations(c *gin.Context) error {
	o, err := s.cfg.Tenancy.Organization(c.Request.Context(), caller(c))
	if err != nil {
		return err
	}
	c.JSON(http.StatusOK, []api.Organization{s.wireOrganization(o)})
	return nil
}

// organization handles GET /organizations/{id}.
func (s *Server) organization(c *gin.Context) error {
	o, err := s.cfg.Tenancy.Organization(c.Request.Context(), caller(c))
	if err != nil {
		return err
	}
	c.JSON(http.StatusOK, s.wireOrganization(o))
	return nil
}

// sandboxOrganization handles GET /sandbox/{id}/organization.
func (s *Server) sandboxOrganization(c *gin.Context) error {
	if _, err := s.cfg.Fleet.Get(c.Request.Context(), caller(c).Organization, c.Param("sandbox")); err != nil {
		return err
	}
	return s.organization(c)
}

func (s *Server) wireOrganization(o tenancy.Organization) api.Organization {
	never := time.Unix(0, 0).UTC()
	return api.Organization{
		ID: o.ID, Name: o.Name, CreatedBy: o.CreatedBy, Personal: o.Personal, CreatedAt: o.CreatedAt, UpdatedAt: o.UpdatedAt,
		SuspendedAt: never, SuspendedUntil: never, SuspensionCleanupGracePeriodHours: 24,
		MaxCPUPerSandbox: s.cfg.MaxCPU, MaxMemoryPerSandbox: s.cfg.MaxMemory, MaxDiskPerSandbox: s.cfg.MaxDisk,
		SnapshotDeactivationTimeout: 20160, DefaultRegionID: s.cfg.Region,
	}
}

// me handles GET /users/me.
func (s *Server) me(c *gin.Context) error {
	u, err := s.cfg.Tenancy.User(c.Request.Context(), caller(c))
	if err != nil {
		return err
	}
	c.JSON(http.StatusOK, api.User{
		ID: u.ID, Name: u.Name, Email: u.Email, EmailVerified: true, PublicKeys: []struct{}{}, CreatedAt: u.CreatedAt,
	})
	return nil
}

func orNil(t time.Time) *time.Time {
	if t.IsZero() {
		return nil
	}
	return &t
}
