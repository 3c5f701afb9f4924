"""Every word and value that crosses a process border.

names      labels, annotations, ports and object names
headers    HTTP header names, and which of them are internal
outcomes   reason codes and the HTTP status each one means
report     the in-flight report between queueproxy or activator and autoscaler
decision   one scaling decision as data
durations  Go-style durations (`1m30s`) as Kubernetes and Knative write them

Everything here is pure: no clock, no network, no logging.
"""
