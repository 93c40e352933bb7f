//go:build tools

// Package tools names the programs that this folder pins and builds.
package tools

import (
	_ "github.com/grafana/loki/v3/cmd/loki"
)
