"""HTTP bytes: one streaming reverse-proxy engine for gateway, activator and queueproxy.

    server ─ accepts ─▶ client_side ─ request_head, chunked ─▶ exchange ─ director: where? ─▶ pool ─▶ upstream_side
                             ▲                                    │  (Answer: answers)                     │
                             └──────── head and pieces ◀──────────┴──────── answer_head, chunked ◀─────────┘

`director` is the seam to the processes; `head_reader`, `header_rules`, `chunked`, `forwarded` and `answers` do no I/O;
`deadlines` holds every timer; `tunnel` takes over after a 101; `loop` chooses the event loop; `limits` has every bound.
HTTP/2: `h2_reader` cuts frames, `hpack_decoder` and `hpack_encoder` read and write header blocks, `h2_client_side` and
`h2_upstream` are the two ends, `h2_session`, `h2_sending` and `h2_stream` what they share, `h2_pool` keeps connections,
`h2_heads` translates heads, `h2_floods` counts what costs us more than the peer.
"""
