"""Production decisions under a virtual clock: what a Knative Service would do with a trace.

clock       the virtual time: events in order
app         a Knative Service's YAML as the simulator needs it
work        how long requests take inside a pod
pods        a pod: production's limiter and meter around the work
revision    gateway, activator and pods of one revision, by production's placement and picking
policies    who decides how many pods there are: the production autoscaler, and what it is compared with
production  the production autoscaler as a policy; compared: keep-alive, fixed and oracle
ledger      what is counted; outcome: what comes out of it
run         one trace, one app, one policy; compare: several policies side by side
pricing     what pods cost
svg, plots  pictures
predict     pods over time for a timeline of connections
sweep       annotations tried out on a trace; tune searches them by itself
fleet       many revisions at once through the fleet form, on fluid load (fleet_load)
report      Azure's LLM hours under four policies
options     the command line's options as a scenario; command: the command line
"""
