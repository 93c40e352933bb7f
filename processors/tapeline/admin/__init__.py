"""The admin side: health and the sidecar's own metrics over HTTP."""
