"""The `tidegate` command: start and stop a local instance, see what runs, ask why a revision has that many pods.

__main__   the command group; read it first
common     options that several commands share, and where they lead: a state folder, an API server
failures   errors for people, with the fix, and the exit codes
output     tables and JSON
instance   the state folder and the processes of a local instance
memory     what those processes weigh
install    the manifests, applied by kubectl or by ourselves
up, down, status, why, logs   one command each

It starts components by name (`python -m cluster`), and never imports them.
"""
