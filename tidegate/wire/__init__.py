"""HTTP bytes: one streaming reverse-proxy engine for gateway, activator and queueproxy.

    server ─ accepts ─▶ client_side ─ request_head, chunked ─▶ exchange ─ director: where? ─▶ pool ─▶ upstream_side
                             ▲                                    │  (Answer: answers)                     │
                             └──────── head and pieces ◀──────────┴──────── answer_head, chunked ◀─────────┘

`director` is the seam to the processes; `head_reader`, `header_rules`, `chunked`, `forwarded` and `answers` do no I/O;
`deadlines` holds every timer; `tunnel` takes over after a 101; `loop` chooses the event loop; `limits` has every bound.
"""
