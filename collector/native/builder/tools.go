//go:build tools

// Package tools pins the program that this folder builds.
package tools

import _ "go.opentelemetry.io/collector/cmd/builder"
