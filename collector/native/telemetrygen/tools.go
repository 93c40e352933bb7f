//go:build tools

// Package tools names the programs that this folder pins and builds.
package tools

import (
	_ "github.com/open-telemetry/opentelemetry-collector-contrib/cmd/telemetrygen"
)
