"""What every process does alike: settings, start and drain, tasks, admin port, logs, metrics.

settings  one config class per process: file < environment < flag
run       loop, signals, orderly end
tasks     named background tasks that never die silently
admin     the small HTTP port with /healthz, /readyz, /metrics, /config and a component's own pages
logs      one JSON line per entry
"""
