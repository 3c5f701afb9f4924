"""Models in worker processes of their own: their memory comes back when they are unloaded, their crash is only theirs.

server: isolation.py opens models and restarts workers as restarts.py says; zygote_link.py asks the zygote for a
process; worker_link.py speaks with one worker; remote_model.py is what the rest of the server sees.
beyond the fork: zygote.py imports frameworks and forks; worker.py holds one model and runs it.
both: frames.py (messages), packing.py (tensors in shared memory), arena.py and arena_plan.py (who has which piece).
"""
