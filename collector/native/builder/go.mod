module tapeline.invalid/native/builder

go 1.26

require go.opentelemetry.io/collector/cmd/builder v0.159.0
