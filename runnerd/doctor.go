package runnerd

import (
	"context"
	"fmt"
	"os"
	"strings"

	"github.com/sandlot-dev/sandlot/internal/doctor"
	"github.com/sandlot-dev/sandlot/runnerd/docker"
	"github.com/sandlot-dev/sandlot/runnerd/inject"
)

// Check examines what a Runner needs: the engine with the image of sandboxes, the program that it puts into them, and
// the certificates that they trust.
func Check(ctx context.Context, cfg Config, image string) []doctor.Finding {
	found := docker.Check(ctx, docker.Needs{
		Host: cfg.Host, Network: cfg.Network, Runtime: cfg.Runtime, Image: image, FreeMiB: cfg.MinRoom >> 20,
	})
	return append(found, checkProgram(), checkCA(cfg.CABundle))
}

func checkProgram() doctor.Finding {
	program, err := inject.Toolboxd()
	if err != nil {
		return doctor.Finding{Check: "toolboxd", Result: doctor.Broken, Detail: err.Error(), Fix: "make build"}
	}
	detail := fmt.Sprintf("%.1f MB inside this program", float64(len(program))/1e6)
	return doctor.Finding{Check: "toolboxd", Result: doctor.OK, Detail: detail}
}

func checkCA(bundle string) doctor.Finding {
	raw, err := os.ReadFile(bundle)
	if err != nil {
		return doctor.Finding{
			Check: "certificates", Result: doctor.Warning, Detail: err.Error(),
			Fix: "install ca-certificates, or set ca_bundle",
		}
	}
	n := strings.Count(string(raw), "-----BEGIN CERTIFICATE-----")
	if n == 0 {
		return doctor.Finding{
			Check: "certificates", Result: doctor.Broken, Detail: bundle + " holds no certificate",
			Fix: "set ca_bundle to a PEM file",
		}
	}
	return doctor.Finding{Check: "certificates", Result: doctor.OK, Detail: fmt.Sprintf("%s, %d certificates", bundle, n)}
}
