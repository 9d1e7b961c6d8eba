package coordinator

import (
	"encoding/json"
	"math"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/gin-gonic/gin"

	"github.com/sandlot-dev/sandlot/api"
	"github.com/sandlot-dev/sandlot/coordinator/fleet"
	"github.com/sandlot-dev/sandlot/internal/auth"
	"github.com/sandlot-dev/sandlot/internal/fault"
	"github.com/sandlot-dev/sandlot/internal/serve"
)

// defaultUser is what clients are told when the image's own user runs the sandbox; it is the one of our images.
const defaultUser = "daytona"

// createSandbox handles POST /sandbox.
func (s *Server) createSandbox(c *gin.Context) error {
	var in api.CreateSandbox
	if err := serve.DecodeOptional(c, &in); err != nil {
		return err
	}
	if err := refuseUnbuilt(in); err != nil {
		return err
	}
	made, err := s.cfg.Fleet.Create(c.Request.Context(), fleet.Request{
		Organization: caller(c).Organization, Name: value(in.Name), Snapshot: value(in.Snapshot), Target: value(in.Target),
		User: value(in.User), Env: in.Env, Labels: in.Labels, Public: value(in.Public),
		CPU: int(value(in.CPU)), Memory: int(value(in.Memory)), Disk: int(value(in.Disk)),
		AutoStop: (*int)(in.AutoStopInterval), AutoArchive: (*int)(in.AutoArchiveInterval),
		AutoDelete: (*int)(in.AutoDeleteInterval), TTL: (*int)(in.TTLMinutes),
	})
	return s.answer(c, made, err)
}

// refuseUnbuilt answers what a create may ask for and this release cannot do: to take it silently would be a lie.
func refuseUnbuilt(in api.CreateSandbox) error {
	for _, f := range []struct {
		asked bool
		what  string
	}{
		{in.BuildInfo != nil, "buildInfo (declarative builds)"},
		{len(in.Volumes) > 0, "volumes"},
		{len(in.Secrets) > 0, "secrets"},
		{value(in.LinkedSandbox) != "", "linkedSandbox"},
		{value(in.NetworkBlockAll), "networkBlockAll"},
		{value(in.NetworkAllowList) != "", "networkAllowList"},
		{value(in.DomainAllowList) != "", "domainAllowList"},
		{value(in.OutboundProxyURL) != "", "outboundProxyUrl"},
		{value(in.OTelEndpointOverride) != "", "otelEndpointOverride"},
		{value(in.GPU) != 0 || value(in.Spot) || !empty(in.GPUType), "gpu"},
		{value(in.KVM), "kvm"},
		{value(in.AutoPauseInterval) > 0, "autoPauseInterval"},
	} {
		if f.asked {
			return fault.Newf(fault.NotBuilt, "%s is not built yet in this release of Sandlot", f.what)
		}
	}
	if in.QueueTimeout != nil && *in.QueueTimeout < 1 {
		return fault.Newf(fault.Invalid, "queueTimeout must be at least 1 minute, not %d", *in.QueueTimeout)
	}
	return nil
}

// empty reports whether a list, which clients may also send as its one element, asks for nothing.
func empty(list json.RawMessage) bool {
	return slices.Contains([]string{"", "null", "[]", `""`}, string(list))
}

func value[T any](p *T) T {
	if p == nil {
		var zero T
		return zero
	}
	return *p
}

// getSandbox handles GET /sandbox/{idOrName}.
func (s *Server) getSandbox(c *gin.Context) error {
	got, err := s.cfg.Fleet.Get(c.Request.Context(), caller(c).Organization, c.Param("sandbox"))
	return s.answer(c, got, err)
}

// deleteSandbox handles DELETE /sandbox/{idOrName}.
func (s *Server) deleteSandbox(c *gin.Context) error {
	gone, err := s.cfg.Fleet.Delete(c.Request.Context(), caller(c).Organization, c.Param("sandbox"))
	return s.answer(c, gone, err)
}

// startSandbox handles POST /sandbox/{idOrName}/start.
func (s *Server) startSandbox(c *gin.Context) error {
	started, err := s.cfg.Fleet.Start(c.Request.Context(), caller(c).Organization, c.Param("sandbox"))
	return s.answer(c, started, err)
}

// stopSandbox handles POST /sandbox/{idOrName}/stop?force=.
func (s *Server) stopSandbox(c *gin.Context) error {
	stopped, err := s.cfg.Fleet.Stop(c.Request.Context(), caller(c).Organization, c.Param("sandbox"),
		c.Query("force") == "true")
	return s.answer(c, stopped, err)
}

// setLabels handles PUT /sandbox/{idOrName}/labels.
func (s *Server) setLabels(c *gin.Context) error {
	var in api.SandboxLabels
	if err := serve.Decode(c, &in); err != nil {
		return err
	}
	sb, err := s.cfg.Fleet.SetLabels(c.Request.Context(), caller(c).Organization, c.Param("sandbox"), in.Labels)
	if err != nil {
		return err
	}
	c.JSON(http.StatusOK, api.SandboxLabels{Labels: sb.Labels})
	return nil
}

// setPublic handles POST /sandbox/{idOrName}/public/{isPublic}.
func (s *Server) setPublic(c *gin.Context) error {
	sb, err := s.cfg.Fleet.SetPublic(c.Request.Context(), caller(c).Organization, c.Param("sandbox"),
		c.Param("isPublic") == "true")
	return s.answer(c, sb, err)
}

// interval handles POST /sandbox/{idOrName}/autostop/{n} and its like.
func interval(which fleet.Interval) handler {
	return func(s *Server, c *gin.Context) error {
		n, err := wholeNumber(string(which), c.Param("interval"))
		if err != nil {
			return err
		}
		sb, err := s.cfg.Fleet.SetInterval(c.Request.Context(), caller(c).Organization, c.Param("sandbox"), which, n)
		return s.answer(c, sb, err)
	}
}

// touch handles POST /sandbox/{id}/last-activity: 201 and nothing.
func (s *Server) touch(c *gin.Context) error {
	if err := s.cfg.Fleet.Refresh(c.Request.Context(), caller(c).Organization, c.Param("sandbox")); err != nil {
		return err
	}
	c.Status(http.StatusCreated)
	return nil
}

// toolboxURL handles GET /sandbox/{id}/toolbox-proxy-url.
func (s *Server) toolboxURL(c *gin.Context) error {
	if _, err := s.cfg.Fleet.Get(c.Request.Context(), caller(c).Organization, c.Param("sandbox")); err != nil {
		return err
	}
	c.JSON(http.StatusOK, api.URL{URL: s.cfg.ToolboxURL})
	return nil
}

// previewURL handles GET /sandbox/{idOrName}/ports/{port}/preview-url.
func (s *Server) previewURL(c *gin.Context) error {
	port, err := portParam(c)
	if err != nil {
		return err
	}
	sb, err := s.cfg.Fleet.Get(c.Request.Context(), caller(c).Organization, c.Param("sandbox"))
	if err != nil {
		return err
	}
	url, err := s.cfg.Previews.Address(c.Request.Context(), sb.ID, port, "")
	if err != nil {
		return err
	}
	token := auth.PortToken(sb.PreviewToken, api.PreviewPort(port))
	c.JSON(http.StatusOK, api.PortPreviewURL{SandboxID: sb.ID, Token: token, URL: url})
	return nil
}

// signedPreviewURL handles GET /sandbox/{idOrName}/ports/{port}/signed-preview-url.
func (s *Server) signedPreviewURL(c *gin.Context) error {
	port, err := portParam(c)
	if err != nil {
		return err
	}
	lasts := fleet.DefaultLinkTime
	if text := c.Query("expiresInSeconds"); text != "" {
		n, err := wholeNumber("expiresInSeconds", text)
		if err != nil {
			return err
		}
		lasts = time.Duration(min(max(n, 0), int(fleet.MaxLinkTime.Seconds())+1)) * time.Second
	}
	token, link, err := s.cfg.Fleet.NewLink(c.Request.Context(), caller(c).Organization, c.Param("sandbox"), port, lasts)
	if err != nil {
		return err
	}
	url, err := s.cfg.Previews.Address(c.Request.Context(), link.Sandbox, port, token)
	if err != nil {
		return err
	}
	c.JSON(http.StatusOK, api.SignedPortPreviewURL{SandboxID: link.Sandbox, Port: port, Token: token, URL: url})
	return nil
}

// expireSignedPreviewURL handles POST /sandbox/{idOrName}/ports/{port}/signed-preview-url/{token}/expire.
func (s *Server) expireSignedPreviewURL(c *gin.Context) error {
	port, err := portParam(c)
	if err != nil {
		return err
	}
	if err := s.cfg.Fleet.ExpireLink(c.Request.Context(), caller(c).Organization, c.Param("sandbox"), port,
		c.Param("token")); err != nil {
		return err
	}
	c.Status(http.StatusOK)
	return nil
}

func portParam(c *gin.Context) (int, error) {
	port, err := wholeNumber("port", c.Param("port"))
	if err != nil || port < 1 || port > 65535 {
		return 0, fault.Newf(fault.Invalid, "port must be a whole number from 1 to 65535, not %q", shorten(c.Param("port")))
	}
	return port, nil
}

// signingKey handles GET /sandbox/{id}/signing-key: a bare string, not JSON (docs/wire.md, "The control API").
func (s *Server) signingKey(c *gin.Context) error { return s.answerKey(c, false) }

// rotateSigningKey handles POST /sandbox/{id}/signing-key/rotate.
func (s *Server) rotateSigningKey(c *gin.Context) error { return s.answerKey(c, true) }

func (s *Server) answerKey(c *gin.Context, rotate bool) error {
	key, err := s.cfg.Fleet.SigningKey(c.Request.Context(), caller(c).Organization, c.Param("sandbox"), rotate)
	if err != nil {
		return err
	}
	c.String(http.StatusOK, "%s", key)
	return nil
}

func (s *Server) answer(c *gin.Context, sb fleet.Sandbox, err error) error {
	if err != nil {
		return err
	}
	c.JSON(http.StatusOK, s.wireSandbox(sb))
	return nil
}

func (s *Server) wireSandbox(sb fleet.Sandbox) api.Sandbox {
	return api.Sandbox{SandboxListItem: s.wireItem(sb), Env: sb.Env, Volumes: []struct{}{}}
}

func (s *Server) wireItem(sb fleet.Sandbox) api.SandboxListItem {
	item := api.SandboxListItem{
		ID: sb.ID, OrganizationID: sb.Organization, Name: sb.Name, Target: sb.Region, RunnerID: sb.Runner,
		SandboxClass: "container", Snapshot: sb.Snapshot, User: sb.User, Labels: sb.Labels, Public: sb.Public, CPU: sb.CPU,
		Memory: sb.Memory, Disk: sb.Disk, State: string(sb.Shown()), DesiredState: string(sb.Desired),
		ErrorReason: sb.Reason, BackupState: "None", AutoStopInterval: sb.AutoStop, AutoArchiveInterval: sb.AutoArchive,
		AutoDeleteInterval: sb.AutoDelete, AutoDestroyAt: orNil(sb.DestroyAt), CreatedAt: sb.CreatedAt,
		UpdatedAt: sb.UpdatedAt, LastActivityAt: sb.LastActivityAt,
		DaemonVersion: strings.TrimPrefix(sb.DaemonVersion, "v"), ToolboxProxyURL: s.cfg.ToolboxURL,
	}
	if item.User == "" {
		item.User = defaultUser
	}
	return item
}

// wholeNumber reads a number that clients may write as 30, 30.0 or 1e+06.
func wholeNumber(field, text string) (int, error) {
	f, err := strconv.ParseFloat(text, 64)
	if err != nil || f != math.Trunc(f) || math.Abs(f) > 1<<53 {
		return 0, fault.Newf(fault.Invalid, "%s must be a whole number, not %q", field, shorten(text))
	}
	return int(f), nil
}
