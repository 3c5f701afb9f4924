"""`python -m runtimes.agent`: the process; it ends with an error when the server does not come in time."""

from __future__ import annotations

from tidegate.process import start_clock  # first: it notes when the program's own imports begin

# isort: split

import asyncio
import logging
from collections.abc import Sequence

from runtimes.agent.agent import Agent
from runtimes.agent.config import Config
from tidegate.process import logs, run, settings

log = logging.getLogger("runtimes.agent")
PROGRAM = "runtimes.agent"


def main(argv: Sequence[str] | None = None) -> None:
    """Run until SIGTERM."""
    try:
        config = settings.load(Config, program=PROGRAM, argv=argv)
    except settings.SettingsError as error:
        raise SystemExit(f"error: {error}") from None
    logs.configure(PROGRAM, config.log_level)

    async def serve(stopping: asyncio.Event) -> None:
        agent = Agent(config)
        await agent.start()
        start_clock.this().opened()
        log.info("before port %d, on %s:%d", config.user_port, config.host, agent.port)
        await stopping.wait()
        await agent.close()

    run.run(serve)


if __name__ == "__main__":
    main()
